//! The plain C contract between innkeeper and its plugins: what a shared library exports, and what crosses.
//!
//! A plugin exports one static, [`SYMBOL`], of type [`PluginHeader`]. It points to up to three tables of
//! functions: a backend, an OCR engine, a reporter. `include/innkeeper-plugin.h` says the same in C and is made
//! from these files. Every function blocks; what may be called from which thread is said with each table.
//! Fields are only ever appended, and read only where the `size` in front covers them.

#![no_std]
#![expect(unsafe_code, reason = "raw pointers cross this boundary")]

mod backend;
mod header;
mod ocr;
mod reporter;
mod value;

pub use backend::{
    BackendTable, KeyboardTable, LogTable, MonitorTable, PointerTable, PowerTable, ScreenTable,
};
pub use header::{ABI_MAJOR, ABI_MINOR, MAGIC, PluginHeader, SYMBOL};
pub use ocr::{Frame, OcrTable};
pub use reporter::ReporterTable;
pub use value::{Buf, LEVEL_INFO, LEVEL_WARNING, PORT_BULK, PORT_CONSOLE, PORT_SHELL, Status, Str};
