//! A link: messages over a bad line, in order and exactly once.
//!
//! How it works: messages are cut into frames, numbered from 0. The receiver takes them in order and tells
//! with every frame of its own which number it expects next. The line may lose but not reorder, so a
//! number that is too high proves a loss, and the receiver says so at once; the sender then goes back to
//! the lost frame and a new *round* begins. Frames carry the round and the last round seen of the other
//! side, so a loss is acted on once however many frames report it, and the sender knows what has left the
//! line. When nothing at all comes back, the sender asks with an empty frame, at growing intervals: data
//! is never sent twice on mere suspicion, and a machine that is stopped finds no heap of copies.

mod receiver;
mod sender;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::frame::{FRAME_VERSION, Found, Header, OVERHEAD, Scanner, flag};
use receiver::{Receiver, TooLong};
use sender::Sender;

/// When the rest of a frame has not come after this time, whole ones are looked for in what comes. Shorter
/// than the other side waits before it asks after them, so one question is enough.
const LATE: Duration = Duration::from_millis(50);

/// Bytes are looked at in pieces of this size, which bounds what is held of them.
const PIECE: usize = 16 << 10;

/// What a frame takes of the window: its bytes, and what a socket spends on a packet however small.
fn cost(data: usize) -> usize {
    data + OVERHEAD + 512
}

/// Which end of the line a [`Link`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The driver.
    Host,
    /// The agent.
    Guest,
}

/// Why a link is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// The other side has not said anything for this long, though asked again and again. The only one that
    /// heals, when it speaks again.
    Silent(Duration),
    /// The other side speaks this version of the frames, another than ours.
    Version(u8),
    /// The other side has started anew and knows nothing of this session.
    Restarted,
    /// The other side sends a message longer than [`Link::MAX_MESSAGE`].
    TooLong,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Silent(time) => write!(f, "the other side has not answered for {} s", time.as_secs()),
            Broken::Version(theirs) => {
                write!(f, "the other side speaks version {theirs} of the frames, not {FRAME_VERSION}")
            }
            Broken::Restarted => f.write_str("the other side has started anew and forgotten the session"),
            Broken::TooLong => f.write_str("the other side sent a message that is too long"),
        }
    }
}

impl std::error::Error for Broken {}

/// One end of the line. Has no input, no output and no clock of its own: `now` is the time since any fixed
/// point, the same for all calls.
///
/// After each call of [`receive`](Link::receive), [`send`](Link::send) and [`message`](Link::message), and
/// at [`wake_at`](Link::wake_at), write what [`outgoing`](Link::outgoing) returns. A caller whose writes
/// may block calls `outgoing` only when what it returned before is written.
#[derive(Debug)]
pub struct Link {
    role: Role,
    session: Option<u32>,
    scanner: Scanner,
    sender: Sender,
    receiver: Receiver,
    /// The frame that is waited for, and when it is late.
    waiting: Option<(u64, Duration)>,
    /// A message of this session was taken.
    greeted: bool,
    /// What is sent would be for the host of an earlier session.
    mute: bool,
    broken: Option<Broken>,
}

impl Link {
    /// Bytes of one message, at most.
    pub const MAX_MESSAGE: usize = 4 << 20;

    /// A new end of the line.
    ///
    /// The host chooses the number of the session at random; bytes of other sessions, from before a reboot
    /// or of a driver that is gone, are then ignored. A guest takes the number from the first frame of a
    /// host and its argument means nothing. When a host opens another session, the guest's link forgets
    /// the old one: undelivered messages, and what was queued or is sent before the first message of the
    /// new session is taken, are dropped.
    pub fn new(role: Role, session: u32) -> Self {
        Self {
            role,
            session: (role == Role::Host).then_some(session),
            scanner: Scanner::default(),
            sender: Sender::new(role),
            receiver: Receiver::default(),
            waiting: None,
            greeted: false,
            mute: false,
            broken: None,
        }
    }

    /// Queues one message, of any size up to [`Link::MAX_MESSAGE`].
    ///
    /// # Panics
    ///
    /// When the message is longer.
    pub fn send(&mut self, message: &[u8]) {
        assert!(message.len() <= Self::MAX_MESSAGE, "a message of {} bytes", message.len());
        if !self.mute {
            self.sender.push(message);
        }
    }

