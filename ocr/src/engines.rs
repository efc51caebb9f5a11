//! The engines by their words.

use std::path::PathBuf;
use std::sync::Arc;

use driver_core::{OcrEngine, OcrError};

use crate::auto::AutoEngine;
use crate::console::{ConsoleEngine, FontError};
use crate::screen::ScreenEngine;
use crate::tesseract::Tesseract;

/// The words of the engines. `tesseract` can have languages behind a colon, as in `tesseract:deu+eng`.
pub const NAMES: &[&str] = &[AutoEngine::NAME, ConsoleEngine::NAME, ScreenEngine::NAME, Tesseract::NAME];

/// The engine of those who name none.
pub const DEFAULT: &str = AutoEngine::NAME;

/// What engines can be told.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Directories with fonts of consoles, besides the built-in ones: PSF files and glyph packs.
    pub fonts: Vec<PathBuf>,
}

/// Why an engine cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A font of the user's is none.
    #[error(transparent)]
    Font(#[from] FontError),
    /// The engine itself lacks something.
    #[error(transparent)]
    Engine(#[from] OcrError),
}

/// The engine of that word; `None` when there is none.
///
/// # Errors
/// When it lacks something that it needs: a program, a font.
#[must_use]
pub fn open(word: &str, settings: &Settings) -> Option<Result<Arc<dyn OcrEngine>, OpenError>> {
    let (name, argument) =
        word.split_once(':').map_or((word, None), |(name, argument)| (name, Some(argument)));
    match (name, argument) {
        (AutoEngine::NAME, None) => Some(auto(settings)),
        (ConsoleEngine::NAME, None) => Some(console(settings).map(|engine| Arc::new(engine) as _)),
        (ScreenEngine::NAME, None) => Some(Ok(Arc::new(ScreenEngine::builtin()))),
        (Tesseract::NAME, languages) => {
            Some(Tesseract::find(languages).map(|engine| Arc::new(engine) as _).map_err(OpenError::from))
        }
        _ => None,
    }
}

fn console(settings: &Settings) -> Result<ConsoleEngine, OpenError> {
    Ok(ConsoleEngine::with_directories(settings.fonts.iter().map(PathBuf::as_path))?)
}

fn auto(settings: &Settings) -> Result<Arc<dyn OcrEngine>, OpenError> {
    Ok(Arc::new(AutoEngine::new(console(settings)?, Some(Arc::new(ScreenEngine::builtin())))))
}
