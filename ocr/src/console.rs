//! Text consoles, read exactly: cells of one size from the upper left corner, each with a glyph of a known font. A
//! glyph that is not known is unknown; the nearest one is never taken for it.

mod builtin;
mod cell;
mod font;
mod grid;
mod learn;
mod pack;
mod psf;
mod survey;

use std::path::Path;
use std::sync::Arc;

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading};

use self::cell::Pixels;
use self::survey::{Survey, share};

pub use self::cell::CellSize;
pub use self::font::Font;
pub use self::grid::{Cell, Grid, UNKNOWN};
pub use self::learn::{Lesson, learn};

/// Places of a frame that are looked at to say which sizes its cells may have.
const SAMPLE: usize = 64;
/// The share of sampled cells with known glyphs that makes a closer look worth its time.
const PROMISING: f32 = 0.3;

/// Reads text consoles.
///
/// ```
/// use driver_core::{Deadline, Frame, OcrEngine as _};
///
/// let black = Frame::new(720, 400, vec![0; 720 * 400 * 3]).expect("a picture");
/// let engine = ocr::ConsoleEngine::builtin();
/// assert!(engine.decode(&black).is_none());
/// // As an engine it reads nothing there.
/// assert_eq!(engine.read(&black, Deadline::far())?.text(), "");
/// # Ok::<(), driver_core::OcrError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConsoleEngine {
    fonts: Arc<[Font]>,
}

impl ConsoleEngine {
    /// The word that manifests use.
    pub const NAME: &str = "console";

    /// With the fonts that are part of the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self { fonts: builtin::fonts() }
    }

    /// With these fonts alone.
    #[must_use]
    pub fn with_fonts(fonts: Vec<Font>) -> Self {
        Self { fonts: fonts.into() }
    }

    /// With the built-in fonts, and before them those in the files of these directories: PSF files and glyph packs.
    ///
    /// # Errors
    /// A directory that cannot be read, or a file in it that is no font.
    pub fn with_directories<'a>(directories: impl IntoIterator<Item = &'a Path>) -> Result<Self, FontError> {
        let mut fonts = Vec::new();
        for directory in directories {
            fonts.extend(fonts_in(directory)?);
        }
        if fonts.is_empty() {
            return Ok(Self::builtin());
        }
        fonts.extend_from_slice(&builtin::fonts());
        Ok(Self::with_fonts(fonts))
    }

    /// The fonts that it knows.
    #[must_use]
    pub fn fonts(&self) -> &[Font] {
        &self.fonts
    }

    /// The cells of a console's screen; `None` when the frame shows none, or one with a font that is not known.
    #[must_use]
    pub fn decode(&self, frame: &Frame) -> Option<Grid> {
        let pixels = Pixels::new(frame);
        let places = pixels.busy_places(SAMPLE);
        let mut sizes: Vec<_> = self.fonts.iter().map(Font::size).collect();
        sizes.sort_unstable_by_key(|size| (size.width, size.height));
        sizes.dedup();
        let with_share = |size| {
            let fonts: Vec<_> = self.fonts.iter().filter(|font| font.size() == size).collect();
            (share(&pixels, size, &places, &fonts), fonts, size)
        };
        let mut promising: Vec<_> = sizes.into_iter().map(with_share).collect();
        promising.retain(|(share, ..)| *share >= PROMISING);
        promising.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
        promising.into_iter().find_map(|(_, fonts, size)| {
            let survey = Survey::new(&pixels, size);
            // The first of those that know as much.
            let best = fonts.into_iter().rev().max_by_key(|font| survey.known_cells(font))?;
            Some(Grid::read(&survey, best)).filter(Grid::is_console)
        })
    }
}

impl OcrEngine for ConsoleEngine {
    fn name(&self) -> &str {
        Self::NAME
    }

    /// A frame that is no console has no text for this engine.
    fn read(&self, frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
        let nothing = || Reading { engine: Self::NAME.to_owned(), lines: Vec::new() };
        Ok(self.decode(frame).map_or_else(nothing, |grid| grid.reading(Self::NAME)))
    }
}

/// A font that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the console font `{path}` cannot be used: {problem}")]
pub struct FontError {
    path: String,
    problem: String,
}

impl FontError {
    fn new(path: &Path, problem: impl ToString) -> Self {
        Self { path: path.display().to_string(), problem: problem.to_string() }
    }
}

/// Reads the fonts in a file: a PSF file, or a glyph pack. A PSF file for cells of 8 pixels is also known as a VGA
/// shows it.
///
/// # Errors
/// When it is neither, or is broken.
pub fn read_fonts(file: &Path) -> Result<Vec<Font>, FontError> {
    let failed = |problem: String| FontError::new(file, problem);
    let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    if file.extension().is_some_and(|ending| ending == "glyphs") {
        let text = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        return pack::read(&text).map_err(failed);
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".psfu").trim_end_matches(".psf");
    let font = psf::read(name, &bytes).map_err(failed)?;
    Ok([font].into_iter().chain(psf::read_as_vga(name, &bytes)).collect())
}

/// The text of a glyph pack with these fonts, with a comment at its top.
#[must_use]
pub fn write_pack(comment: &str, fonts: &[Font]) -> String {
    pack::write(comment, fonts)
}

fn fonts_in(directory: &Path) -> Result<Vec<Font>, FontError> {
    let entries = std::fs::read_dir(directory).map_err(|error| FontError::new(directory, error))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut fonts = Vec::new();
    for file in files.iter().filter(|file| is_font(file)) {
        fonts.extend(read_fonts(file)?);
    }
    Ok(fonts)
}

fn is_font(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    [".glyphs", ".psf", ".psfu", ".psf.gz", ".psfu.gz"].iter().any(|ending| name.ends_with(ending))
}
