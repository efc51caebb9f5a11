//! Starts a program as our child, in a session of its own but not as its leader.
//!
//! Its own session, so that a command can be ended with all that it has started, and so that none of it has
//! the port as its terminal. Not its leader, because the shell's commands are not either: `setsid COMMAND`
//! forks, and returns at once, when a leader calls it. So there is a leader that does nothing: it makes the
//! session, then the program as a child of *ours* (CLONE_PARENT), and is gone.
//!
//! Both borrow our memory while we wait (CLONE_VM, CLONE_VFORK). Without KVM a fork costs several
//! milliseconds, most of it for copying what `execve` throws away.

#![expect(unsafe_code, reason = "no library makes a child in this way")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::entry::{Inherited, restore_pipe};

/// Bytes of stack for each of the two: they call nothing deep.
const STACK: usize = 32 << 10;

/// What both share with us.
const BORROW: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;

/// What only the leader does: it opens nothing and goes nowhere, and the program gets copies of ours.
const BORROW_FILES: c_int = libc::CLONE_FILES | libc::CLONE_FS;

/// A process that was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    /// The process, a child of ours.
    pub(crate) pid: Pid,
    /// Its session, and the group that it begins in.
    pub(crate) session: Pid,
}

/// A program to start.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) path: &'a CStr,
    pub(crate) arguments: &'a [&'a CStr],
    pub(crate) environment: &'a [CString],
    /// Its standard input, output and error.
    pub(crate) files: [BorrowedFd<'a>; 3],
    pub(crate) inherited: Inherited,
}

/// What leader and program need, made before they are there: they must not allocate.
struct Plan<'a> {
    path: &'a CStr,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    files: [RawFd; 3],
    inherited: Inherited,
    stack: *mut c_void,
    pid: AtomicI32,
    error: AtomicI32,
}

/// Starts a program.
pub(crate) fn spawn(program: &Program<'_>) -> io::Result<Started> {
    let pointers = |strings: &mut dyn Iterator<Item = &CStr>| -> Vec<*const c_char> {
        strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
    };
    // Of numbers that align as stacks must.
    let stack = || Box::<[u128]>::new_uninit_slice(STACK / 16);
    let (mut stack, mut second) = (stack(), stack());
    let plan = Plan {
        path: program.path,
        arguments: pointers(&mut program.arguments.iter().copied()),
        environment: pointers(&mut program.environment.iter().map(CString::as_c_str)),
        files: program.files.map(|file| file.as_raw_fd()),
        inherited: program.inherited,
        stack: second.as_mut_ptr_range().end.cast(),
        pid: AtomicI32::new(0),
        error: AtomicI32::new(0),
    };
    let plan_at = ptr::from_ref(&plan).cast_mut().cast();
    // SAFETY: CLONE_VFORK has this thread, the only one, wait until the leader has ended, so the plan and
    // both stacks outlive their use. `lead` touches nothing else of ours.
    let leader =
        unsafe { libc::clone(lead, stack.as_mut_ptr_range().end.cast(), BORROW | BORROW_FILES, plan_at) };
    let Some(leader) = Pid::from_raw(leader.max(0)) else { return Err(io::Error::last_os_error()) };
    waitpid(Some(leader), WaitOptions::empty())?;
    let pid = Pid::from_raw(plan.pid.load(Relaxed).max(0));
    match (plan.error.load(Relaxed), pid) {
        (0, Some(pid)) => Ok(Started { pid, session: leader }),
        (error, pid) => {
            if let Some(pid) = pid {
                // It has ended: it could not become the program.
                waitpid(Some(pid), WaitOptions::empty())?;
            }
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// Makes the session and the program in it.
extern "C" fn lead(plan_at: *mut c_void) -> c_int {
    // SAFETY: `spawn` gave its plan, which it keeps until this has ended, and changes no more.
    let plan = unsafe { &*plan_at.cast_const().cast::<Plan<'_>>() };
    // Cannot fail: a new process leads no group.
    let _ = rustix::process::setsid();
    // SAFETY: as in `spawn`; this process waits until `become_program` has executed it or has ended.
    let pid = unsafe { libc::clone(become_program, plan.stack, BORROW | libc::CLONE_PARENT, plan_at) };
    plan.pid.store(pid, Relaxed);
    if pid < 0 {
        plan.error.store(last_error(), Relaxed);
    }
    0
}

/// Becomes the program. Returns only on failure.
extern "C" fn become_program(plan_at: *mut c_void) -> c_int {
    // SAFETY: as in `lead`.
    let plan = unsafe { &*plan_at.cast_const().cast::<Plan<'_>>() };
    restore_pipe(plan.inherited);
    for (number, file) in (0..).zip(plan.files) {
        // SAFETY: replaces standard files, in this process only; none of ours has one of their numbers.
        if unsafe { libc::dup2(file, number) } < 0 {
            plan.error.store(last_error(), Relaxed);
            return 127;
        }
    }
    // SAFETY: both lists end in null, and their strings live as long as the plan.
    unsafe { libc::execve(plan.path.as_ptr(), plan.arguments.as_ptr(), plan.environment.as_ptr()) };
    plan.error.store(last_error(), Relaxed);
    127
}

/// Why the last call failed.
fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}
