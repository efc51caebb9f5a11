//! A process of a command, from its start until it is waited for.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgid, kill_process, kill_process_group, pidfd_open,
    waitid,
};

use crate::proc;
use crate::spawn::Started;

/// How long a killed process is waited for.
const DEATH: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

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
        match pidfd_open(started.pid, PidfdFlags::empty()) {
            Ok(ended) => Ok(Self { started, ended, lent: None }),
            Err(error) => {
                // Too many files are open. Who is told so must not find that it runs all the same.
                proc::kill_session(started.session);
                let _ = waitid(WaitId::Pid(started.pid), WaitIdOptions::EXITED);
                Err(error.into())
            }
        }
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
        let wait = || waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        if !matches!(wait(), Ok(Some(_))) {
            // One that the kernel holds on to, on a frozen file system say, must not hold us: it stays a zombie.
            let _ = poll(&mut [PollFd::new(&self.ended, PollFlags::IN)], Some(&DEATH));
            let _ = wait();
        }
    }

    /// Sends a signal to the group that it began in, and to itself if it has left that, as `setsid` does.
    pub(crate) fn signal(&self, signal: Signal) {
        // Where nobody is left, nobody has to be told.
        let _ = kill_process_group(self.session(), signal);
        if getpgid(Some(self.pid())) != Ok(self.session()) {
            let _ = kill_process(self.pid(), signal);
        }
    }

    /// Ends the process, all that is in its session, and the sessions that it and its children have begun.
    pub(crate) fn kill(&self) {
        let begun = proc::sessions_below(self.pid(), self.session());
        // It may have left its session.
        let _ = kill_process(self.pid(), Signal::KILL);
        proc::kill_session(self.session());
        proc::kill_sessions(&begun);
        self.reap();
    }
}