    /// Takes what was read from the port, in any splitting.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        for piece in bytes.chunks(PIECE) {
            self.scanner.push(piece);
            self.scan(now);
        }
    }

    fn scan(&mut self, now: Duration) {
        loop {
            while let Some(found) = self.scanner.next() {
                match found {
                    Found::Frame(header, data) if self.is_wanted(&header) => self.take(header, data, now),
                    Found::Damaged(header)
                        if self.session == Some(header.session) && self.is_wanted(&header) =>
                    {
                        self.receiver.take_damaged(&header);
                    }
                    Found::Frame(..) | Found::Damaged(..) => {}
                }
            }
            let Some(at) = self.scanner.waits_at() else {
                self.waiting = None;
                return;
            };
            match self.waiting {
                Some((since, until)) if since == at => {
                    if now < until {
                        return;
                    }
                    let (role, session) = (self.role, self.session);
                    self.scanner.look_ahead(|header| is_for(role, session, header));
                    if self.scanner.waits_at() == Some(at) {
                        return;
                    }
                }
                _ => {
                    self.waiting = Some((at, now + LATE));
                    return;
                }
            }
        }
    }

    /// Whether a frame comes from the other side and belongs to this session, or opens one.
    fn is_wanted(&self, header: &Header) -> bool {
        is_for(self.role, self.session, header)
    }

    fn take(&mut self, header: Header, data: std::ops::Range<usize>, now: Duration) {
        if self.broken.is_some() {
            return;
        }
        if header.version != FRAME_VERSION {
            self.broken = Some(Broken::Version(header.version));
            return;
        }
        if self.session != Some(header.session) {
            if self.session.is_some() {
                self.sender = Sender::new(self.role);
                self.mute = self.greeted;
                self.greeted = false;
            }
            self.receiver = Receiver::default();
            self.session = Some(header.session);
        }
        if header.has(flag::FRESH) && self.sender.is_asking_again() {
            self.broken = Some(Broken::Restarted);
            return;
        }
        self.sender.heard(&header, now);
        if let Err(TooLong) = self.receiver.take(&header, self.scanner.data(data), now) {
            self.broken = Some(Broken::TooLong);
        }
    }

    /// The next message, in order, exactly once.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        let message = self.receiver.message()?;
        self.greeted = true;
        self.mute = false;
        Some(message)
    }

    /// Bytes to write to the port now; none when nothing is due.
    pub fn outgoing(&mut self, now: Duration) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(session) = self.session else { return out };
        if self.broken.is_some() {
            return out;
        }
        self.sender.tick(now);
        let asking = self.sender.take_question();
        let said = self.receiver.wake_at().is_some_and(|at| at <= now);
        let mut once = if asking { flag::ASK } else { 0 };
        let mut header = Header {
            version: FRAME_VERSION,
            flags: 0,
            session,
            seq: 0,
            expected: self.receiver.expected(),
            round: self.sender.round(),
            seen_round: self.receiver.round(),
        };
        let always = if self.role == Role::Guest { flag::FROM_GUEST } else { 0 }
            | if self.receiver.expected() == 0 { flag::FRESH } else { 0 };
        while let Some((flags, seq, data)) = self.sender.next(now) {
            once |= self.receiver.acknowledge();
            header.flags = flags | always | once;
            header.seq = seq;
            header.write(data, &mut out);
            once = 0;
        }
        if out.is_empty() && (asking || said) {
            header.flags = always | once | self.receiver.acknowledge();
            header.seq = self.sender.next_seq();
            header.write(&[], &mut out);
        }
        out
    }

    /// When to call [`Link::outgoing`] again at the latest. Changes with every other call.
    pub fn wake_at(&self) -> Option<Duration> {
        if self.session.is_none() || self.broken.is_some() {
            return None;
        }
        self.sender.wake_at().into_iter().chain(self.receiver.wake_at()).min()
    }

    /// The bytes since the last call that were no frames, for the log; at most 64 KiB, later ones are lost.
    /// Frames that were hit are among them.
    pub fn stray(&mut self) -> Vec<u8> {
        self.scanner.take_stray()
    }

    /// The beginning of a frame whose rest has not come yet; or of none, when who wrote it is gone.
    pub fn unfinished(&self) -> &[u8] {
        self.scanner.unfinished()
    }

    /// Bytes queued or not yet acknowledged. Callers read no more from their pipes when it is large.
    pub fn backlog(&self) -> usize {
        self.sender.backlog()
    }

    /// Whether and why the link is of no more use.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.or_else(|| self.sender.silent().map(Broken::Silent))
    }
}

/// Whether a frame comes from the other side and belongs to the session, or opens one.
fn is_for(role: Role, session: Option<u32>, header: &Header) -> bool {
    let from = if header.has(flag::FROM_GUEST) { Role::Guest } else { Role::Host };
    let opens = role == Role::Guest && header.has(flag::DATA) && header.seq == 0;
    from != role && (session.is_none_or(|session| session == header.session) || opens)
}
