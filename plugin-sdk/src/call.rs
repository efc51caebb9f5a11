//! A call from outside: panics are caught, errors become statuses and messages, async code is waited for.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use driver_core::{Deadline, DriverError};
use plugin_abi::{Buf, Status, Str};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    /// Whether this thread is in a call: its panics are told to innkeeper, not to the terminal.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
    /// What the last panic of this thread said.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Why a call fails.
#[derive(Debug)]
pub(crate) struct Problem {
    status: Status,
    message: String,
}

impl Problem {
    pub(crate) fn new(status: Status, message: impl Display) -> Self {
        Self { status, message: message.to_string() }
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Self::new(Status::FAILED, message)
    }
}

impl From<DriverError> for Problem {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Usage { message } => Self::new(Status::USAGE, message),
            DriverError::Launch { problem, way_out, .. } => {
                Self::new(Status::REFUSED, format!("{}\n{way_out}", one_line(&problem)))
            }
            DriverError::Host { problem, way_out, .. } => {
                Self::new(Status::HOST, format!("{}\n{way_out}", one_line(&problem)))
            }
            DriverError::Timeout { awaited, seen, .. } => {
                let seen = seen.map_or_else(String::new, |seen| format!(" (last seen: {seen})"));
                Self::new(Status::TIMED_OUT, awaited + &seen)
            }
            DriverError::Exited { exit, .. } => match serde_json::to_string(&exit) {
                Ok(json) => Self::new(Status::EXITED, json),
                Err(_) => Self::failed(exit),
            },
            other => Self::failed(other.chain()),
        }
    }
}

/// Innkeeper takes the second line of a message for the way out.
pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "; ")
}

/// Does the work of a call, and says in `message` what went wrong.
///
/// # Safety
/// `message` is null or points to an empty buffer.
pub(crate) unsafe fn guarded(message: *mut Buf, work: impl FnOnce() -> Result<(), Problem>) -> Status {
    hook_once();
    let was_in_call = IN_CALL.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    IN_CALL.set(was_in_call);
    let problem = match done {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(problem)) => problem,
        Err(payload) => {
            let words = PANIC.take().unwrap_or_else(|| words_of(payload.as_ref()));
            // Dropping it may panic once more.
            std::mem::forget(payload);
            Problem::new(Status::PANICKED, words)
        }
    };
    // SAFETY: the caller says that it is null or a buffer.
    unsafe { fill(message, problem.message.into_bytes()) };
    problem.status
}

/// Puts bytes into a buffer of innkeeper's.
///
/// # Safety
/// `place` is null or points to an empty buffer.
pub(crate) unsafe fn fill(place: *mut Buf, bytes: Vec<u8>) {
    let length = bytes.len();
    // SAFETY: the caller says so.
    if let Some(place) = unsafe { place.as_mut() }
        && length > 0
    {
        let data = Box::into_raw(bytes.into_boxed_slice()).cast();
        *place = Buf { data, length, free: Some(free) };
    }
}

/// Takes back what [`fill`] has made.
unsafe extern "C" fn free(data: *mut u8, length: usize) {
    // SAFETY: `fill` made it of a box of that length, and innkeeper gives it back once.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, length)) });
}

/// The text that innkeeper lends.
///
/// # Safety
/// It must be there for as long as `'a`.
pub(crate) unsafe fn text<'a>(text: Str) -> Result<&'a str, Problem> {
    // SAFETY: the caller says so.
    let bytes = unsafe { text.bytes() };
    str::from_utf8(bytes).map_err(|_| Problem::new(Status::USAGE, "innkeeper gave a text that is not UTF-8"))
}

/// Waits for async code, on the plugin's own runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    Ok(runtime()?.block_on(work))
}

pub(crate) fn runtime() -> Result<&'static Runtime, Problem> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("plugin").enable_all();
        builder.build().map_err(|error| format!("no runtime for async code can be made: {error}"))
    });
    made.as_ref().map_err(Problem::failed)
}

/// The deadline that innkeeper gives.
pub(crate) fn deadline(within_ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(within_ms))
}

/// The hook is this library's own: each has its own standard library.
fn hook_once() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IN_CALL.get() {
                let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
                PANIC.set(Some(words_of(info.payload()) + &place));
            } else {
                usual(info);
            }
        }));
    });
}

fn words_of(payload: &(dyn Any + Send)) -> String {
    let words = payload.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
