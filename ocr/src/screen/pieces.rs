//! Lines are cut to what the model reads at once, and put in rows again.

use driver_core::{TextLine, Word};

use super::plane::{Area, Plane};
use super::scale::{FAINT, HEIGHT};

/// The widest strip that the model reads as well as a short one.
const WIDEST: usize = 1600;

/// A part of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) area: Area,
    /// It goes on without a gap where the piece before it ends.
    pub(super) goes_on: bool,
}

/// Cuts a line that is too long, where its gaps are widest.
pub(super) fn pieces(ink: &Plane, line: Area) -> Vec<Piece> {
    let limit = (WIDEST * line.height() / HEIGHT).max(line.height());
    let (mut pieces, mut left, mut goes_on) = (Vec::new(), line.left, false);
    while line.right - left > limit {
        let (mut best, mut length, mut run) = (left + limit, 0, 0);
        for x in left + limit / 2..left + limit {
            let blank = (line.top..line.bottom).all(|y| ink.pixels[y * ink.width + x] < FAINT);
            run = if blank { run + 1 } else { 0 };
            if run >= length && run > 0 {
                (length, best) = (run, x + 1 - run / 2);
            }
        }
        pieces.push(Piece { area: Area { left, right: best, ..line }, goes_on });
        goes_on = length * 5 < line.height();
        left = best;
    }
    pieces.push(Piece { area: Area { left, ..line }, goes_on });
    pieces
}

/// A piece that was read.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) piece: Piece,
    pub(super) words: Vec<Word>,
}

/// The lines of a screen in reading order: what stands side by side at one height is one line.
pub(super) fn rows(mut texts: Vec<Text>) -> Vec<TextLine> {
    texts.retain(|text| !text.words.is_empty());
    texts.sort_by_key(|text| (text.piece.area.middle(), text.piece.area.left));
    let mut rows: Vec<Vec<Text>> = Vec::new();
    for text in texts {
        let area = text.piece.area;
        let beside = |row: &Vec<Text>| {
            let first = row[0].piece.area;
            let (low, high) = (area.height().min(first.height()), area.height().max(first.height()));
            area.shared_rows(&first) * 2 >= low && high <= low * 3
        };
        // Sorted by height, a row that fits is among the last.
        match rows.iter_mut().rev().take(8).find(|row| beside(row)) {
            Some(row) => row.push(text),
            None => rows.push(vec![text]),
        }
    }
    rows.into_iter().map(line).collect()
}

fn line(mut row: Vec<Text>) -> TextLine {
    row.sort_by_key(|text| text.piece.area.left);
    let mut words: Vec<Word> = Vec::new();
    for text in row {
        let mut more = text.words.into_iter();
        if let Some(last) = words.last_mut().filter(|_| text.piece.goes_on)
            && let Some(first) = more.next()
        {
            last.text.push_str(&first.text);
            last.rect = last.rect.zip(first.rect).map(|(left, right)| driver_core::Rect {
                x: left.x,
                y: left.y.min(right.y),
                width: right.x + right.width - left.x,
                height: (left.y + left.height).max(right.y + right.height) - left.y.min(right.y),
            });
            last.confidence = last.confidence.zip(first.confidence).map(|(one, other)| one.min(other));
        }
        words.extend(more);
    }
    TextLine { words }
}
