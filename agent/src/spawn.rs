//! Starts a process that is our child in a session of its own, without leading that session.
//!
//! Its own session, so that a command can be ended with all that it has started, and so that none of it has
//! the port as its terminal. Not its leader, because the shell's commands are not either: `setsid COMMAND`
//! forks, and returns at once, when a leader calls it.

#![expect(unsafe_code, reason = "std has no way to run code between fork and exec without it")]

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions};

use crate::entry::{Inherited, restore_pipe};

/// A process that was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    /// The process, a child of ours.
    pub(crate) pid: Pid,
    /// Its session, and the group that it begins in.
    pub(crate) session: Pid,
}

/// Starts it.
pub(crate) fn spawn(command: &mut Command, inherited: Inherited) -> io::Result<Started> {
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC)?;
    let fork = move || {
        rustix::process::setsid()?;
        // SAFETY: without a new stack and without CLONE_VM, the child goes on with a copy of this memory, as
        // after fork. CLONE_PARENT makes it a child of the agent, and not of this process.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PARENT | libc::SIGCHLD, 0, 0, 0, 0) };
        match pid {
            ..0 => Err(io::Error::last_os_error()),
            0 => {
                restore_pipe(inherited);
                Ok(())
            }
            pid => {
                // Four bytes fit into an empty pipe.
                let _ = rustix::io::write(tell.as_fd(), &i32::try_from(pid).unwrap_or(0).to_ne_bytes());
                // SAFETY: the leader of the session has nothing more to do, and nothing to clean up.
                unsafe { libc::_exit(0) }
            }
        }
    };
    // SAFETY: there is one thread, so whatever `fork` calls is in order; it allocates nothing all the same.
    unsafe { command.pre_exec(fork) };
    let outcome = command.spawn();
    // The child has these, too; here, only the end of the pipe must come.
    let leader = outcome.and_then(|mut leader| {
        leader.wait()?;
        Ok(leader.id())
    });
    let mut bytes = [0; 4];
    let pid = match rustix::io::read(&told, &mut bytes) {
        Ok(4) => Pid::from_raw(i32::from_ne_bytes(bytes)),
        _ => None,
    };
    match (leader, pid) {
        (Ok(leader), Some(pid)) => {
            let session = i32::try_from(leader).ok().and_then(Pid::from_raw);
            Ok(Started { pid, session: session.unwrap_or(pid) })
        }
        (Ok(_), None) => Err(io::Error::other("the new process has no number")),
        (Err(error), pid) => {
            if let Some(pid) = pid {
                // It has ended, because it could not execute the program.
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
            Err(error)
        }
    }
}
