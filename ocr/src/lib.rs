//! Text in a frame: engines behind [`driver_core::OcrEngine`], each known by a word.
//!
//! - `console`: text consoles, cell by cell, exactly.
//! - `screen`: every other screen, with a model that is part of the crate.
//! - `tesseract`: the program, for those who have it and for languages that nothing else knows.
//! - `auto`: a console is read as one; what is none, or not all of it, by the best engine that there is.

mod auto;
mod boxes;
mod console;
mod engines;
mod part;
mod screen;
mod tesseract;

pub use auto::AutoEngine;
pub use boxes::boxes;
pub use console::{
    Cell, CellSize, ConsoleEngine, Font, FontError, Grid, Lesson, UNKNOWN, learn, read_fonts, write_pack,
};
pub use engines::{DEFAULT, NAMES, OpenError, Settings, open};
pub use screen::ScreenEngine;
pub use tesseract::Tesseract;
