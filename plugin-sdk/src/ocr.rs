//! An [`OcrEngine`] as a table of plain functions.

use std::ffi::c_void;
use std::fmt::Display;
use std::ptr;

use driver_core::OcrEngine;
use plugin_abi::{Buf, Frame, OcrTable, Status, Str};
use serde_json::Value;

use crate::call::{Problem, deadline, fill, guarded, one_line, text};

/// What opening an engine comes to.
pub type OpenedOcr = Result<Box<dyn OcrEngine>, String>;

/// Makes an engine. [`crate::plugin!`] writes it.
pub trait OcrSource {
    /// Makes it from the plugin's settings.
    ///
    /// # Errors
    /// Whatever its author says.
    fn open(settings: Value) -> OpenedOcr;
}

/// Makes one kind of result of all.
///
/// # Errors
/// What there was, as text.
pub fn opened_ocr<O: OcrEngine + 'static, E: Display>(opened: Result<O, E>) -> OpenedOcr {
    opened.map(|engine| Box::new(engine) as Box<dyn OcrEngine>).map_err(|error| error.to_string())
}

/// The table of an engine.
#[must_use]
pub const fn ocr_table<S: OcrSource>(name: &'static str) -> OcrTable {
    OcrTable {
        size: size_of::<OcrTable>(),
        name: Str::new(name),
        open: Some(open::<S>),
        read: Some(read),
        close: Some(close),
    }
}

/// What the handle of an engine points to.
struct Opened(Box<dyn OcrEngine>);

unsafe extern "C" fn open<S: OcrSource>(
    settings: Str,
    engine: *mut *mut c_void,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper lends it for the call.
        let settings = unsafe { text(settings) }?;
        let settings = serde_json::from_str(settings).map_err(Problem::failed)?;
        let made = Box::new(Opened(S::open(settings).map_err(Problem::failed)?));
        // SAFETY: innkeeper gives a place for the handle.
        unsafe { engine.write(Box::into_raw(made).cast()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn read(
    engine: *mut c_void,
    frame: *const Frame,
    within_ms: u64,
    reading: *mut Buf,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `open` made.
        let engine = unsafe { &*engine.cast::<Opened>() };
        // SAFETY: innkeeper lends a frame for the call.
        let Frame { width, height, rgb } = unsafe { *frame };
        let size = usize::try_from(u64::from(width) * u64::from(height) * 3).map_err(Problem::failed)?;
        // SAFETY: so many bytes are there, as the contract has it.
        let pixels = unsafe { Str { data: rgb, length: size }.bytes() }.to_vec();
        let frame = driver_core::Frame::new(width, height, pixels)
            .ok_or_else(|| Problem::new(Status::USAGE, "a frame without pixels"))?;
        let read = engine.0.read(&frame, deadline(within_ms));
        let read = read.map_err(|error| {
            Problem::new(Status::HOST, format!("{}\n{}", one_line(&error.problem), error.way_out))
        })?;
        let json = serde_json::to_vec(&read).map_err(Problem::failed)?;
        // SAFETY: innkeeper gives an empty buffer.
        unsafe { fill(reading, json) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn close(engine: *mut c_void) -> Status {
    let work = || {
        // SAFETY: `open` made it, and this is the last call.
        drop(unsafe { Box::from_raw(engine.cast::<Opened>()) });
        Ok(())
    };
    // SAFETY: there is no message.
    unsafe { guarded(ptr::null_mut(), work) }
}
