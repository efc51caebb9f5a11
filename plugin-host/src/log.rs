//! The log of one machine, as a table that its plugin calls.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use driver_core::MachineLog;
use plugin_abi::{LEVEL_WARNING, LogTable, Str};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};

use crate::outgoing::printable;

/// Bytes of a line that anybody reads.
const LINE_LIMIT: usize = 16 << 10;

/// What a plugin's calls come to. It stays where it is for as long as the plugin may call.
#[derive(Debug)]
pub(crate) struct Desk {
    log: Arc<dyn MachineLog>,
    /// The process groups that the plugin has named and not released.
    groups: Mutex<Vec<u32>>,
}

impl Desk {
    pub(crate) fn new(log: Arc<dyn MachineLog>) -> Arc<Self> {
        Arc::new(Self { log, groups: Mutex::default() })
    }

    /// The table for the plugin; it is good for as long as the desk is.
    pub(crate) fn table(self: &Arc<Self>) -> LogTable {
        LogTable {
            size: size_of::<LogTable>(),
            context: Arc::as_ptr(self).cast_mut().cast(),
            line: Some(line),
            guard_group: Some(guard_group),
            release_group: Some(release_group),
            guest_reset: Some(guest_reset),
        }
    }

    /// Kills what the plugin has started, for a plugin that cannot be asked any more.
    pub(crate) fn kill_groups(&self) {
        let groups = std::mem::take(&mut *self.groups.lock().unwrap_or_else(PoisonError::into_inner));
        for group in groups {
            if let Some(pgid) = Pid::from_raw(group.cast_signed())
                && let Err(error) = kill_process_group(pgid, Signal::KILL)
            {
                tracing::debug!(group, %error, "a plugin's process group could not be killed");
            }
            self.log.release_group(group);
        }
    }
}

/// # Safety
/// `context` is a desk that is still there.
unsafe fn desk<'a>(context: *mut c_void) -> Option<&'a Desk> {
    // SAFETY: the caller says so.
    unsafe { context.cast::<Desk>().as_ref() }
}

unsafe extern "C" fn line(context: *mut c_void, level: u32, text: Str) {
    // SAFETY: the plugin hands back what it was given, while it may.
    let Some(desk) = (unsafe { desk(context) }) else { return };
    let text = Str { length: text.length.min(LINE_LIMIT), ..text };
    // SAFETY: the plugin lends the text for the call.
    let text = printable(unsafe { text.bytes() });
    if level >= LEVEL_WARNING { desk.log.warning(&text) } else { desk.log.info(&text) }
}

unsafe extern "C" fn guard_group(context: *mut c_void, group: u32) {
    // SAFETY: the plugin hands back what it was given, while it may.
    let Some(desk) = (unsafe { desk(context) }) else { return };
    // 0 would mean our own group as well, and 1 everybody.
    if (2..i32::MAX.cast_unsigned()).contains(&group) && group != getpgrp().as_raw_pid().cast_unsigned() {
        desk.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        desk.log.guard_group(group);
    }
}

unsafe extern "C" fn release_group(context: *mut c_void, group: u32) {
    // SAFETY: the plugin hands back what it was given, while it may.
    let Some(desk) = (unsafe { desk(context) }) else { return };
    desk.groups.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != group);
    desk.log.release_group(group);
}

unsafe extern "C" fn guest_reset(context: *mut c_void) {
    // SAFETY: the plugin hands back what it was given, while it may.
    let Some(desk) = (unsafe { desk(context) }) else { return };
    desk.log.guest_reset();
}
