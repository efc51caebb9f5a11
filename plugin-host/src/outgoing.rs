//! What comes out of a plugin: buffers that are given back to it, and text that is safe to show.

use plugin_abi::{Buf, Str};

/// A buffer for a plugin to fill. What is in it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Outgoing(Buf);

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self(Buf::EMPTY)
    }

    /// Where the plugin writes.
    pub(crate) fn place(&mut self) -> *mut Buf {
        &raw mut self.0
    }

    /// A copy of what was written; the problem, if it is longer than `limit` bytes or nowhere.
    pub(crate) fn bytes(&self, limit: usize) -> Result<Vec<u8>, String> {
        let Buf { data, length, .. } = self.0;
        if length > limit {
            return Err(format!("gave {length} bytes where at most {limit} make sense"));
        }
        if data.is_null() && length > 0 {
            return Err(format!("gave {length} bytes at no address"));
        }
        // SAFETY: the plugin says that these bytes are there, until `free` is called.
        Ok(unsafe { Str { data, length }.bytes() }.to_vec())
    }

    /// The text that was written, made safe to show; the first `limit` bytes of it.
    pub(crate) fn text(&self, limit: usize) -> String {
        let Buf { data, length, .. } = self.0;
        // SAFETY: the plugin says that these bytes are there, until `free` is called.
        let bytes = unsafe { Str { data, length: length.min(limit) }.bytes() };
        printable(bytes)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(free) = self.0.free.take() {
            // SAFETY: as the contract has it: once, and with what came along.
            unsafe { free(self.0.data, self.0.length) };
        }
    }
}

/// The text of a plugin without what could play tricks on a terminal.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let safe = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.trim_end().chars().map(safe).collect()
}
