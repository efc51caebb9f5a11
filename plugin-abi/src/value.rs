//! The values that cross: statuses, borrowed texts, buffers that carry their own free.

use core::ptr;

/// What came of a call. Any other number is taken for `FAILED`.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// All went well.
    pub const OK: Self = Self(0);
    /// It did not; the message says why.
    pub const FAILED: Self = Self(1);
    /// The plugin has a bug, and must not be called again. The message says what happened.
    pub const PANICKED: Self = Self(2);
    /// It did not happen within the time that was given. The message says what was waited for.
    pub const TIMED_OUT: Self = Self(3);
    /// The call makes no sense. The message says what is possible.
    pub const USAGE: Self = Self(4);
    /// The description of the machine, or a file that it names, is wrong. The message's first line says what is
    /// wrong, the second what to do about it.
    pub const REFUSED: Self = Self(5);
    /// This host cannot do it. The message is made as for `REFUSED`.
    pub const HOST: Self = Self(6);
    /// The machine has ended. The message is JSON, as from `wait_exit`.
    pub const EXITED: Self = Self(7);
}

/// A text in UTF-8, borrowed for the time of the call. Not terminated by a zero.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Str {
    /// The first byte; anything when `length` is zero.
    pub data: *const u8,
    /// How many bytes there are.
    pub length: usize,
}

// SAFETY: it only says where bytes are that nobody changes; whoever reads them answers for that.
unsafe impl Sync for Str {}
// SAFETY: as above.
unsafe impl Send for Str {}

impl Str {
    /// Borrows a text.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { data: text.as_ptr(), length: text.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// The text must be there for as long as `'a`.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.length == 0 || self.data.is_null() {
            return &[];
        }
        // SAFETY: `data` is not null, and the caller answers for what is there.
        unsafe { core::slice::from_raw_parts(self.data, self.length) }
    }
}

/// Bytes that one side made and the other reads. The caller hands in an empty one; the callee may fill it; the
/// caller then calls `free` if that is not null, once.
#[repr(C)]
#[derive(Debug)]
pub struct Buf {
    /// The first byte; anything when `length` is zero.
    pub data: *mut u8,
    /// How many bytes there are.
    pub length: usize,
    /// Gives the bytes back to whoever made them. Null when nothing has to be given back.
    pub free: Option<unsafe extern "C" fn(data: *mut u8, length: usize)>,
}

impl Buf {
    /// Nothing.
    pub const EMPTY: Self = Self { data: ptr::null_mut(), length: 0, free: None };
}

/// For `connect`: the serial console, both ways.
pub const PORT_CONSOLE: u32 = 0;
/// For `connect`: the guest's root shell.
pub const PORT_SHELL: u32 = 1;
/// For `connect`: the port for the contents of files. A machine may have none: then the call fails.
pub const PORT_BULK: u32 = 2;

/// For `line` of the log: what a user wants to read.
pub const LEVEL_INFO: u32 = 0;
/// For `line` of the log: something odd that did not stop the machine.
pub const LEVEL_WARNING: u32 = 1;
