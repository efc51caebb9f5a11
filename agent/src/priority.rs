//! Going before whatever else the guest has to do. What a watch waits for often brings a lot of other work with it, such
//! as the log of it, and the driver should not have to wait for that.

#![expect(unsafe_code, reason = "no library of ours sets the scheduler's policy")]

use std::ffi::c_int;
use std::fs;
use std::path::Path;

use rustix::process::{geteuid, getpriority_process};

/// The namespace of the processes that the kernel has begun with, by its name in proc(5): PROC_PID_INIT_INO of
/// linux/proc_ns.h.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// The agent's priority.
#[derive(Debug)]
pub(crate) struct Priority {
    /// The kernel is the guest's own, and not one that a container shares with its host; and there is nothing to be
    /// given back but what everybody has.
    may_raise: bool,
    is_raised: bool,
}

impl Priority {
    /// That of everybody.
    pub(crate) fn new() -> Self {
        let is_own = fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name == Path::new(FIRST_NAMESPACE));
        let is_plain = geteuid().is_root() && getpriority_process(None) == Ok(0);
        Self { may_raise: is_own && is_plain, is_raised: false }
    }

    /// Raises it over that of all that is not for real time, or takes that back. What is started meanwhile is not
    /// raised. Where the kernel does not allow it, nothing changes.
    pub(crate) fn raise(&mut self, wanted: bool) {
        if self.is_raised == (wanted && self.may_raise) {
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
