//! The table of a reporter.

use core::ffi::c_void;

use crate::value::{Buf, Status, Str};

/// Makes something of the events of a run. All functions must be there.
///
/// Threads: one call at a time, in the order of the events, not always from the same thread.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReporterTable {
    /// The size of this struct in the plugin's build, in bytes.
    pub size: usize,
    /// What the report is called.
    pub name: Str,
    /// A run begins. `settings`: the plugin's settings as JSON, an object or `null`. `directory`: the result
    /// directory, an absolute path. `*reporter` is handed to all other calls, and may stay null.
    pub open: Option<
        unsafe extern "C" fn(
            settings: Str,
            directory: Str,
            reporter: *mut *mut c_void,
            message: *mut Buf,
        ) -> Status,
    >,
    /// Takes one event: a line of events.jsonl without its end, see docs/results.md. A reporter that fails is asked
    /// no more.
    pub record: Option<unsafe extern "C" fn(reporter: *mut c_void, record: Str, message: *mut Buf) -> Status>,
    /// The run has ended, and no event comes after.
    pub finish: Option<unsafe extern "C" fn(reporter: *mut c_void, message: *mut Buf) -> Status>,
    /// Forgets the run, whether it was finished or not.
    pub close: Option<unsafe extern "C" fn(reporter: *mut c_void) -> Status>,
}

// SAFETY: a table and all that it points to are never written to.
unsafe impl Sync for ReporterTable {}
// SAFETY: as above.
unsafe impl Send for ReporterTable {}
