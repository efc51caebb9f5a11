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
mod photo;
mod pieces;
mod plane;
mod reader;
mod scale;
mod words;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, Rect};

use self::cache::Cache;
use self::ink::{Ground, Ink};
use self::pieces::{Piece, Text};
use self::plane::Plane;
use self::reader::{ReadError, Reader, Sign};
use self::scale::Strip;

/// The word for this engine in manifests.
/// The model and its alphabet; `training/` says how they are made.
static MODEL: &[u8] = include_bytes!("../models/screen.onnx");
const ALPHABET: &str = include_str!("../models/screen.alphabet");

/// Pixels of an 8K display, and some: more would take more memory than a test driver should.
const MOST_PIXELS: u64 = 7680 * 4320 * 5 / 4;
/// Lines that are read of one frame: more are noise.
const MOST_LINES: usize = 8000;
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
    /// Loaded when it is needed first.
    reader: OnceLock<Result<Reader, String>>,
    cache: Mutex<Cache>,
}

impl ScreenEngine {
    /// The word that manifests use.
    pub const NAME: &str = "screen";

    /// The engine with the model that is part of the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self { reader: OnceLock::new(), cache: Mutex::default() }
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

    fn reader(&self) -> Result<&Reader, OcrError> {
        let reader = self.reader.get_or_init(|| Reader::new(MODEL, ALPHABET));
        reader.as_ref().map_err(|problem| error(&format!("its model cannot be loaded: {problem}"), ""))
    }

    fn read_screen(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        let mut found = self.read_ink(frame, within)?;
        for factor in large::FACTORS {
            if let Some(smaller) = large::smaller(frame, factor) {
                found = pieces::better(found, self.read_large(frame, &smaller, factor, within)?);
            }
        }
        Ok(Reading { lines: pieces::rows(found), ..empty() })
    }

    /// Reads what is written on plain backgrounds, and then what is written on pictures.
    fn read_ink(&self, frame: &Frame, within: Deadline) -> Result<Vec<Text>, OcrError> {
        let ground = ink::ground(frame);
        let Ink { mut strength, texture } = ink::ink(frame, &ground);
        let mut found = self.read_lines(&mut strength, 0, strips, within)?;
        self.read_outlined(frame, &ground, &mut found, within)?;
        drop((ground, strength));
        for mut strokes in photo::strokes(frame, &texture) {
            found = pieces::better(found, self.read_lines(&mut strokes, 0, strips, within)?);
        }
        Ok(found)
    }

    /// Reads what is larger than ordinary text.
    fn read_large(
        &self,
        frame: &Frame,
        smaller: &Frame,
        factor: usize,
        within: Deadline,
    ) -> Result<Vec<Text>, OcrError> {
        let ground = ink::ground(smaller);
        let Ink { mut strength, texture } = ink::ink(smaller, &ground);
        let sharp = |pieces: &[Piece], _: &Plane| {
            let planes = pieces.iter().map(|piece| large::sharp(frame, &ground, factor, piece.area));
            planes.map(|plane| scale::strip(&plane, plane.area())).collect()
        };
        let mut found = self.read_lines(&mut strength, large::LEAST, sharp, within)?;
        for mut strokes in photo::strokes(smaller, &texture) {
            found = pieces::better(found, self.read_lines(&mut strokes, large::LEAST, strips, within)?);
        }
        found.iter_mut().for_each(|text| text.enlarge(factor));
        Ok(found)
    }

    /// Reads the lines of which the model was not sure again, without their outlines and shadows.
    fn read_outlined(
        &self,
        frame: &Frame,
        ground: &[Ground],
        found: &mut [Text],
        within: Deadline,
    ) -> Result<(), OcrError> {
        for text in found.iter_mut().filter(|text| !text.is_sure()) {
            let area = text.piece.area;
            let Some(sides) = ink::sides(frame, ground, area) else { continue };
            let strips: Vec<Strip> = sides.iter().map(|side| scale::strip(side, side.area())).collect();
            for (signs, side) in self.read_strips(&strips, within)?.iter().zip(&sides) {
                let mut words = words::words(signs, side.area(), side);
                pieces::shift(&mut words, area);
                let other = Text { piece: text.piece, words };
                if other.sureness() > text.sureness() {
                    *text = other;
                }
            }
        }
        Ok(())
    }

    /// Finds and reads the lines of at least `least` rows.
    fn read_lines(
        &self,
        ink: &mut Plane,
        least: usize,
        strips: impl Fn(&[Piece], &Plane) -> Vec<Strip>,
        within: Deadline,
    ) -> Result<Vec<Text>, OcrError> {
        check(within)?;
        let Some(marks) = marks::marks(ink) else { return Ok(Vec::new()) };
        let lines = lines::lines(ink, &marks).into_iter().filter(|line| line.height() >= least);
        let pieces: Vec<Piece> = lines.flat_map(|line| pieces::pieces(ink, line)).take(MOST_LINES).collect();
        check(within)?;
        let signs = self.read_strips(&strips(&pieces, ink), within)?;
        let text =
            |(piece, signs): (Piece, Vec<Sign>)| Text { piece, words: words::words(&signs, piece.area, ink) };
        Ok(pieces.into_iter().zip(signs).map(text).filter(|text| !text.words.is_empty()).collect())
    }

    fn read_strips(&self, strips: &[Strip], within: Deadline) -> Result<Vec<Vec<Sign>>, OcrError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let hashes: Vec<u64> = strips.iter().map(|strip| cache.hash(strip)).collect();
        let mut read: Vec<Option<Vec<Sign>>> = hashes.iter().map(|hash| cache.get(*hash)).collect();
        drop(cache);
        let new: Vec<&Strip> =
            strips.iter().zip(&read).filter(|(_, read)| read.is_none()).map(|(strip, _)| strip).collect();
        if !new.is_empty() {
            let answers = self.reader()?.read(&new, within).map_err(|problem| match problem {
                ReadError::Late => late(within),
                ReadError::Model(problem) => error(&format!("its model cannot be run: {problem}"), ""),
            })?;
            cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = hashes.iter().zip(&mut read).filter(|(_, read)| read.is_none());
            for ((hash, read), mut signs) in missing.zip(answers) {
                words::without_echoes(&mut signs);
                cache.put(*hash, signs.clone());
                *read = Some(signs);
            }
        }
        Ok(read.into_iter().flatten().collect())
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
        catch_unwind(AssertUnwindSafe(|| self.read_screen(frame, within))).unwrap_or_else(|_| {
            Err(error("it broke down over this frame: a bug", "another engine may read it"))
        })
    }
}

impl fmt::Debug for ScreenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScreenEngine").finish_non_exhaustive()
    }
}

fn strips(pieces: &[Piece], ink: &Plane) -> Vec<Strip> {
    pieces.iter().map(|piece| scale::strip(ink, piece.area)).collect()
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
