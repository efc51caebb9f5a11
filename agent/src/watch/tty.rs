//! What a virtual terminal shows. The kernel's `/dev/vcsa` devices have it, and tell when it changes.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agent_protocol::message::Notice;
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::pread;

use super::Watcher;
use super::pace::Rest;

/// Bytes of the largest terminal.
const SIZE: usize = 1 << 20;
/// The pause between changes that are told: a terminal that is flooded must not flood the line.
const REST: Duration = Duration::from_millis(10);

/// One terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    device: OwnedFd,
    shown: Vec<u8>,
    /// The kernel says that something was written, the same again perhaps.
    is_told: bool,
    rest: Rest,
    /// Not to be looked at before this.
    rests_until: Option<Instant>,
}

impl Terminal {
    pub(super) fn new(number: Option<u32>) -> Result<Self, String> {
        let device = match number {
            None => "/dev/vcsa".to_owned(),
            Some(number) => {
                // A terminal that nobody has used yet comes into being by this.
                let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let _ = open(format!("/dev/tty{number}"), flags, Mode::empty());
                format!("/dev/vcsa{number}")
            }
        };
        let opened = open(&device, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let device = opened.map_err(|error| format!("{device}: {error}"))?;
        Ok(Self { device, shown: Vec::new(), is_told: false, rest: Rest::new(REST), rests_until: None })
    }

    fn read(&self) -> rustix::io::Result<Vec<u8>> {
        let mut bytes = vec![0; SIZE];
        let mut length = 0;
        while length < SIZE {
            match pread(&self.device, &mut bytes[length..], length as u64) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl Watcher for Terminal {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        let shown = self.read().map_err(|error| error.to_string())?;
        // Where a rest is due, there is another look at its end.
        let is_told = std::mem::take(&mut self.is_told) || shown != self.shown;
        self.rests_until = if is_told { self.rest.after_look() } else { None };
        self.shown = shown;
        Ok(Some(Notice::Terminal(self.shown.clone())))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        // Always readable; what is urgent is a change since the last reading.
        let files = [(self.device.as_fd(), PollFlags::PRI)];
        if self.rests_until.is_some() { Vec::new() } else { files.to_vec() }
    }

    fn ready(&mut self, _flags: PollFlags) {
        self.is_told = true;
    }

    fn wake_at(&self) -> Option<Instant> {
        self.rests_until
    }
}
