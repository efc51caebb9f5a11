//! Ink that hangs together: letters, dots, and what is none of them, which is erased.

use super::plane::{Area, Plane};
use super::scale::FAINT;

/// More than any text has: 8K full of it in the smallest fonts.
const MOST: usize = 600_000;

/// A piece of ink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) area: Area,
    /// Its pixels.
    pub(super) ink: usize,
}

impl Mark {
    /// The share of its box that is ink.
    #[expect(clippy::cast_precision_loss, reason = "a share of a few thousand pixels")]
    fn fill(&self) -> f32 {
        self.ink as f32 / (self.area.width() * self.area.height()) as f32
    }

    /// Whether it is a line that something is ruled with, drawn straight.
    fn is_rule(&self) -> bool {
        let (width, height) = (self.area.width(), self.area.height());
        (height <= 3 && width >= 40) || (width <= 3 && height >= 40)
    }

    /// Whether it is too large for a letter, or hollow as a window is.
    fn is_large(&self) -> bool {
        let (width, height) = (self.area.width(), self.area.height());
        (width > 40 && height > 24 && self.fill() < 0.25) || height > 120 || (width > 500 && height > 60)
    }

    /// Whether its edges are drawn, as those of buttons, fields and boxes to tick.
    fn is_framed(&self, pixels: &[u32], across: usize) -> bool {
        let (width, height) = (self.area.width(), self.area.height());
        if width < 9 || height < 9 || self.fill() >= 0.6 {
            return false;
        }
        let edges = edges(self.area, pixels, across);
        let [top, bottom, left, right] = edges;
        if width <= 28 {
            return width >= 10
                && height >= 10
                && width.abs_diff(height) <= 3
                && edges.iter().all(|edge| *edge > 0.85);
        }
        // Letters that touch have a base and a roof as well, but are not as empty.
        let field = height >= 15 && self.fill() < 0.3 && top > 0.55 && bottom > 0.55 && left.max(right) > 0.5;
        let corner = top.max(bottom) > 0.8 && left.max(right) > 0.8;
        field || (height >= 12 && self.fill() < 0.4 && corner)
    }
}

/// The shares of the box's top, bottom, left and right side along which there is ink.
#[expect(clippy::cast_precision_loss, reason = "a share of a few thousand pixels")]
fn edges(area: Area, pixels: &[u32], across: usize) -> [f32; 4] {
    let mut rows = [vec![false; area.width()], vec![false; area.width()]];
    let mut columns = [vec![false; area.height()], vec![false; area.height()]];
    for index in pixels {
        let (x, y) = (*index as usize % across - area.left, *index as usize / across - area.top);
        rows[0][x] |= y <= 1;
        rows[1][x] |= y + 2 >= area.height();
        columns[0][y] |= x <= 1;
        columns[1][y] |= x + 2 >= area.width();
    }
    let share = |side: &Vec<bool>| side.iter().filter(|ink| **ink).count() as f32 / side.len() as f32;
    [share(&rows[0]), share(&rows[1]), share(&columns[0]), share(&columns[1])]
}

/// Whether a pixel counts as ink.
pub(super) fn is_ink(strength: u8) -> bool {
    strength >= FAINT
}

/// Finds the marks, and erases what frames and rules there are; `erased` is given the boxes of those.
///
/// `None` when there are so many that it is noise.
pub(super) fn marks(ink: &mut Plane, erased: &mut Vec<Area>) -> Option<Vec<Mark>> {
    let mut seen = vec![false; ink.pixels.len()];
    let (mut marks, mut pixels, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..ink.pixels.len() {
        if seen[start] || !is_ink(ink.pixels[start]) {
            continue;
        }
        pixels.clear();
        let area = fill(ink, start, &mut seen, &mut open, &mut pixels);
        let mark = Mark { area, ink: pixels.len() };
        if mark.is_large() || mark.is_rule() || mark.is_framed(&pixels, ink.width) {
            for index in &pixels {
                ink.pixels[*index as usize] = 0;
            }
            erased.push(area);
        } else {
            marks.push(mark);
            if marks.len() > MOST {
                return None;
            }
        }
    }
    Some(marks)
}

/// Collects the ink that hangs together with `start`, diagonally too. Half as large as usual, places fit an 8K frame
/// that is all ink into the memory that there is.
#[expect(clippy::cast_possible_truncation, reason = "a frame has fewer than 2^32 pixels")]
pub(super) fn fill(
    ink: &Plane,
    start: usize,
    seen: &mut [bool],
    open: &mut Vec<u32>,
    pixels: &mut Vec<u32>,
) -> Area {
    let mut area = Area { left: usize::MAX, top: usize::MAX, right: 0, bottom: 0 };
    seen[start] = true;
    open.push(start as u32);
    while let Some(index) = open.pop() {
        pixels.push(index);
        let (x, y) = (index as usize % ink.width, index as usize / ink.width);
        area = area.with(&Area { left: x, top: y, right: x + 1, bottom: y + 1 });
        for row in y.saturating_sub(1)..(y + 2).min(ink.height) {
            for column in x.saturating_sub(1)..(x + 2).min(ink.width) {
                let next = row * ink.width + column;
                if !seen[next] && is_ink(ink.pixels[next]) {
                    seen[next] = true;
                    open.push(next as u32);
                }
            }
        }
    }
    area
}
