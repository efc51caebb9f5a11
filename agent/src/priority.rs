//! Going before whatever else the guest has to do. What a watch waits for often brings a lot of other work with it, such
//! as the log of it, and the driver should not have to wait for that.

#![expect(unsafe_code, reason = "no library of ours sets the scheduler's policy")]

use std::ffi::c_int;

/// The agent's priority.
#[derive(Debug, Default)]
pub(crate) struct Priority {
    is_raised: bool,
}

impl Priority {
    /// Raises it over that of all that is not for real time, or takes that back. What is started meanwhile is not
    /// raised. Where the kernel does not allow it, nothing changes.
    pub(crate) fn raise(&mut self, wanted: bool) {
        if self.is_raised == wanted {
            return;
        }
        self.is_raised = wanted;
        let (policy, level): (c_int, c_int) =
            if wanted { (libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, 1) } else { (libc::SCHED_OTHER, 0) };
        // SAFETY: the kernel reads `level`, which is all of its `struct sched_param`, and nothing else of ours. Not by
        // way of libc: musl's function does nothing.
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const level) };
    }
}
