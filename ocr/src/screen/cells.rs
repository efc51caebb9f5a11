//! Lines whose characters are equally wide, as in terminals: their cells, from the columns that no letter touches, and
//! the one sign that each of them has.

use super::plane::{Area, Plane};
use super::reader::Sign;
use super::scale::{FAINT, HEIGHT};

/// Cells that a line must have at least, for chance not to make some of the gaps in it look even.
const LEAST: usize = 10;
/// From here on chance makes few of them even.
const MANY: usize = 25;
/// What it costs to leave a cell with ink without a sign. A sign that stands a cell off costs one.
const UNREAD: f32 = 1.0;

/// The cells of a line.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    /// Pixels from one to the next.
    pub(super) width: usize,
    /// Where each begins, and whether it has ink.
    cells: Vec<(usize, bool)>,
}

/// What stands where a line has ink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Its first column, and the one behind its last.
    pub(super) columns: (usize, usize),
    /// Which of the line's signs it was read as.
    pub(super) sign: Option<usize>,
}

impl Cells {
    /// The cells of a line that was read like this, if it has some.
    pub(super) fn find(ink: &Plane, area: Area, signs: &[Sign]) -> Option<Self> {
        let letters = |pair: &[Sign]| pair.iter().all(|sign| sign.char != ' ');
        let mut steps: Vec<usize> =
            signs.windows(2).filter(|pair| letters(pair)).map(|pair| pair[1].at - pair[0].at).collect();
        steps.sort_unstable();
        let usual = steps.get(steps.len() / 2)? * area.height() / HEIGHT;
        let columns = columns(ink, area);
        let (first, last) = (columns.iter().position(|ink| *ink)?, columns.iter().rposition(|ink| *ink)?);
        let columns = &columns[first..=last];
        let all = columns.iter().filter(|ink| **ink).count();
        let mut best: Option<(usize, usize, usize)> = None;
        for width in (usual * 3 / 4).max(4)..=usual * 13 / 10 {
            if columns.len() / width < LEAST {
                continue;
            }
            for edge in 0..width {
                let edges = columns.iter().skip(edge).step_by(width);
                let (count, inked) = (edges.len(), edges.filter(|ink| **ink).count());
                let per_mille = inked * 1000 / count;
                if best.is_none_or(|(least, ..)| per_mille < least) {
                    best = Some((per_mille, width, edge));
                }
            }
        }
        // Where letters have different widths, an edge is inked nearly as often as any other column; less often by
        // chance where there are few.
        let (per_mille, width, edge) = best?;
        let (part, whole) = if columns.len() / width < MANY { (1, 7) } else { (3, 10) };
        if per_mille * whole > part * all * 1000 / columns.len() {
            return None;
        }
        let left = (area.left + first + edge).checked_sub(width)?;
        let inked = |from: usize| {
            (from..from + width).any(|x| columns.get(x.wrapping_sub(area.left + first)) == Some(&true))
        };
        let cells = (left..area.left + first + columns.len()).step_by(width).map(|left| (left, inked(left)));
        Some(Self { width, cells: cells.collect() })
    }

    /// The same cells in a line above or below, if that keeps to them.
    pub(super) fn continued(&self, ink: &Plane, area: Area) -> Option<Self> {
        let columns = columns(ink, area);
        let (first, last) = (columns.iter().position(|ink| *ink)?, columns.iter().rposition(|ink| *ink)?);
        let edge = self.cells.first()?.0 % self.width;
        let left = (area.left + first).checked_sub((area.left + first + self.width - edge) % self.width)?;
        let lefts: Vec<usize> = (left..=area.left + last).step_by(self.width).collect();
        // What crosses from cell to cell is drawn through: thinner than a letter is high.
        let is_crossed = |left: &usize| {
            let heights = [left - 1, *left]
                .map(|x| (area.top..area.bottom).filter(|y| ink.pixels[y * ink.width + x] >= FAINT).count());
            heights.iter().all(|height| height * 5 > area.height())
        };
        let crossed = lefts[1..].iter().filter(|left| is_crossed(left)).count();
        if crossed * 4 > lefts.len() {
            return None;
        }
        let inked = |from: usize| {
            (from..from + self.width).any(|x| columns.get(x.wrapping_sub(area.left)) == Some(&true))
        };
        Some(Self { width: self.width, cells: lefts.into_iter().map(|left| (left, inked(left))).collect() })
    }

