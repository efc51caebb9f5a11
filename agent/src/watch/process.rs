//! Whether a process runs: its pidfd is readable when it does not.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use agent_protocol::message::Notice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Watcher;

/// A process, while it runs.
#[derive(Debug)]
pub(super) struct Process(Option<OwnedFd>);

impl Process {
    pub(super) fn new(pid: u32) -> Result<Self, String> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("there is no such process number")?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => Ok(Self(Some(process))),
            Err(Errno::SRCH) => Ok(Self(None)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Watcher for Process {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        if let Some(process) = &self.0 {
            let mut files = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
            if poll(&mut files, Some(&Timespec::default())) == Ok(1) {
                self.0 = None;
            }
        }
        Ok(Some(Notice::There(self.0.is_some())))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.0.iter().map(|process| (process.as_fd(), PollFlags::IN)).collect()
    }

    fn wake_at(&self) -> Option<Instant> {
        None
    }
}
