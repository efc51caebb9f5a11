//! What looks the same is the same: a glyph that stands on the screen several times, to the pixel, is one character.
//! Where the model was sure of it, it need not guess elsewhere; and in a terminal no two glyphs are one character.

use std::collections::{HashMap, HashSet};

use super::cells::{Cells, Span, columns};
use super::pieces::Piece;
use super::plane::{Area, Plane};
use super::reader::Sign;
use super::scale::HEIGHT;
use super::words;

/// From here on the model is sure.
const SURE: f32 = 0.95;
/// How likely the model must have found a character at least, where another place says that it is that one.
const LEAST: f32 = 0.02;
/// And where nothing says so, but that it cannot be what it was taken for: on average.
const LEAST_OTHER: f32 = 0.1;

/// One glyph, to the pixel.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Glyph {
    width: usize,
    pixels: Vec<u8>,
    /// How far above the line's letters it ends, or below: a comma is no apostrophe.
    rise: isize,
}

/// Where a glyph stands: which line, and which of its signs.
#[derive(Debug, Default)]
struct Places {
    signs: Vec<(usize, usize)>,
    /// Some of them are in a line whose characters are equally wide.
    in_cells: bool,
}

/// A line whose characters are equally wide.
struct Row {
    cells: Cells,
    /// Its cells with ink.
    spans: Vec<Span>,
}

/// Puts right what was read differently in several places, or like what it is not. Returns the width of each line's cells.
pub(super) fn settle(ink: &Plane, pieces: &[Piece], lines: &mut [Vec<Sign>]) -> Vec<Option<usize>> {
    let rows = rows(ink, pieces, lines);
    let drawings: Vec<Vec<(Glyph, Option<usize>)>> = pieces
        .iter()
        .zip(&rows)
        .zip(lines.iter())
        .map(|((piece, row), signs)| match row {
            Some(row) => drawings(ink, piece.area, &row.spans),
            None => drawings(ink, piece.area, &single(ink, piece.area, signs)),
        })
        .collect();
    let mut glyphs: HashMap<&Glyph, Places> = HashMap::new();
    for (line, drawings) in drawings.iter().enumerate() {
        for (glyph, sign) in drawings.iter().filter_map(|(glyph, sign)| Some((glyph, (*sign)?))) {
            let places = glyphs.entry(glyph).or_default();
            places.signs.push((line, sign));
            places.in_cells |= rows[line].is_some();
        }
    }
    agree(&glyphs, lines);
    let meaning = |glyph: &Glyph| {
        let mut signs = glyphs.get(glyph)?.signs.iter().map(|(line, sign)| lines[*line][*sign]);
        let first = signs.next()?;
        signs.all(|sign| sign.char == first.char).then_some(first)
    };
    let complete = |(line, row): (usize, &Option<Row>)| {
        let Row { cells, spans } = row.as_ref()?;
        let signs = spans.iter().zip(&drawings[line]).filter_map(|(span, (glyph, sign))| {
            let sign = sign.map(|sign| lines[line][sign]);
            // What was not read here may have been read elsewhere.
            Some((span.columns.0, sign.or_else(|| meaning(glyph))?))
        });
        let signs: Vec<(usize, Sign)> = signs.collect();
        (signs.len() * 8 >= spans.len() * 7).then(|| cells.write(pieces[line].area, &signs))
    };
    let completed: Vec<Option<Vec<Sign>>> = rows.iter().enumerate().map(complete).collect();
    for (line, signs) in lines.iter_mut().zip(completed) {
        if let Some(signs) = signs {
            *line = signs;
        }
    }
    rows.into_iter().map(|row| Some(row?.cells.width)).collect()
}

/// The lines in cells: those where it can be seen, and those above and below them that fit the same ones.
fn rows(ink: &Plane, pieces: &[Piece], lines: &[Vec<Sign>]) -> Vec<Option<Row>> {
    let with =
        |cells: Cells, area: Area, signs: &[Sign]| Some(Row { spans: cells.spans(area, signs)?, cells });
    let of_its_own =
        |(piece, signs): (&Piece, &Vec<Sign>)| with(Cells::find(ink, piece.area, signs)?, piece.area, signs);
    let mut rows: Vec<Option<Row>> = pieces.iter().zip(lines).map(of_its_own).collect();
    for line in 0..rows.len() {
        let area = pieces[line].area;
        let near = |other: &usize| {
            let other = pieces[*other].area;
            let apart = other.middle().abs_diff(area.middle()) / 2;
            let alike = area.height() * 2 < other.height() * 3 && other.height() * 2 < area.height() * 3;
            alike && apart < 4 * other.height() && area.gap(&other) == 0
        };
        let known = (0..rows.len()).filter(|other| rows[*other].is_some() && near(other));
        let nearest = known.min_by_key(|other| pieces[*other].area.middle().abs_diff(area.middle()));
        if rows[line].is_none()
            && let Some(Row { cells, .. }) = nearest.and_then(|nearest| rows[nearest].as_ref())
        {
            let cells = cells.continued(ink, area);
            rows[line] = cells.and_then(|cells| with(cells, area, &lines[line]));
        }
    }
    rows
}

