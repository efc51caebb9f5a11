//! A process of a command, from its start until it is waited for.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::proc;
use crate::spawn::Started;

/// A process that leads what a command has started.
#[derive(Debug)]
pub(crate) struct Process {
    started: Started,
    ended: OwnedFd,
    /// What it may open by our `/proc` folder.
    lent: Option<OwnedFd>,
}

/// An error when the kernel has no files that tell the end of a process: before Linux 5.3.
pub(crate) fn supported() -> io::Result<()> {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    Ok(())
}

impl Process {
    pub(crate) fn new(started: Started) -> io::Result<Self> {
        let ended = pidfd_open(started.pid, PidfdFlags::empty())?;
        Ok(Self { started, ended, lent: None })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.started.pid
    }

    /// Its session, and the group that it begins in.
    pub(crate) fn session(&self) -> Pid {
        self.started.session
    }

    /// Readable when it has ended.
    pub(crate) fn ended(&self) -> &OwnedFd {
        &self.ended
    }

    /// Keeps a file open as long as the process may want to open it.
    pub(crate) fn lend(&mut self, file: OwnedFd) {
        self.lent = Some(file);
    }

    /// The status as bash tells it, once the process has ended. It stays a zombie, so that the number of its
    /// session stays taken until [`Process::reap`].
    pub(crate) fn status(&self) -> Option<i32> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid()), options).ok()??;
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    }

    /// Waits for the process, which has ended or will at once.
    pub(crate) fn reap(&self) {
        // It is ours, and nobody else waits for it.
        let _ = waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED);
    }

    /// Ends the process and all that is in its session.
    pub(crate) fn kill(&self) {
        proc::kill_session(self.session());
        self.reap();
    }
}
