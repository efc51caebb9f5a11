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
/// The same where the model was sure somewhere that it is what it cannot be: of bold letters and others it is right.
const LEAST_UNLIKE: f32 = 0.25;
/// How far the pixels of one glyph may differ: what is behind it is measured to a few levels.
const MEASURED: u8 = 8;
/// Glyphs of one size that a drawing is compared with: fonts have fewer, noise has more.
const MOST_COMPARED: usize = 500;

/// One drawing of a glyph.
#[derive(Debug)]
struct Glyph {
    width: usize,
    pixels: Vec<u8>,
    /// How far above the line's letters it ends, or below: a comma is no apostrophe.
    rise: isize,
}

impl Glyph {
    /// Whether both, of the same size, are one glyph.
    fn is_like(&self, other: &Self) -> bool {
        self.rise.abs_diff(other.rise) <= 1
            && self.pixels.iter().zip(&other.pixels).all(|(one, other)| one.abs_diff(*other) <= MEASURED)
    }
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

/// Puts right what was read differently in several places, or like what it is not. Returns the width of each line's
/// cells.
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
    let (kinds, glyphs) = kinds(&drawings, &rows);
    agree(&glyphs, lines);
    let meaning = |glyph: usize| {
        let mut signs = glyphs[glyph].signs.iter().map(|(line, sign)| lines[*line][*sign]);
        let first = signs.next()?;
        signs.all(|sign| sign.char == first.char).then_some(first)
    };
    let complete = |(line, row): (usize, &Option<Row>)| {
        let Row { cells, spans } = row.as_ref()?;
        let signs =
            spans.iter().zip(&drawings[line]).zip(&kinds[line]).filter_map(|((span, (_, sign)), kind)| {
                let sign = sign.map(|sign| lines[line][sign]);
                // What was not read here may have been read elsewhere.
                Some((span.columns.0, sign.or_else(|| meaning(*kind))?))
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

/// Which glyphs there are: for each drawing its number, and where each of them stands.
fn kinds(drawings: &[Vec<(Glyph, Option<usize>)>], rows: &[Option<Row>]) -> (Vec<Vec<usize>>, Vec<Places>) {
    let mut glyphs: Vec<Places> = Vec::new();
    let mut by_size: HashMap<(usize, usize), Vec<(usize, &Glyph)>> = HashMap::new();
    let mut kinds = Vec::with_capacity(drawings.len());
    for (line, drawings) in drawings.iter().enumerate() {
        let mut of_line = Vec::with_capacity(drawings.len());
        for (glyph, sign) in drawings {
            let alike = by_size.entry((glyph.width, glyph.pixels.len())).or_default();
            let mut compared = alike.iter().take(MOST_COMPARED);
            let known = compared.find(|(_, other)| other.is_like(glyph)).map(|(kind, _)| *kind);
            let kind = known.unwrap_or(glyphs.len());
            if known.is_none() {
                alike.push((kind, glyph));
                glyphs.push(Places::default());
            }
            if let Some(sign) = sign {
                glyphs[kind].signs.push((line, *sign));
                glyphs[kind].in_cells |= rows[line].is_some();
            }
            of_line.push(kind);
        }
        kinds.push(of_line);
    }
    (kinds, glyphs)
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
fn agree(glyphs: &[Places], lines: &mut [Vec<Sign>]) {
    let (in_cells, others): (Vec<&Places>, Vec<&Places>) = glyphs.iter().partition(|places| places.in_cells);
    agree_in_cells(&in_cells, lines);
    for places in others {
        let signs = places.signs.iter().map(|(line, sign)| lines[*line][*sign]);
        let known: HashSet<char> =
            signs.filter(|sign| sign.confidence >= SURE).map(|sign| sign.char).collect();
        let mut known = known.iter();
        let char = match (known.next(), known.next()) {
            (Some(char), None) => Some(*char),
            (None, _) => best(&shares(places, lines)),
            // A drawing of two characters: only what stands around tells them apart.
            (Some(_), Some(_)) => None,
        };
        if let Some(char) = char {
            give(lines, places, char, LEAST);
        }
    }
}

/// Makes the signs of each glyph of a terminal one character, and those of two glyphs two, if the model found that
/// likely: it knows an `O` among letters, and takes the same one for a zero beside a zero.
fn agree_in_cells(glyphs: &[&Places], lines: &mut [Vec<Sign>]) {
    let found = glyphs.iter().copied().filter_map(|places| {
        let shares = shares(places, lines);
        let first = best(&shares)?;
        Some((places, first, shares[&first], shares))
    });
    let mut found: Vec<_> = found.collect();
    // The clearest first: it takes its character.
    found.sort_by(|(one, _, share, _), (other, _, less, _)| {
        less.total_cmp(share).then_with(|| one.signs.cmp(&other.signs))
    });
    let mut taken = HashSet::new();
    for (places, first, _, mut shares) in found {
        let is_taken = !taken.insert(first);
        let mut signs = places.signs.iter().map(|(line, sign)| lines[*line][*sign]);
        let is_sure = signs.any(|sign| sign.char == first && sign.confidence >= SURE);
        let least = if is_sure { LEAST_UNLIKE } else { LEAST_OTHER };
        shares.retain(|char, share| *share >= least && !taken.contains(char));
        match best(&shares).filter(|_| is_taken) {
            Some(other) => {
                taken.insert(other);
                give(lines, places, other, 0.0);
            }
            None => give(lines, places, first, LEAST),
        }
    }
}

/// How likely the model found each character where a glyph stands, on average.
fn shares(places: &Places, lines: &[Vec<Sign>]) -> HashMap<char, f32> {
    #[expect(clippy::cast_precision_loss, reason = "signs of a screen")]
    let part = 1.0 / places.signs.len() as f32;
    let mut shares = HashMap::new();
    let found = places.signs.iter().flat_map(|(line, sign)| lines[*line][*sign].shares());
    // What has ink is no blank.
    for (char, share) in found.filter(|(char, _)| *char != ' ') {
        *shares.entry(char).or_default() += share * part;
    }
    shares
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

#[cfg(test)]
mod tests {
    use super::{Glyph, Places, agree};
    use crate::screen::reader::Sign;

    /// What the signs of terminal glyphs become; each sign with its sureness, and what else it may be.
    fn agreed(glyphs: &[&[(char, f32, char, f32)]]) -> Vec<String> {
        let sign = |(char, confidence, other, share): &(char, f32, char, f32)| Sign {
            char: *char,
            confidence: *confidence,
            others: [(*other, *share), (' ', 0.0)],
            ..Sign::default()
        };
        let mut lines: Vec<Vec<Sign>> = glyphs.iter().map(|signs| signs.iter().map(sign).collect()).collect();
        let places = |(line, signs): (usize, &Vec<Sign>)| Places {
            signs: (0..signs.len()).map(|sign| (line, sign)).collect(),
            in_cells: true,
        };
        let places: Vec<Places> = lines.iter().enumerate().map(places).collect();
        agree(&places, &mut lines);
        lines.iter().map(|signs| signs.iter().map(|sign| sign.char).collect()).collect()
    }

    #[test]
    fn two_glyphs_of_a_terminal_are_two_characters() {
        let zero = [('0', 0.999, 'O', 0.001); 4];
        // Read among letters, and beside a zero.
        assert_eq!(agreed(&[&[('O', 0.85, '0', 0.15), ('0', 0.985, 'O', 0.015)], &zero]), ["OO", "0000"]);
        // Without a zero to compare it with, the surer reading counts.
        assert_eq!(agreed(&[&[('O', 0.85, '0', 0.15), ('0', 0.985, 'O', 0.015)]]), ["00"]);
        // A bold zero is another glyph, and still a zero.
        assert_eq!(agreed(&[&[('0', 0.99, 'O', 0.01), ('0', 0.6, 'O', 0.4)], &zero]), ["00", "0000"]);
    }

    #[test]
    fn a_glyph_may_differ_by_a_few_levels_and_by_no_stroke() {
        let glyph = |pixels: [u8; 4], rise: isize| Glyph { width: 2, pixels: pixels.to_vec(), rise };
        let first = glyph([0, 200, 200, 0], 0);
        assert!(first.is_like(&glyph([3, 197, 203, 0], 1)));
        assert!(!first.is_like(&glyph([3, 197, 203, 90], 0)));
        assert!(!first.is_like(&glyph([0, 200, 200, 0], 4)), "a comma is no apostrophe");
    }
}