/// Makes the signs of each glyph one character.
fn agree(glyphs: &HashMap<&Glyph, Places>, lines: &mut [Vec<Sign>]) {
    let mut taken = HashSet::new();
    let mut unsure = Vec::new();
    for places in glyphs.values() {
        let signs = places.signs.iter().map(|(line, sign)| lines[*line][*sign]);
        let known: HashSet<char> =
            signs.filter(|sign| sign.confidence >= SURE).map(|sign| sign.char).collect();
        let mut known = known.iter();
        match (known.next(), known.next()) {
            (Some(char), None) => {
                if places.in_cells {
                    taken.insert(*char);
                }
                give(lines, places, *char, LEAST);
            }
            (None, _) => unsure.push(places),
            // A drawing of two characters: only what stands around tells them apart.
            (Some(_), Some(_)) => {}
        }
    }
    for places in unsure {
        let mut sums: HashMap<char, f32> = HashMap::new();
        for (line, sign) in &places.signs {
            for (char, share) in lines[*line][*sign].shares() {
                *sums.entry(char).or_default() += share;
            }
        }
        let Some(first) = best(&sums) else { continue };
        if !places.in_cells || !taken.contains(&first) {
            give(lines, places, first, LEAST);
            continue;
        }
        sums.retain(|char, _| !taken.contains(char));
        #[expect(clippy::cast_precision_loss, reason = "signs of a screen")]
        let least = LEAST_OTHER * places.signs.len() as f32;
        if let Some(other) = best(&sums).filter(|other| sums[other] >= least) {
            give(lines, places, other, 0.0);
        }
    }
}

/// The likeliest; the same one in every run.
fn best(sums: &HashMap<char, f32>) -> Option<char> {
    let order =
        |one: &(&char, &f32), other: &(&char, &f32)| one.1.total_cmp(other.1).then(one.0.cmp(other.0));
    sums.iter().max_by(order).map(|(char, _)| *char)
}

/// Makes signs this character where the model found it as likely as `least`.
fn give(lines: &mut [Vec<Sign>], places: &Places, char: char, least: f32) {
    for (line, sign) in &places.signs {
        let sign = &mut lines[*line][*sign];
        let share = sign.shares().find(|(other, _)| *other == char).map_or(0.0, |(_, share)| share);
        if sign.char != char && share >= least {
            sign.become_other(char);
        }
    }
}

/// The spans of a line between blank columns that were read as one sign each.
fn single(ink: &Plane, area: Area, signs: &[Sign]) -> Vec<Span> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (x, _) in columns(ink, area).iter().enumerate().filter(|(_, ink)| **ink) {
        let x = area.left + x;
        match spans.last_mut() {
            Some((_, end)) if *end == x => *end = x + 1,
            _ => spans.push((x, x + 1)),
        }
    }
    let mut owners = vec![Vec::new(); spans.len()];
    for (index, sign) in signs.iter().enumerate().filter(|(_, sign)| sign.char != ' ') {
        let place = area.left + sign.at * area.height() / HEIGHT;
        let off = |span: &(usize, usize)| span.0.saturating_sub(place) + (place + 1).saturating_sub(span.1);
        let nearest = (0..spans.len()).min_by_key(|span| off(&spans[*span]));
        if let Some(span) = nearest.filter(|span| off(&spans[*span]) <= 2) {
            owners[span].push(index);
        }
    }
    let single = spans.into_iter().zip(owners).filter_map(|(columns, owners)| match owners[..] {
        [sign] => Some(Span { columns, sign: Some(sign) }),
        _ => None,
    });
    single.collect()
}

/// What stands in these spans, each with the sign that it was read as.
fn drawings(ink: &Plane, area: Area, spans: &[Span]) -> Vec<(Glyph, Option<usize>)> {
    let tight = |span: &Span| words::tight(Area { left: span.columns.0, right: span.columns.1, ..area }, ink);
    let areas: Vec<Area> = spans.iter().map(tight).collect();
    // Most letters stand on one line.
    let letters = areas.iter().filter(|letter| letter.height() * 5 >= area.height() * 2);
    let mut ends: Vec<usize> = letters.map(|letter| letter.bottom).collect();
    ends.sort_unstable();
    let ground = ends.get(ends.len() / 2).copied().unwrap_or(area.bottom);
    let glyph = |(letter, span): (&Area, &Span)| {
        let pixels = (letter.top..letter.bottom).flat_map(|y| ink.row(y, *letter)).copied().collect();
        let rise = ground.cast_signed() - letter.bottom.cast_signed();
        (Glyph { width: letter.width(), pixels, rise }, span.sign)
    };
    areas.iter().zip(spans).map(glyph).collect()
}
