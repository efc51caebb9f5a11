//! Frames and tables that a terminal draws of characters. The finder takes them for windows' edges; they are told from
//! those by the grid: their strokes, and the words between them, fit cells as wide as those of text that was read.

use driver_core::{Frame, Word};

use super::ink::Ground;
use super::marks;
use super::pieces::{Piece, Text};
use super::plane::{Area, Plane};
use super::words::rect;

/// Strokes that are shorter than this are letters.
const STROKE: usize = 16;
/// Pixels between the two parts of a double stroke.
const GAP: usize = 4;
/// Frames of a screen that are looked at: more are noise.
const MOST: usize = 200;

/// The cells in a part of the frame. Places are counted in halves of pixels from the part's corner: the middle of a
/// stroke of two pixels lies between them.
struct Cells {
    /// The middle of the first column that has a stroke, and of the first row.
    first: (usize, usize),
    width: usize,
    height: usize,
    columns: usize,
    rows: usize,
}

/// The characters of the frames in `erased`, in words.
pub(super) fn drawn(frame: &Frame, ground: &[Ground], erased: &[Area], found: &[Text]) -> Vec<Text> {
    let mut widths: Vec<usize> = found.iter().filter_map(|text| text.cell).collect();
    widths.sort_unstable();
    widths.dedup();
    if widths.is_empty() {
        return Vec::new();
    }
    let mut areas: Vec<Area> = erased.to_vec();
    areas.retain(|area| area.width() >= STROKE && area.height() >= STROKE);
    areas.sort_by_key(|area| std::cmp::Reverse(size(*area)));
    areas.truncate(MOST);
    let (mut written, mut done): (Vec<Text>, Vec<Area>) = (Vec::new(), Vec::new());
    for area in &areas {
        if done.iter().any(|whole| whole.shared(area) == size(*area)) {
            continue;
        }
        let inside: Vec<&Text> =
            found.iter().filter(|text| text.piece.area.shared(area) * 2 > size(text.piece.area)).collect();
        let shape = shape(frame, ground, *area, &areas);
        if let Some(cells) = cells(&shape, *area, &widths, &inside) {
            written.extend(characters(&shape, *area, &cells));
            done.push(*area);
        }
    }
    written
}

fn size(area: Area) -> usize {
    area.width() * area.height()
}

/// The frames in an area, without the letters between them. A double one is two, one in the other.
fn shape(frame: &Frame, ground: &[Ground], area: Area, frames: &[Area]) -> Plane {
    let mut ink = Plane::black(area.width(), area.height());
    for (index, pixel) in ink.pixels.iter_mut().enumerate() {
        let (x, y) = (area.left + index % ink.width, area.top + index / ink.width);
        let place = y * frame.width() as usize + x;
        *pixel = ground[place].ink(frame, place);
    }
    let (mut seen, mut pixels) = (vec![false; ink.pixels.len()], Vec::new());
    for inner in frames.iter().filter(|inner| area.shared(inner) == size(**inner)) {
        let left = inner.left - area.left;
        let edge = (inner.top - area.top..inner.bottom - area.top).map(|y| y * ink.width + left);
        for start in edge.filter(|index| marks::is_ink(ink.pixels[*index])) {
            if !seen[start] {
                marks::fill(&ink, start, &mut seen, &mut Vec::new(), &mut pixels);
            }
        }
    }
    let strongest = pixels.iter().map(|index| ink.pixels[*index as usize]).max().unwrap_or(0);
    let mut shape = Plane::black(ink.width, ink.height);
    for index in pixels {
        // What is faint lies between the two parts of a stroke, or beside it.
        let strength = ink.pixels[index as usize];
        shape.pixels[index as usize] = u8::from(u16::from(strength) * 5 > u16::from(strongest) * 2);
    }
    shape
}

