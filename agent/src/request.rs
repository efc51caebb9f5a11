//! One command on its way: what it has printed and is still to be told, what it is yet to be given, and
//! when it is over.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use agent_protocol::message::{CHUNK, Command, End, Holder, INITIAL_GRANT, LANE_CHUNK, RequestId, Stream};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::bash::Running;
use crate::kept::Kept;
use crate::output::Output;
use crate::proc;
use crate::process::Process;

/// How long after SIGTERM a command that ran out of time is killed.
const MERCY: Duration = Duration::from_secs(5);

/// The status of a command that ran out of time, as `timeout(1)` has it.
const TIMED_OUT: i32 = 124;

/// Bytes of input that wait here, at most: what a driver may send, and as much again.
const INPUT: usize = 2 * INITIAL_GRANT as usize;

/// What a request came by and is answered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The port that everything takes.
    Link,
    /// The port for what is large.
    Lane,
    /// It is the agent's own.
    Own,
}

/// A command on its way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) way: Way,
    process: Process,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    input: Input,
    /// Bytes of output that may still be sent.
    granted: u64,
    time: Time,
    /// How long the output may stay open after the end.
    grace: Option<Duration>,
    /// The status of the process, since this moment.
    exited: Option<(i32, Instant)>,
    held_by: Vec<Holder>,
}

/// What the command is given to read.
#[derive(Debug, Default)]
struct Input {
    pipe: Option<OwnedFd>,
    queue: VecDeque<u8>,
    ends: bool,
}

/// How long a command has.
#[derive(Debug, Clone, Copy)]
enum Time {
    Unlimited,
    Until(Instant),
    /// It was told to end, and will be killed at this moment.
    Over(Instant),
    Killed,
}

impl Request {
    pub(crate) fn new(id: RequestId, way: Way, command: &Command, running: Running) -> Self {
        let now = Instant::now();
        let limit = command.timeout_ms.and_then(|limit| now.checked_add(Duration::from_millis(limit)));
        let Running { process, pipes } = running;
        Self {
            id,
            way,
            process,
            stdout: Output::new(pipes.stdout),
            stderr: Output::new(pipes.stderr),
            input: Input { pipe: pipes.stdin, ..Input::default() },
            granted: INITIAL_GRANT.into(),
            time: limit.map_or(Time::Unlimited, Time::Until),
            grace: command.grace_ms.map(Duration::from_millis),
            exited: None,
            held_by: Vec::new(),
        }
    }

    /// Readable when the process has ended; `None` when that is known.
    pub(crate) fn process(&self) -> Option<&OwnedFd> {
        self.exited.is_none().then_some(self.process.ended())
    }

    /// Whether output may be sent.
    pub(crate) fn may_print(&self) -> bool {
        self.granted > 0
    }

    pub(crate) fn grant(&mut self, bytes: u32) {
        self.granted += u64::from(bytes);
    }

    fn output(&mut self, stream: Stream) -> &mut Output {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// The stream is known to have ended.
    pub(crate) fn hang_up(&mut self, stream: Stream) {
        self.output(stream).hang_up();
    }

    /// Takes output off a pipe that is readable.
    pub(crate) fn read(&mut self, stream: Stream) -> Vec<u8> {
        let chunk = match self.way {
            Way::Link | Way::Own => CHUNK,
            Way::Lane => LANE_CHUNK,
        };
        let most = chunk.min(usize::try_from(self.granted).unwrap_or(chunk));
        let bytes = self.output(stream).read(most);
        self.granted -= bytes.len() as u64;
        bytes
    }

    /// Takes input. An error when it is more than the driver may send.
    pub(crate) fn give(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.input.ends |= bytes.is_empty();
        self.input.queue.extend(bytes);
        if self.input.queue.len() > INPUT {
            return Err("the driver sent more input than the command had taken".to_owned());
        }
        Ok(())
    }

    /// The pipe to write input to, when there is something to do with it.
    pub(crate) fn thirst(&self) -> Option<&OwnedFd> {
        self.input.pipe.as_ref().filter(|_| !self.input.queue.is_empty())
    }

    /// Writes input. Returns how much was taken.
    pub(crate) fn pour(&mut self) -> u32 {
        let mut taken = 0;
        if let Some(pipe) = &self.input.pipe {
            while !self.input.queue.is_empty() {
                match rustix::io::write(pipe, self.input.queue.as_slices().0) {
                    Ok(count) => {
                        self.input.queue.drain(..count);
                        taken += count;
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(_) => {
                        self.input.pipe = None;
                        break;
                    }
                }
            }
        }
        if self.input.pipe.is_none() {
            // A command that does not read must not make its driver wait.
            taken += self.input.queue.len();
            self.input.queue.clear();
        }
        if self.input.ends && self.input.queue.is_empty() {
            self.input.pipe = None;
        }
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    /// When to call [`Request::tick`].
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        if self.exited.is_some() {
            return self.grace_ends().filter(|_| self.stdout.awaits_end());
        }
        match self.time {
            Time::Until(at) | Time::Over(at) => Some(at),
            Time::Unlimited | Time::Killed => None,
        }
    }

    /// When the output is waited for no longer.
    fn grace_ends(&self) -> Option<Instant> {
        let (_, since) = self.exited?;
        since.checked_add(self.grace?)
    }

    /// The process may have ended, or a time may be over.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        if self.exited.is_none() {
            self.exited = self.process.status().map(|status| (status, now));
            if self.exited.is_some() {
                self.stdout.release();
                self.stderr.release();
            }
        }
        match (&self.exited, self.time) {
            (None, Time::Until(at)) if at <= now => {
                self.process.signal(Signal::TERM);
                // A stopped process must go on to end.
                self.process.signal(Signal::CONT);
                self.time = Time::Over(now + MERCY);
            }
            (None, Time::Over(at)) if at <= now => {
                self.process.signal(Signal::KILL);
                self.time = Time::Killed;
            }
            (Some(_), _) => {
                // Nobody reads any more, whoever has the other end.
                let over = self.grace_ends().is_some_and(|end| end <= now);
                if over && self.stdout.awaits_end() {
                    self.held_by = proc::holders(self.stdout.pipe());
                    self.stdout.finish();
                }
                if self.stdout.is_done() {
                    self.stderr.finish();
                }
            }
            (None, _) => {}
        }
    }

    /// How it ended, once it has and everything is told.
    pub(crate) fn end(&mut self) -> Option<End> {
        let (status, _) = self.exited?;
        if !self.stdout.is_done() || !self.stderr.is_done() {
            return None;
        }
        let status = if matches!(self.time, Time::Over(_) | Time::Killed) { TIMED_OUT } else { status };
        Some(End::Exited { status, held_by: std::mem::take(&mut self.held_by) })
    }

    /// Forgets an ended command, but not the pipes that somebody still has.
    pub(crate) fn close(self, kept: &mut Kept) {
        self.process.reap();
        for output in [self.stdout, self.stderr] {
            if output.is_open() {
                kept.add(output.into_pipe());
            }
        }
    }

    /// Ends it and all that it has started.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}
