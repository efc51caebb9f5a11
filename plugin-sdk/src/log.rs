//! innkeeper's log of one machine as a [`MachineLog`].

use std::sync::{PoisonError, RwLock};

use driver_core::MachineLog;
use plugin_abi::{LEVEL_INFO, LEVEL_WARNING, LogTable, Str};

/// The log, until innkeeper takes it back.
#[derive(Debug)]
pub(crate) struct ForeignLog(RwLock<Option<Table>>);

#[derive(Debug)]
struct Table(*const LogTable);

// SAFETY: the contract lets the functions of the table be called from any thread.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl ForeignLog {
    /// # Safety
    /// `table` must be valid until [`ForeignLog::close`] is called.
    pub(crate) unsafe fn new(table: *const LogTable) -> Self {
        Self(RwLock::new((!table.is_null()).then_some(Table(table))))
    }

    /// What is said from now on is heard by nobody. Waits for those who speak.
    pub(crate) fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn with(&self, call: impl FnOnce(&LogTable)) {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Table(table)) = &*open {
            // SAFETY: it is valid while the lock is held: `close` has not taken it.
            call(unsafe { &**table });
        }
    }

    fn line(&self, level: u32, text: &str) {
        self.with(|table| {
            if let Some(line) = table.line {
                // SAFETY: innkeeper's own function, with its own context.
                unsafe { line(table.context, level, Str::new(text)) };
            }
        });
    }
}

impl MachineLog for ForeignLog {
    fn info(&self, text: &str) {
        self.line(LEVEL_INFO, text);
    }

    fn warning(&self, text: &str) {
        self.line(LEVEL_WARNING, text);
    }

    fn guard_group(&self, pgid: u32) {
        self.with(|table| {
            if let Some(guard) = table.guard_group {
                // SAFETY: innkeeper's own function, with its own context.
                unsafe { guard(table.context, pgid) };
            }
        });
    }

    fn release_group(&self, pgid: u32) {
        self.with(|table| {
            if let Some(release) = table.release_group {
                // SAFETY: innkeeper's own function, with its own context.
                unsafe { release(table.context, pgid) };
            }
        });
    }

    fn guest_reset(&self) {
        self.with(|table| {
            if let Some(reset) = table.guest_reset {
                // SAFETY: innkeeper's own function, with its own context.
                unsafe { reset(table.context) };
            }
        });
    }
}
