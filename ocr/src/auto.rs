//! The engine for every test: consoles exactly, and another engine for what is none.

use std::sync::Arc;

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, Rect, TextLine, Word};

use crate::console::{ConsoleEngine, Grid, UNKNOWN};
use crate::part::{keep, lies_in};

/// Reads consoles exactly. Another engine reads what is no console, and those words of a console that have glyphs of no
/// known font.
#[derive(Debug)]
pub struct AutoEngine {
    console: ConsoleEngine,
    rest: Option<Arc<dyn OcrEngine>>,
}

impl AutoEngine {
    /// The word that manifests use.
    pub const NAME: &str = "auto";

    /// Made of these; without `rest` only consoles are read.
    #[must_use]
    pub fn new(console: ConsoleEngine, rest: Option<Arc<dyn OcrEngine>>) -> Self {
        Self { console, rest }
    }

    /// Asks the other engine for the words of a console that have unknown glyphs.
    fn complete(
        &self,
        frame: &Frame,
        grid: &Grid,
        rest: &dyn OcrEngine,
        within: Deadline,
    ) -> Result<Reading, OcrError> {
        let mut reading = grid.reading(ConsoleEngine::NAME);
        // Rows that follow each other are one picture: an engine has more to go by.
        let mut unclear: Vec<Rect> = Vec::new();
        for line in reading.lines.iter().filter(|line| line.words.iter().any(is_unclear)) {
            let Some(rect) = line.words.iter().find_map(|word| word.rect) else { continue };
            match unclear.last_mut() {
                Some(last) if last.y + last.height == rect.y => last.height += rect.height,
                _ => unclear.push(Rect { x: 0, width: frame.width(), ..rect }),
            }
        }
        let mut words = Vec::new();
        for rect in unclear {
            let part = cut(frame, rect);
            let found = rest.read(&part, within)?;
            words.extend(found.lines.into_iter().flat_map(|line| line.words).map(|word| moved(word, rect)));
        }
        if !words.is_empty() {
            reading.engine = format!("{}, {}", ConsoleEngine::NAME, rest.name());
            reading.lines.iter_mut().for_each(|line| replace(line, &words));
        }
        Ok(reading)
    }
}

impl OcrEngine for AutoEngine {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        match (self.console.decode(frame), &self.rest) {
            (Some(grid), Some(rest)) if grid.unknown_cells() > 0 => {
                self.complete(frame, &grid, rest.as_ref(), within)
            }
            (Some(grid), _) => Ok(grid.reading(ConsoleEngine::NAME)),
            (None, Some(rest)) => rest.read(frame, within),
            (None, None) => self.console.read(frame, within),
        }
    }

    /// Whether it is a console shows the whole frame alone, and a console is read in no time.
    fn read_part(&self, frame: &Frame, part: Rect, within: Deadline) -> Option<Result<Reading, OcrError>> {
        let mut reading = match (self.console.decode(frame), &self.rest) {
            (Some(grid), Some(rest)) if grid.unknown_cells() > 0 => {
                self.complete(frame, &grid, rest.as_ref(), within)
            }
            (Some(grid), _) => Ok(grid.reading(ConsoleEngine::NAME)),
            (None, Some(rest)) => return rest.read_part(frame, part, within),
            (None, None) => return None,
        };
        if let Ok(reading) = &mut reading {
            keep(reading, part);
        }
        Some(reading)
    }
}

fn is_unclear(word: &Word) -> bool {
    word.text.contains(UNKNOWN)
}

/// Puts what the other engine read into the places of the words that the console's fonts do not know.
fn replace(line: &mut TextLine, found: &[Word]) {
    let words = std::mem::take(&mut line.words);
    for word in words {
        let instead: Vec<_> = match word.rect.filter(|_| is_unclear(&word)) {
            Some(rect) => found.iter().filter(|other| lies_in(other, rect)).cloned().collect(),
            None => Vec::new(),
        };
        if instead.is_empty() { line.words.push(word) } else { line.words.extend(instead) }
    }
}

fn moved(mut word: Word, by: Rect) -> Word {
    if let Some(rect) = &mut word.rect {
        rect.x += by.x;
        rect.y += by.y;
    }
    word
}

/// Whole rows of a frame.
fn cut(frame: &Frame, rows: Rect) -> Frame {
    let bytes = frame.width() as usize * 3;
    let pixels = &frame.rgb()[rows.y as usize * bytes..][..rows.height as usize * bytes];
    Frame::new(frame.width(), rows.height, pixels.to_owned()).unwrap_or_else(|| frame.clone())
}
