//! Reading the tables of a plugin: only as far as they say that they reach, and only when all is there that must
//! be.

use std::mem::{MaybeUninit, offset_of};

use plugin_abi::{
    BackendTable, KeyboardTable, MonitorTable, OcrTable, PointerTable, PowerTable, ReporterTable, ScreenTable,
};

/// A table that a plugin may have.
///
/// # Safety
/// The struct is `repr(C)`, begins with its size as a `usize`, and all zeros are a value of it.
pub(crate) unsafe trait Table: Copy {
    /// What messages call it.
    const WHAT: &'static str;
    /// The size that it had in the first version of the ABI, without what may be missing.
    const LEAST: usize;

    /// A function that must be there and is not.
    fn missing(&self) -> Option<&'static str>;
}

/// Copies a table; `None` when there is none. What is wrong with it is a sentence without a subject.
///
/// # Safety
/// `table` is null, or points to a size in bytes and as many bytes.
pub(crate) unsafe fn read<T: Table>(table: *const T) -> Result<Option<T>, String> {
    if table.is_null() {
        return Ok(None);
    }
    if !table.is_aligned() {
        return Err(format!("its {} stands at an odd address", T::WHAT));
    }
    // SAFETY: the caller says that there is a size in front.
    let size = unsafe { table.cast::<usize>().read() };
    if size < T::LEAST {
        return Err(format!(
            "its {} has {size} bytes, while the first version of this ABI has {}",
            T::WHAT,
            T::LEAST
        ));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    let covered = size.min(size_of::<T>());
    // SAFETY: the caller says that `size` bytes are there, and `copy` has room for as many of its own.
    unsafe { table.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr().cast(), covered) };
    // SAFETY: what was not copied is zero, and `Table` says that this is a value.
    let copy = unsafe { copy.assume_init() };
    match copy.missing() {
        None => Ok(Some(copy)),
        Some(function) => Err(format!("its {} lacks the function `{function}`", T::WHAT)),
    }
}

/// Writes the implementation for one table: its name, its first optional field or end, and what must be there.
macro_rules! table {
    ($type:ty, $what:literal, $least:expr, $($function:ident),+) => {
        // SAFETY: `plugin-abi` has it as `repr(C)`, with its size in front; zero is a null pointer, an empty text
        // or the number.
        unsafe impl Table for $type {
            const WHAT: &'static str = $what;
            const LEAST: usize = $least;

            fn missing(&self) -> Option<&'static str> {
                $(if self.$function.is_none() {
                    return Some(stringify!($function));
                })+
                None
            }
        }
    };
}

table!(
    BackendTable,
    "backend",
    offset_of!(BackendTable, screen),
    open,
    close,
    probe,
    check,
    launch,
    connect,
    request_shutdown,
    wait_exit,
    destroy,
    release
);
table!(ScreenTable, "facet `screen`", size_of::<ScreenTable>(), capture);
table!(KeyboardTable, "facet `keyboard`", size_of::<KeyboardTable>(), press);
table!(MonitorTable, "facet `monitor`", size_of::<MonitorTable>(), command);
table!(PowerTable, "facet `power`", size_of::<PowerTable>(), reset);
table!(PointerTable, "facet `pointer`", size_of::<PointerTable>(), act);
table!(OcrTable, "OCR engine", size_of::<OcrTable>(), open, read, close);
table!(ReporterTable, "reporter", size_of::<ReporterTable>(), open, record, finish, close);

/// Calls a function of a table. [`read`] has seen to it that it is there; one that is not fails.
macro_rules! invoke {
    ($function:expr, $($argument:expr),+) => {
        match $function {
            // SAFETY: the plugin answers for what its functions do, and is given what the contract says.
            Some(function) => unsafe { function($($argument),+) },
            None => plugin_abi::Status::FAILED,
        }
    };
}
pub(crate) use invoke;
