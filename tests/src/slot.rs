//! How many machines run at once: without KVM each keeps a core busy, and too many of them miss deadlines
//! that none of them would miss alone.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run machines, as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot(usize);

impl Slot {
    /// Waits for one that is wide enough for so many machines: there is room for one on every core. Who wants
    /// more than that runs alone.
    pub(crate) fn take(machines: usize) -> Self {
        let all = thread::available_parallelism().map_or(1, NonZero::get);
        let width = machines.clamp(1, all);
        let mut running = FREED
            .wait_while(lock(), |running| *running + width > all)
            .unwrap_or_else(PoisonError::into_inner);
        *running += width;
        Self(width)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *lock() -= self.0;
        // Whoever is woken may need more room than there is, and another less.
        FREED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
