//! A log that remembers what a backend says about the processes that must die with the driver.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, test_kill_process_group};

use crate::machine::MachineLog;

/// Remembers.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    groups: Mutex<Vec<Group>>,
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: u32,
    /// Whether a process was in it when the backend named it.
    pub(super) was_alive: bool,
    pub(super) released: bool,
}

impl Group {
    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.id)
    }
}

impl Recorder {
    pub(super) fn groups(&self) -> Vec<Group> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MachineLog for Recorder {
    fn info(&self, text: &str) {
        tracing::info!("{text}");
    }

    fn warning(&self, text: &str) {
        tracing::warn!("{text}");
    }

    fn guard_group(&self, pgid: u32) {
        self.lock().push(Group { id: pgid, was_alive: is_alive(pgid), released: false });
    }

    fn release_group(&self, pgid: u32) {
        for group in self.lock().iter_mut().filter(|group| group.id == pgid) {
            group.released = true;
        }
    }

    fn guest_reset(&self) {}
}

fn is_alive(pgid: u32) -> bool {
    Pid::from_raw(pgid.cast_signed()).is_some_and(|pgid| test_kill_process_group(pgid).is_ok())
}
