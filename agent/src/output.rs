//! One of the two streams that a command prints to: the reading end of a pipe.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::bash::Pipe;

/// The reading end, until it has ended or nobody waits for its end any more.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: OwnedFd,
    /// Our copy of the other end, as long as the process runs.
    writer: Option<OwnedFd>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// This many bytes are still awaited: those that were in the pipe when its end ceased to matter.
    Rest(u64),
    /// The writers are gone.
    Ended,
}

impl Output {
    pub(crate) fn new(pipe: Pipe) -> Self {
        Self { pipe: pipe.reader, writer: Some(pipe.writer), state: State::Open }
    }

    /// The process has ended: from now on the pipe ends with those who still have it.
    pub(crate) fn release(&mut self) {
        self.writer = None;
    }

    /// There is nobody any more who could write to it, and nothing left to read.
    pub(crate) fn hang_up(&mut self) {
        self.state = State::Ended;
    }

    pub(crate) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Whether all of it that is awaited has been read.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Ended | State::Rest(0))
    }

    /// Whether its end is awaited, however much comes before that.
    pub(crate) fn awaits_end(&self) -> bool {
        self.state == State::Open
    }

    /// Whether somebody may still write to it.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Ended
    }

    /// From now on only what is in the pipe already is awaited.
    pub(crate) fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Rest(rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0));
        }
    }

    /// Reads at most `most` bytes of what is awaited. The pipe must be readable.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let awaited = match self.state {
            State::Open => most,
            State::Rest(left) => most.min(usize::try_from(left).unwrap_or(most)),
            State::Ended => 0,
        };
        if awaited == 0 {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(awaited);
        match rustix::io::read(&self.pipe, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => self.state = State::Ended,
            Ok(count) => {
                if let State::Rest(left) = &mut self.state {
                    *left = left.saturating_sub(count as u64);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.state = State::Ended,
        }
        bytes
    }

    /// The pipe, for what its writers print later.
    pub(crate) fn into_pipe(self) -> OwnedFd {
        self.pipe
    }
}
