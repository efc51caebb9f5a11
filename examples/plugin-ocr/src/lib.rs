//! An OCR engine around a program of the user's choice: it is given the screen as a file, and what it prints is the
//! text. `tesseract FILE -`, if nobody says otherwise.
//!
//! ```toml
//! ocr = "program"
//! plugins = [{ path = "libplugin_ocr.so", settings = { command = ["gocr", "{}"] } }]
//! ```

mod program;

plugin_sdk::plugin! {
    name: "program",
    ocr: program::Program::open,
}
