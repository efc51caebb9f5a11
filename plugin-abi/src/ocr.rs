//! The table of an OCR engine.

use core::ffi::c_void;

use crate::value::{Buf, Status, Str};

/// An engine that reads the text in a picture. All functions must be there.
///
/// Threads: one call at a time, not always from the same thread.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct OcrTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// The word that manifests use.
    pub name: Str,
    /// Makes the engine. `settings`: the plugin's settings as JSON, an object or `null`. `*engine` is handed to all
    /// other calls, and may stay null.
    pub open:
        Option<unsafe extern "C" fn(settings: Str, engine: *mut *mut c_void, message: *mut Buf) -> Status>,
    /// Reads a frame, which is borrowed for the call. `reading`: JSON, see docs/plugins.md.
    pub read: Option<
        unsafe extern "C" fn(
            engine: *mut c_void,
            frame: *const Frame,
            within_ms: u64,
            reading: *mut Buf,
            message: *mut Buf,
        ) -> Status,
    >,
    /// Ends the engine.
    pub close: Option<unsafe extern "C" fn(engine: *mut c_void) -> Status>,
}

// SAFETY: a table and all that it points to are never written to.
unsafe impl Sync for OcrTable {}
// SAFETY: as above.
unsafe impl Send for OcrTable {}

/// A picture: rows from top to bottom, without gaps, three bytes a pixel: red, green, blue.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The first byte of `width * height * 3`.
    pub rgb: *const u8,
}