    /// The cells with ink, and which sign each was read as. `None` when the signs do not stand as the cells do.
    pub(super) fn spans(&self, area: Area, signs: &[Sign]) -> Option<Vec<Span>> {
        let inked: Vec<usize> = self.cells.iter().filter(|(_, ink)| *ink).map(|(left, _)| *left).collect();
        let letters: Vec<usize> = (0..signs.len()).filter(|sign| signs[*sign].char != ' ').collect();
        let pairs = self.pair(area, &inked, signs, &letters);
        if pairs.iter().flatten().count() * 8 < letters.len() * 7 {
            return None;
        }
        let span = |(left, pair): (&usize, &Option<usize>)| Span {
            columns: (*left, left + self.width),
            sign: pair.map(|letter| letters[letter]),
        };
        Some(inked.iter().zip(&pairs).map(span).collect())
    }

    /// For each cell the letter that belongs to it: in the order of both, so that it costs least.
    #[expect(clippy::cast_precision_loss, reason = "columns of a screen")]
    fn pair(&self, area: Area, cells: &[usize], signs: &[Sign], letters: &[usize]) -> Vec<Option<usize>> {
        let off = |cell: usize, letter: usize| {
            let place = (area.left + signs[letters[letter]].at * area.height() / HEIGHT) as f32;
            (place - cells[cell] as f32 - self.width as f32 / 2.0).abs() / self.width as f32
        };
        // What is read that is not there costs the more, the surer the model was.
        let drop = |letter: usize| 0.3 + signs[letters[letter]].confidence;
        let across = letters.len() + 1;
        let mut costs = vec![0.0_f32; (cells.len() + 1) * across];
        for letter in 1..across {
            costs[letter] = costs[letter - 1] + drop(letter - 1);
        }
        for cell in 1..=cells.len() {
            costs[cell * across] = costs[(cell - 1) * across] + UNREAD;
            for letter in 1..across {
                let paired = costs[(cell - 1) * across + letter - 1] + off(cell - 1, letter - 1);
                let unread = costs[(cell - 1) * across + letter] + UNREAD;
                let dropped = costs[cell * across + letter - 1] + drop(letter - 1);
                costs[cell * across + letter] = paired.min(unread).min(dropped);
            }
        }
        let mut pairs = vec![None; cells.len()];
        let (mut cell, mut letter) = (cells.len(), letters.len());
        while cell > 0 && letter > 0 {
            let cost = costs[cell * across + letter];
            if cost >= costs[(cell - 1) * across + letter - 1] + off(cell - 1, letter - 1) {
                (cell, letter) = (cell - 1, letter - 1);
                pairs[cell] = Some(letter);
            } else if cost >= costs[(cell - 1) * across + letter] + UNREAD {
                cell -= 1;
            } else {
                letter -= 1;
            }
        }
        pairs
    }

    /// A line of these signs, each in the cell that begins there, with a space where cells between them are blank.
    pub(super) fn write(&self, area: Area, signs: &[(usize, Sign)]) -> Vec<Sign> {
        let mut written: Vec<Sign> = Vec::with_capacity(signs.len());
        let mut end = None;
        for (left, sign) in signs {
            let at = (left + self.width / 2).saturating_sub(area.left) * HEIGHT / area.height();
            if end.is_some_and(|end| end < *left) {
                written.push(Sign {
                    char: ' ',
                    at: at.saturating_sub(1),
                    confidence: 1.0,
                    ..Sign::default()
                });
            }
            written.push(Sign { at, ..*sign });
            end = Some(left + self.width);
        }
        written
    }
}

/// For each column of an area whether it has ink.
pub(super) fn columns(ink: &Plane, area: Area) -> Vec<bool> {
    let mut columns = vec![false; area.width()];
    for y in area.top..area.bottom {
        for (column, pixel) in columns.iter_mut().zip(ink.row(y, area)) {
            *column |= *pixel >= FAINT;
        }
    }
    columns
}
