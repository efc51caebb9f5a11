//! Reads whatever is on a screen: a line finder of its own, and a small network that reads one line at a time.
//!
//! The finder does what makes the network's task easy: it separates ink from any background ([`ink`]), puts letters
//! together to lines, and hands each of them over at one height and full contrast, bright on black. Lines that were
//! read before are known again by their pixels.

mod cache;
mod cells;
mod drawn;
mod ink;
mod large;
mod likeness;
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
use crate::part::keep;

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

    fn read_part(&self, frame: &Frame, part: Rect, within: Deadline) -> Option<Result<Reading, OcrError>> {
        let around = Rect {
            x: part.x.saturating_sub(MARGIN),
            y: part.y.saturating_sub(MARGIN),
            width: part.width.saturating_add(2 * MARGIN),
            height: part.height.saturating_add(2 * MARGIN),
        };
        let mut reading = Reading::of_part(self, frame, around.within(frame.whole()), within);
        if let Ok(reading) = &mut reading {
            keep(reading, part);
        }
        Some(reading)
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
