//! From a frame to its lines: the finder's steps in their order, and the model at the end of each.

use std::sync::{Mutex, OnceLock, PoisonError};

use driver_core::{Deadline, Frame, OcrError, TextLine};

use super::cache::Cache;
use super::ink::{Ground, Ink};
use super::pieces::{Piece, Text};
use super::plane::{Area, Plane};
use super::reader::{ReadError, Reader, Sign};
use super::scale::Strip;
use super::{check, drawn, error, ink, large, late, likeness, lines, marks, photo, pieces, scale, words};

/// The model and its alphabet; `training/` says how they are made.
static MODEL: &[u8] = include_bytes!("../../models/screen.onnx");
const ALPHABET: &str = include_str!("../../models/screen.alphabet");

/// Lines that are read of one frame: more are noise.
const MOST_LINES: usize = 8000;
/// Lines that are tried again without outline.
const MOST_OUTLINED: usize = 500;

/// Our finder and our model.
#[derive(Default)]
pub(super) struct Pipeline {
    /// Loaded when it is needed first.
    reader: OnceLock<Result<Reader, String>>,
    cache: Mutex<Cache>,
}

impl Pipeline {
    /// Reads a frame.
    ///
    /// # Errors
    /// When the time is up, or the model cannot be run.
    pub(super) fn read(&self, frame: &Frame, within: Deadline) -> Result<Vec<TextLine>, OcrError> {
        let mut found = self.read_ink(frame, within)?;
        for factor in large::FACTORS {
            if let Some(smaller) = large::smaller(frame, factor) {
                found = pieces::better(found, self.read_large(frame, &smaller, factor, within)?);
            }
        }
        Ok(pieces::rows(found))
    }

    /// Reads what is written on plain backgrounds, and then what is written on pictures.
    fn read_ink(&self, frame: &Frame, within: Deadline) -> Result<Vec<Text>, OcrError> {
        let ground = ink::ground(frame);
        let Ink { mut strength, texture } = ink::ink(frame, &ground);
        let mut erased = Vec::new();
        let mut found = self.read_lines(&mut strength, 0, strips, &mut erased, within)?;
        self.read_outlined(frame, &ground, &mut found, within)?;
        let drawn = drawn::drawn(frame, &ground, &erased, &found);
        drop((ground, strength, erased));
        for mut strokes in photo::strokes(frame, &texture) {
            found = pieces::better(found, self.read_lines(&mut strokes, 0, strips, &mut Vec::new(), within)?);
        }
        found.extend(drawn);
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
        let mut found = self.read_lines(&mut strength, large::LEAST, sharp, &mut Vec::new(), within)?;
        for mut strokes in photo::strokes(smaller, &texture) {
            let more = self.read_lines(&mut strokes, large::LEAST, strips, &mut Vec::new(), within)?;
            found = pieces::better(found, more);
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
        let unsure = found.iter_mut().filter(|text| !text.is_sure()).take(MOST_OUTLINED);
        let outlined: Vec<(&mut Text, [Plane; 2])> = unsure
            .filter_map(|text| ink::sides(frame, ground, text.piece.area).map(|sides| (text, sides)))
            .collect();
        let sides = outlined.iter().flat_map(|(_, sides)| sides);
        let strips: Vec<Strip> = sides.map(|side| scale::strip(side, side.area())).collect();
        let mut signs = self.read_strips(&strips, within)?.into_iter();
        for (text, sides) in outlined {
            for side in &sides {
                let mut words = words::words(&signs.next().unwrap_or_default(), side.area(), side);
                pieces::shift(&mut words, text.piece.area);
                let other = Text { words, ..*text };
                if other.sureness() > text.sureness() {
                    *text = other;
                }
            }
        }
        Ok(())
    }

    /// Finds and reads the lines of at least `least` rows; `erased` is given what was taken for frames.
    fn read_lines(
        &self,
        ink: &mut Plane,
        least: usize,
        strips: impl Fn(&[Piece], &Plane) -> Vec<Strip>,
        erased: &mut Vec<Area>,
        within: Deadline,
    ) -> Result<Vec<Text>, OcrError> {
        check(within)?;
        let Some(marks) = marks::marks(ink, erased) else { return Ok(Vec::new()) };
        let lines = lines::lines(ink, &marks).into_iter().filter(|line| line.height() >= least);
        let pieces: Vec<Piece> = lines.flat_map(|line| pieces::pieces(ink, line)).take(MOST_LINES).collect();
        check(within)?;
        let mut signs = self.read_strips(&strips(&pieces, ink), within)?;
        let widths = likeness::settle(ink, &pieces, &mut signs);
        let texts = pieces.into_iter().zip(signs).zip(widths).map(|((piece, signs), cell)| Text {
            piece,
            words: words::words(&signs, piece.area, ink),
            cell,
        });
        Ok(texts.filter(|text| !text.words.is_empty()).collect())
    }

    fn reader(&self) -> Result<&Reader, OcrError> {
        let reader = self.reader.get_or_init(|| Reader::new(MODEL, ALPHABET));
        reader.as_ref().map_err(|problem| error(&format!("its model cannot be loaded: {problem}"), ""))
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
                words::with_spaces_of_cells(&mut signs);
                cache.put(*hash, signs.clone());
                *read = Some(signs);
            }
        }
        Ok(read.into_iter().flatten().collect())
    }
}

fn strips(pieces: &[Piece], ink: &Plane) -> Vec<Strip> {
    pieces.iter().map(|piece| scale::strip(ink, piece.area)).collect()
}
