//! The contract with OCR engines: a frame in; words with boxes, lines and confidence out.

use std::fmt;
use std::io::Cursor;

use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::error::hint;

/// Bytes that decoding a picture may take: an 8K display has 100 MB.
const DECODED_LIMIT: usize = 512 << 20;

/// Reads the text in pictures. It blocks; driver-core calls it off the async threads.
///
/// ```
/// use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading};
///
/// /// Reads nothing.
/// #[derive(Debug)]
/// struct Blind;
///
/// impl OcrEngine for Blind {
///     fn name(&self) -> &str {
///         "blind"
///     }
///     fn read(&self, _frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
///         Ok(Reading::default())
///     }
/// }
/// ```
pub trait OcrEngine: fmt::Debug + Send + Sync {
    /// The word that manifests use, such as `tesseract`.
    fn name(&self) -> &str;

    /// Reads a frame.
    ///
    /// # Errors
    /// When the engine lacks something that it needs, or takes too long. A frame without text is none.
    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError>;

    /// Reads only what lies in a part of a frame, which is inside it, and gives the places of words in the whole
    /// frame. `None`, the default, when the engine gains nothing by that; it is then given whole frames only.
    ///
    /// A wait asks for the rows that have changed. They are cut between lines of text as far as that can be seen, so
    /// an engine to which a part is as good as a whole picture answers with [`Reading::of_part`].
    fn read_part(&self, frame: &Frame, part: Rect, within: Deadline) -> Option<Result<Reading, OcrError>> {
        let _ = (frame, part, within);
        None
    }
}

/// Why an engine could not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("OCR engine `{engine}`: {problem}{}", hint(.way_out))]
pub struct OcrError {
    /// The engine's name.
    pub engine: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it; empty when there is nothing to say.
    pub way_out: String,
}

/// A picture: rows from top to bottom, three bytes a pixel: red, green, blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// A picture that is none.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be read: {problem}")]
pub struct FrameError {
    problem: String,
}

impl FrameError {
    pub(crate) fn new(problem: &str) -> Self {
        Self { problem: problem.to_owned() }
    }
}

impl Frame {
    /// A picture of `width * height * 3` bytes; `None` when there are more or fewer.
    #[must_use]
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Option<Self> {
        let bytes = u64::from(width) * u64::from(height) * 3;
        (rgb.len() as u64 == bytes).then_some(Self { width, height, rgb })
    }

    /// A picture with a colour for each pixel, as told by its distances from the left and from above.
    pub(crate) fn drawn(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { width, height, rgb: pixels.flat_map(|(x, y)| colour(x, y)).collect() }
    }

    /// Reads a PNG of any kind.
    ///
    /// # Errors
    /// What is wrong with it: no PNG, cut off, too large.
    pub fn from_png(bytes: &[u8]) -> Result<Self, FrameError> {
        let failed = |error: png::DecodingError| FrameError { problem: error.to_string() };
        let limits = png::Limits { bytes: DECODED_LIMIT };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(failed)?;
        let size = reader.output_buffer_size().filter(|size| *size <= DECODED_LIMIT);
        let mut pixels = vec![0; size.ok_or_else(|| FrameError { problem: "it is too large".to_owned() })?];
        let info = reader.next_frame(&mut pixels).map_err(failed)?;
        let channels = info.color_type.samples();
        // Grey has one channel, and transparency is the last one.
        let rgb = pixels
            .chunks_exact(channels)
            .flat_map(|pixel| if channels < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] })
            .collect();
        Self::new(info.width, info.height, rgb)
            .ok_or_else(|| FrameError { problem: "it is not as large as it says".to_owned() })
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

/// What an engine has read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// The engine's name: one that asks others says who has answered.
    #[serde(default)]
    pub engine: String,
    /// The lines, in the order in which a person reads them.
    pub lines: Vec<TextLine>,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TextLine {
    /// Its words, from left to right.
    pub words: Vec<Word>,
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it stands, as far as the engine knows.
    #[serde(default)]
    pub rect: Option<Rect>,
    /// From 0 to 1, as far as the engine knows.
    #[serde(default)]
    pub confidence: Option<f32>,
}

/// A part of a frame, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    /// From the left.
    pub x: u32,
    /// From above.
    pub y: u32,
    /// To the right.
    pub width: u32,
    /// Down.
    pub height: u32,
}

impl Reading {
    /// The text: words with a space between them, each line with its end.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| line.text() + "\n").collect()
    }

    /// Has `engine` read a part of a frame as a picture of its own; places are those in the whole frame.
    ///
    /// # Errors
    /// As [`OcrEngine::read`].
    pub fn of_part(
        engine: &(impl OcrEngine + ?Sized),
        frame: &Frame,
        part: Rect,
        within: Deadline,
    ) -> Result<Self, OcrError> {
        let mut reading = engine.read(&frame.part(part), within)?;
        for rect in
            reading.lines.iter_mut().flat_map(|line| &mut line.words).filter_map(|word| word.rect.as_mut())
        {
            rect.x = rect.x.saturating_add(part.x);
            rect.y = rect.y.saturating_add(part.y);
        }
        Ok(reading)
    }
}

impl TextLine {
    /// The smallest part of the frame that has all its words, as far as the engine knows their places.
    #[must_use]
    pub fn rect(&self) -> Option<Rect> {
        self.words.iter().filter_map(|word| word.rect).reduce(Rect::around)
    }

    /// The line's text: its words with a space between them.
    #[must_use]
    pub fn text(&self) -> String {
        self.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    fn png(colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(colour);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn pictures_of_all_kinds_become_red_green_and_blue() {
        for (colour, pixels, rgb) in [
            (png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6][..], [1, 2, 3, 4, 5, 6]),
            (png::ColorType::Rgba, &[1, 2, 3, 255, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6]),
            (png::ColorType::Grayscale, &[7, 8], [7, 7, 7, 8, 8, 8]),
            (png::ColorType::GrayscaleAlpha, &[7, 255, 8, 255], [7, 7, 7, 8, 8, 8]),
        ] {
            let frame = Frame::from_png(&png(colour, pixels)).unwrap();
            assert_eq!((frame.width(), frame.height(), frame.rgb()), (2, 1, &rgb[..]), "{colour:?}");
        }
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let whole = png(png::ColorType::Rgb, &[0; 6]);
        for bytes in [&b""[..], b"P6 1 1 255 abc", &whole[..40], &whole[..8]] {
            let error = Frame::from_png(bytes).unwrap_err().to_string();
            assert!(error.starts_with("the picture cannot be read: "), "{error}");
        }
        assert!(Frame::new(2, 1, vec![0; 5]).is_none());
    }
}
