//! Reads whatever is on a screen: a line finder of its own, and a small network that reads one line at a time.
//!
//! The finder does what makes the network's task easy: it separates ink from any background ([`ink`]), puts letters
//! together to lines, and hands each of them over at one height and full contrast, bright on black. Lines that were read
//! before are known again by their pixels.

mod cache;
mod ink;
mod large;
mod lines;
mod marks;
mod original;
mod photo;
mod pieces;
mod pipeline;
mod plane;
mod reader;
mod scale;
mod words;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, Rect};

use self::pipeline::Pipeline;

/// Pixels of an 8K display, and some: more would take more memory than a test driver should.
const MOST_PIXELS: u64 = 7680 * 4320 * 5 / 4;
/// Pixels around a part of a frame that are looked at as well: text is found by what it stands on.
const MARGIN: u32 = 24;

/// Reads screens with a model that is part of the program.
///
/// ```
/// use driver_core::{Deadline, Frame, OcrEngine};
///
/// let blank = Frame::new(64, 32, vec![255; 64 * 32 * 3]).expect("as many pixels as it says");
/// let reading = ocr::ScreenEngine::builtin().read(&blank, Deadline::far())?;
/// assert!(reading.lines.is_empty());
/// # Ok::<(), driver_core::OcrError>(())
/// ```
pub struct ScreenEngine {
    models: Models,
}

/// Who reads.
enum Models {
    /// Our finder and our model.
    Own(Box<Pipeline>),
    /// ocrs with the models that a user gave.
    Given(Box<ocrs::OcrEngine>),
}

impl ScreenEngine {
    /// The word that manifests use.
    pub const NAME: &str = "screen";

    /// The engine with the model that is part of the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self { models: Models::Own(Box::default()) }
    }

    /// The engine with models that were made for ocrs, in its `.rten` or in ONNX: one that finds words, and one that
    /// reads them. They are larger and slower than ours, and know photographs of text as well.
    ///
    /// # Errors
    /// When a file cannot be read, or is no such model.
    pub fn with_models(detection: &Path, recognition: &Path) -> Result<Self, OcrError> {
        let engine = original::load(detection, recognition)?;
        Ok(Self { models: Models::Given(Box::new(engine)) })
    }

    /// Reads a part of a frame; boxes are in pixels of the whole frame.
    ///
    /// # Errors
    /// As [`OcrEngine::read`]. A part that is not inside the frame is read as far as it is.
    pub fn read_part(&self, frame: &Frame, part: Rect, within: Deadline) -> Result<Reading, OcrError> {
        let left = part.x.saturating_sub(MARGIN).min(frame.width());
        let top = part.y.saturating_sub(MARGIN).min(frame.height());
        let right = part.x.saturating_add(part.width).saturating_add(MARGIN).min(frame.width());
        let bottom = part.y.saturating_add(part.height).saturating_add(MARGIN).min(frame.height());
        let row = |y: u32| {
            let start = (y as usize * frame.width() as usize + left as usize) * 3;
            &frame.rgb()[start..start + (right - left) as usize * 3]
        };
        let pixels: Vec<u8> = (top..bottom).flat_map(row).copied().collect();
        let Some(cut) = Frame::new(right - left, bottom - top, pixels) else { return Ok(empty()) };
        let mut reading = self.read(&cut, within)?;
        for line in &mut reading.lines {
            line.words.retain_mut(|word| {
                let Some(rect) = &mut word.rect else { return true };
                rect.x += left;
                rect.y += top;
                let (x, y) = (rect.x + rect.width / 2, rect.y + rect.height / 2);
                x >= part.x && x - part.x < part.width && y >= part.y && y - part.y < part.height
            });
        }
        reading.lines.retain(|line| !line.words.is_empty());
        Ok(reading)
    }
}

impl OcrEngine for ScreenEngine {
    fn name(&self) -> &str {
        ScreenEngine::NAME
    }

    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        if u64::from(frame.width()) * u64::from(frame.height()) > MOST_PIXELS {
            let problem = format!("the frame of {}x{} pixels is too large", frame.width(), frame.height());
            return Err(error(&problem, "it reads up to 8K; cut out a part"));
        }
        // What a network library does with a strange picture must not end the test.
        let read = || match &self.models {
            Models::Own(pipeline) => Ok(Reading { lines: pipeline.read(frame, within)?, ..empty() }),
            Models::Given(engine) => check(within).and_then(|()| original::read(engine, frame)),
        };
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
            Err(error("it broke down over this frame: a bug", "another engine may read it"))
        })
    }
}

impl fmt::Debug for ScreenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScreenEngine").finish_non_exhaustive()
    }
}

fn empty() -> Reading {
    Reading { engine: ScreenEngine::NAME.to_owned(), lines: Vec::new() }
}

fn error(problem: &str, way_out: &str) -> OcrError {
    OcrError {
        engine: ScreenEngine::NAME.to_owned(),
        problem: problem.to_owned(),
        way_out: way_out.to_owned(),
    }
}

fn late(within: Deadline) -> OcrError {
    error(&format!("the frame was not read within {:?}", within.limit()), "a smaller part of it takes less")
}

fn check(within: Deadline) -> Result<(), OcrError> {
    if within.is_over() { Err(late(within)) } else { Ok(()) }
}
