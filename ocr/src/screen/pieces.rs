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
    /// How many pixels wide its characters are, if all are as wide as each other.
    pub(super) cell: Option<usize>,
}

impl Text {
    /// The same in a frame that is larger by a factor.
    pub(super) fn enlarge(&mut self, factor: usize) {
        self.piece.area = self.piece.area.times(factor);
        self.cell = self.cell.map(|cell| cell * factor);
        let times = |value: &mut u32| *value = value.saturating_mul(u32::try_from(factor).unwrap_or(1));
        for rect in self.words.iter_mut().filter_map(|word| word.rect.as_mut()) {
            [&mut rect.x, &mut rect.y, &mut rect.width, &mut rect.height].into_iter().for_each(times);
        }
    }

    /// How sure the reader was of its characters, on average; 0 when there are none.
    pub(super) fn sureness(&self) -> f32 {
        mean([self].into_iter())
    }

    /// Whether there is no use in reading it in other ways.
    pub(super) fn is_sure(&self) -> bool {
        self.sureness() > 0.95
    }
}

/// The mean sureness of all characters; 0 when there are none.
#[expect(clippy::cast_precision_loss, reason = "a line has few characters")]
fn mean<'a>(texts: impl Iterator<Item = &'a Text>) -> f32 {
    let words = texts.flat_map(|text| &text.words);
    let (count, sum) = words.fold((0.0_f32, 0.0), |(count, sum), word| {
        let characters = word.text.chars().count() as f32;
        (count + characters, sum + characters * word.confidence.unwrap_or(0.0))
    });
    sum / count.max(1.0)
}

/// Moves words that were read in a part of the frame to where the part is.
pub(super) fn shift(words: &mut [Word], part: Area) {
    for rect in words.iter_mut().filter_map(|word| word.rect.as_mut()) {
        rect.x += u32::try_from(part.left).unwrap_or(0);
        rect.y += u32::try_from(part.top).unwrap_or(0);
    }
}

/// What must be seen where nothing else was: pictures have much that looks a little like a letter.
const SURE: f32 = 0.8;

/// Both readings of a screen, and where they read the same place, the surer one.
pub(super) fn better(mut first: Vec<Text>, second: Vec<Text>) -> Vec<Text> {
    for text in second {
        let area = text.piece.area;
        let pixels = |area: Area| area.width() * area.height();
        let same = |other: &Text| {
            let both = area.shared(&other.piece.area) * 2;
            both >= pixels(other.piece.area) || both >= pixels(area)
        };
        let old: Vec<&Text> = first.iter().filter(|other| same(other)).collect();
        let least = if old.is_empty() { SURE } else { mean(old.into_iter()) };
        if text.sureness() > least {
            first.retain(|other| !same(other));
            first.push(text);
        }
    }
    first
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
                width: (right.x + right.width).saturating_sub(left.x),
                height: (left.y + left.height).max(right.y + right.height) - left.y.min(right.y),
            });
            last.confidence = last.confidence.zip(first.confidence).map(|(one, other)| one.min(other));
        }
        words.extend(more);
    }
    TextLine { words }
}
