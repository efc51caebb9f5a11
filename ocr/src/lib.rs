//! Text in a frame: engines behind [`driver_core::OcrEngine`], which are tried in this order.
//!
//! - `console`: text consoles, cell by cell, exactly.
//! - `screen`: everything else, with a model that is part of the crate.
//! - `tesseract`: the program, for languages that the model does not know.

mod screen;

pub use screen::ScreenEngine;
