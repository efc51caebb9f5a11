//! How many machines run at once: without KVM each keeps a core busy, and too many of them miss deadlines
//! that none of them would miss alone.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run a machine, as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot(());

impl Slot {
    /// Waits for a free one: one for every two cores.
    pub(crate) fn take() -> Self {
        let all = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let mut running =
            FREED.wait_while(lock(), |running| *running >= all).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *lock() -= 1;
        FREED.notify_one();
    }
}

fn lock() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