/// The middles of strokes, from `ink` of each of `lines` at each of `places` along it.
fn strokes(lines: usize, places: usize, ink: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut strokes: Vec<(usize, usize)> = Vec::new();
    for line in 0..lines {
        let (mut run, mut longest) = (0, 0);
        for place in 0..places {
            run = if ink(line, place) { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        if longest < STROKE {
            continue;
        }
        match strokes.last_mut() {
            Some((_, last)) if line <= *last + GAP => *last = line,
            _ => strokes.push((line, line)),
        }
    }
    strokes.into_iter().map(|(first, last)| first + last + 1).collect()
}

/// How far a distance is from the next multiple.
fn off(distance: usize, step: usize) -> usize {
    (distance % step).min(step - distance % step)
}

/// The cells that strokes and words fit; `None` when there are none: it is a window's frame.
fn cells(shape: &Plane, area: Area, widths: &[usize], inside: &[&Text]) -> Option<Cells> {
    let columns = strokes(shape.width, shape.height, |x, y| shape.pixels[y * shape.width + x] > 0);
    let rows = strokes(shape.height, shape.width, |y, x| shape.pixels[y * shape.width + x] > 0);
    let ([left, .., _], [top, .., _]) = (&columns[..], &rows[..]) else { return None };
    let fits = |strokes: &[usize], step: usize| strokes.iter().all(|at| off(at - strokes[0], step) <= 2);
    let is_word_in_cells = |word: &Word, width: usize| {
        let Some(rect) = word.rect else { return false };
        // The edge of some column to the left of all.
        let edge = (2 * area.left + left + width / 2) % width;
        let (from, to) = (2 * rect.x as usize + width - edge, 2 * rect.right() as usize + width - edge);
        let end = ((from + 2) / width + word.text.chars().count()) * width;
        to <= end + 2 && to + width > end
    };
    let words: Vec<&Word> = inside.iter().flat_map(|text| &text.words).collect();
    let letters: usize = words.iter().map(|word| word.text.chars().count()).sum();
    // Everything is counted in halves of pixels from here on.
    let width = widths.iter().map(|width| 2 * width).find(|width| {
        let in_cells = words.iter().filter(|word| is_word_in_cells(word, *width)).count();
        fits(&columns, *width) && letters >= 3 && in_cells * 5 >= words.len() * 4
    })?;
    let off_rows = |height: usize| {
        let middles = inside.iter().map(|text| text.piece.area.middle());
        middles.map(|middle| off(middle.abs_diff(2 * area.top + top), height)).sum::<usize>()
    };
    let heights = (width * 3 / 2..=width * 14 / 5)
        .filter(|height| fits(&rows, *height) && off_rows(*height) * 4 <= height * inside.len());
    let height = heights.min_by_key(|height| {
        let strokes: usize = rows.iter().map(|at| off(at - top, *height)).sum();
        off_rows(*height) + strokes * inside.len()
    })?;
    let count =
        |strokes: &[usize], step: usize| (strokes[strokes.len() - 1] - strokes[0] + step / 2) / step + 1;
    Some(Cells {
        first: (*left, *top),
        width,
        height,
        columns: count(&columns, width),
        rows: count(&rows, height),
    })
}

/// The characters of a shape in these cells; what stands side by side is a word.
fn characters(shape: &Plane, area: Area, cells: &Cells) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    for row in 0..cells.rows {
        let mut before = None;
        for column in 0..cells.columns {
            let middle = (cells.first.0 + column * cells.width, cells.first.1 + row * cells.height);
            let Some(sign) = sign(shape, middle, cells) else { continue };
            let around = |middle: usize, side: usize, most: usize| {
                (middle.saturating_sub(side) / 2, (middle + side).div_ceil(2).min(most))
            };
            let (left, right) = around(middle.0, cells.width / 2, area.width());
            let (top, bottom) = around(middle.1, cells.height / 2, area.height());
            let place = Area {
                left: area.left + left,
                right: area.left + right,
                top: area.top + top,
                bottom: area.top + bottom,
            };
            let last = texts.last_mut().filter(|_| before == Some(column.wrapping_sub(1)));
            if let Some((text, word)) = last.and_then(|text| {
                let Text { piece, words, .. } = text;
                Some((piece, words.last_mut()?))
            }) {
                text.area = text.area.with(&place);
                word.text.push(sign);
                word.rect = Some(rect(text.area));
            } else {
                let word = Word { text: sign.to_string(), rect: Some(rect(place)), confidence: Some(1.0) };
                texts.push(Text {
                    piece: Piece { area: place, goes_on: false },
                    words: vec![word],
                    cell: None,
                });
            }
            before = Some(column);
        }
    }
    texts
}

/// The character whose strokes leave the cell with this middle as the shape does.
fn sign(shape: &Plane, middle: (usize, usize), cells: &Cells) -> Option<char> {
    let (width, height) = (cells.width / 4 - 1, cells.height / 4 - 1);
    let (x, y) = (middle.0 / 2, middle.1 / 2);
    let at = |x: Option<usize>, y: Option<usize>| {
        let place = x.zip(y).filter(|(x, y)| *x < shape.width && *y < shape.height);
        place.is_some_and(|(x, y)| shape.pixels[y * shape.width + x] > 0)
    };
    // As far as the parts of a double stroke may be from the middle.
    let reach = GAP;
    let count = |ink: &dyn Fn(usize) -> bool| {
        let mut before = false;
        (0..=2 * reach).filter(|step| !std::mem::replace(&mut before, ink(*step)) && before).count()
    };
    let across = |y: Option<usize>| count(&|step| at((x + step).checked_sub(reach), y));
    let down = |x: Option<usize>| count(&|step| at(x, (y + step).checked_sub(reach)));
    let (above, below) = (across(y.checked_sub(height)), across(Some(y + height)));
    let (before, after) = (down(x.checked_sub(width)), down(Some(x + width)));
    Some(match (above, below, before, after) {
        (1, 1, 0, 0) => '│',
        (0, 0, 1, 1) => '─',
        (0, 1, 0, 1) => '┌',
        (0, 1, 1, 0) => '┐',
        (1, 0, 0, 1) => '└',
        (1, 0, 1, 0) => '┘',
        (1, 1, 0, 1) => '├',
        (1, 1, 1, 0) => '┤',
        (0, 1, 1, 1) => '┬',
        (1, 0, 1, 1) => '┴',
        (1, 1, 1, 1) => '┼',
        (2, 2, 0, 0) => '║',
        (0, 0, 2, 2) => '═',
        (0, 2, 0, 2) => '╔',
        (0, 2, 2, 0) => '╗',
        (2, 0, 0, 2) => '╚',
        (2, 0, 2, 0) => '╝',
        (2, 2, 0, 2) => '╠',
        (2, 2, 2, 0) => '╣',
        (0, 2, 2, 2) => '╦',
        (2, 0, 2, 2) => '╩',
        (2, 2, 2, 2) => '╬',
        (1, 1, 0, 2) => '╞',
        (1, 1, 2, 0) => '╡',
        (1, 1, 2, 2) => '╪',
        (2, 2, 0, 1) => '╟',
        (2, 2, 1, 0) => '╢',
        (2, 2, 1, 1) => '╫',
        (0, 1, 2, 2) => '╤',
        (1, 0, 2, 2) => '╧',
        (0, 2, 1, 1) => '╥',
        (2, 0, 1, 1) => '╨',
        _ => return None,
    })
}
