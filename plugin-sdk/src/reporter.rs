//! A [`Reporter`] as a table of plain functions.

use std::ffi::c_void;
use std::fmt::Display;
use std::path::PathBuf;
use std::ptr;

use driver_core::Reporter;
use driver_core::event::Record;
use plugin_abi::{Buf, ReporterTable, Status, Str};
use serde_json::Value;

use crate::call::{Problem, guarded, text};

/// The run that is reported.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// The result directory.
    pub directory: PathBuf,
}

/// What opening a reporter comes to.
pub type OpenedReporter = Result<Box<dyn Reporter>, String>;

/// Makes a reporter. [`crate::plugin!`] writes it.
pub trait ReporterSource {
    /// Makes it from the plugin's settings.
    ///
    /// # Errors
    /// Whatever its author says.
    fn open(settings: Value, run: Run) -> OpenedReporter;
}

/// Makes one kind of result of all.
///
/// # Errors
/// What there was, as text.
pub fn opened_reporter<R: Reporter + 'static, E: Display>(opened: Result<R, E>) -> OpenedReporter {
    opened.map(|reporter| Box::new(reporter) as Box<dyn Reporter>).map_err(|error| error.to_string())
}

/// The table of a reporter.
#[must_use]
pub const fn reporter_table<S: ReporterSource>(name: &'static str) -> ReporterTable {
    ReporterTable {
        size: size_of::<ReporterTable>(),
        name: Str::new(name),
        open: Some(open::<S>),
        record: Some(record),
        finish: Some(finish),
        close: Some(close),
    }
}

/// What the handle of a reporter points to.
struct Opened(Box<dyn Reporter>);

unsafe extern "C" fn open<S: ReporterSource>(
    settings: Str,
    directory: Str,
    reporter: *mut *mut c_void,
    message: *mut Buf,
) -> Status {
    let work = || {
        // SAFETY: innkeeper lends it for the call.
        let settings = unsafe { text(settings) }?;
        // SAFETY: innkeeper lends it for the call.
        let directory = unsafe { text(directory) }?.into();
        let settings = serde_json::from_str(settings).map_err(Problem::failed)?;
        let made = S::open(settings, Run { directory }).map_err(Problem::failed)?;
        // SAFETY: innkeeper gives a place for the handle.
        unsafe { reporter.write(Box::into_raw(Box::new(Opened(made))).cast()) };
        Ok(())
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn record(reporter: *mut c_void, record: Str, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `open` made, and calls one at a time.
        let reporter = unsafe { &mut *reporter.cast::<Opened>() };
        // SAFETY: innkeeper lends it for the call.
        let line = unsafe { text(record) }?;
        // What an innkeeper of tomorrow has to tell may be unknown to a plugin of today.
        let Ok(record) = serde_json::from_str::<Record>(line) else { return Ok(()) };
        reporter.0.record(&record).map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn finish(reporter: *mut c_void, message: *mut Buf) -> Status {
    let work = || {
        // SAFETY: innkeeper hands back what `open` made, and calls one at a time.
        let reporter = unsafe { &mut *reporter.cast::<Opened>() };
        reporter.0.finish().map_err(Problem::from)
    };
    // SAFETY: innkeeper gives an empty buffer.
    unsafe { guarded(message, work) }
}

unsafe extern "C" fn close(reporter: *mut c_void) -> Status {
    let work = || {
        // SAFETY: `open` made it, and this is the last call.
        drop(unsafe { Box::from_raw(reporter.cast::<Opened>()) });
        Ok(())
    };
    // SAFETY: there is no message.
    unsafe { guarded(ptr::null_mut(), work) }
}
