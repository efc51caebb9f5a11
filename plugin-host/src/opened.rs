//! What a plugin has opened: a backend, an engine, a reporter.

use std::ffi::c_void;
use std::ptr;

use plugin_abi::{Buf, Status};

use crate::gate::{Fault, SharedGate};
use crate::table::invoke;

/// A function of a table that ends what another one has opened.
type Close = Option<unsafe extern "C" fn(*mut c_void) -> Status>;

/// A pointer that a plugin gave, and that only it looks behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opaque(pub(crate) *mut c_void);

// SAFETY: the contract lets the calls that it is handed to come from any thread, several at once.
unsafe impl Send for Opaque {}
// SAFETY: as above.
unsafe impl Sync for Opaque {}

/// Something that is open. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) pointer: Opaque,
    pub(crate) gate: SharedGate,
    close: Close,
}

impl Opened {
    /// Opens by `open`, which is given the places for the pointer and for a message.
    pub(crate) fn new(
        gate: SharedGate,
        close: Close,
        open: impl FnOnce(*mut *mut c_void, *mut Buf) -> Status + Send + 'static,
    ) -> Result<Self, Fault> {
        let pointer = gate.call_blocking("open", gate.call_limit(), move |message| {
            let mut pointer = ptr::null_mut();
            (open(&raw mut pointer, message), Opaque(pointer))
        })?;
        Ok(Self { pointer, gate, close })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let (pointer, close) = (self.pointer, self.close);
        let close = move |_message| {
            let pointer = pointer;
            (invoke!(close, pointer.0), ())
        };
        if !self.gate.is_aside()
            && let Err(fault) = self.gate.call_blocking("close", self.gate.call_limit(), close)
        {
            tracing::warn!(%fault, "what a plugin has opened could not be closed");
        }
    }
}
