//! The half of a link that sends: what is queued, what is under way, and when to ask after it.

use std::{collections::VecDeque, time::Duration};

use super::{Role, cost};
use crate::frame::{Header, MAX_DATA, OVERHEAD, VEIL, flag};

/// How long after the last sign of progress the other side is first asked; doubles with every question.
const PATIENCE: Duration = Duration::from_millis(200);

/// The longest time between two questions.
const MAX_PATIENCE: Duration = Duration::from_millis(3200);

/// The other side is given up after this time without a word; longer than the half minute for which tests
/// like to stop a machine.
const SILENCE: Duration = Duration::from_secs(60);

/// ... and after this many questions: a process that was itself stopped for a minute must ask again before
/// it may judge.
const QUESTIONS: u32 = 10;

/// A piece of a message.
#[derive(Debug)]
struct Piece {
    data: Vec<u8>,
    more: bool,
}

#[derive(Debug)]
pub(super) struct Sender {
    /// Everything not yet acknowledged; the first has number `base`.
    queue: VecDeque<Piece>,
    base: u32,
    /// How many of the queue were sent in this round, and in any round.
    sent: usize,
    ever_sent: usize,
    round: u8,
    /// Costs of what was sent in this round and is not acknowledged.
    flying: usize,
    /// Costs of what was sent in the round before, when nothing says that it has left the line.
    stale: usize,
    backlog: usize,
    /// Most that may fly, and most together with what is stale.
    window: usize,
    limit: usize,
    /// When to ask, and how long to wait after that.
    timer: Option<Duration>,
    patience: Duration,
    asking: bool,
    questions: u32,
    /// Since when an answer is missing.
    quiet_since: Option<Duration>,
    silent: Option<Duration>,
}

impl Sender {
    pub(super) fn new(role: Role) -> Self {
        let (window, limit) = match role {
            // The host's socket holds 208 KiB, and what does not fit is lost.
            Role::Guest => (48 << 10, 64 << 10),
            Role::Host => (256 << 10, 384 << 10),
        };
        Self {
            queue: VecDeque::new(),
            base: 0,
            sent: 0,
            ever_sent: 0,
            round: 0,
            flying: 0,
            stale: 0,
            backlog: 0,
            window,
            limit,
            timer: None,
            patience: PATIENCE,
            asking: false,
            questions: 0,
            quiet_since: None,
            silent: None,
        }
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        let mut rest = message;
        loop {
            let (data, after) = rest.split_at(rest.len().min(MAX_DATA));
            rest = after;
            self.backlog += data.len() + OVERHEAD;
            self.queue.push_back(Piece {
                data: data.iter().map(|byte| byte ^ VEIL).collect(),
                more: !rest.is_empty(),
            });
            if rest.is_empty() {
                return;
            }
        }
    }

    /// The number of the next piece that would be sent.
    pub(super) fn next_seq(&self) -> u32 {
        self.base.wrapping_add(self.sent as u32)
    }

    pub(super) fn round(&self) -> u8 {
        self.round
    }

    pub(super) fn backlog(&self) -> usize {
        self.backlog
    }

    pub(super) fn silent(&self) -> Option<Duration> {
        self.silent
    }

    /// Whether the other side has acknowledged something and was asked since.
    pub(super) fn is_asking_again(&self) -> bool {
        self.base > 0 && self.questions > 0
    }

    /// Takes what a sound frame of the other side says of ours.
    pub(super) fn heard(&mut self, header: &Header, now: Duration) {
        self.silent = None;
        self.questions = 0;
        self.patience = PATIENCE;
        if let Some(at) = self.timer {
            self.timer = Some(at.min(now + PATIENCE));
            self.quiet_since = Some(now);
        }
        if header.seen_round == self.round {
            // The line keeps the order: what was sent before this round has left it.
            self.stale = 0;
        }
        let count = header.expected.wrapping_sub(self.base) as usize;
        if count > self.ever_sent {
            // Older than what we know already, or made up.
            return;
        }
        for _ in 0..count {
            let Some(piece) = self.queue.pop_front() else { break };
            self.base = self.base.wrapping_add(1);
            self.ever_sent -= 1;
            self.backlog -= piece.data.len() + OVERHEAD;
            if self.sent > 0 {
                self.sent -= 1;
                self.flying -= cost(piece.data.len());
            }
        }
        if count > 0 {
            self.timer = (self.ever_sent > 0).then(|| now + PATIENCE);
        }
        // Only once per round: the frames that follow the lost one say so too.
        if header.has(flag::LOST) && header.seen_round == self.round && self.sent > 0 {
            self.stale = self.flying;
            self.flying = 0;
            self.sent = 0;
            self.round = self.round.wrapping_add(1);
            self.timer = Some(now + PATIENCE);
        }
    }

    /// Notices that the time to ask has come.
    pub(super) fn tick(&mut self, now: Duration) {
        if self.timer.is_none_or(|at| now < at) {
            return;
        }
        if let Some(quiet) = self.quiet_since.and_then(|since| now.checked_sub(since))
            && quiet >= SILENCE
            && self.questions >= QUESTIONS
        {
            self.silent = Some(quiet);
        }
        self.asking = true;
        self.questions += 1;
        self.patience = (self.patience * 2).min(MAX_PATIENCE);
        self.timer = Some(now + self.patience);
    }

    /// Whether a question is to be sent; it is then taken as sent.
    pub(super) fn take_question(&mut self) -> bool {
        std::mem::take(&mut self.asking)
    }

    /// The next piece, if it may go now: its flags, its number and its data.
    pub(super) fn next(&mut self, now: Duration) -> Option<(u8, u32, &[u8])> {
        if !self.is_due() {
            return None;
        }
        let seq = self.next_seq();
        let piece = self.queue.get(self.sent)?;
        self.flying += cost(piece.data.len());
        self.sent += 1;
        self.ever_sent = self.ever_sent.max(self.sent);
        if self.timer.is_none() {
            self.timer = Some(now + self.patience);
            self.quiet_since = Some(now);
        }
        Some((flag::DATA | if piece.more { flag::MORE } else { 0 }, seq, &piece.data))
    }

    /// Whether there is something to send now.
    pub(super) fn is_due(&self) -> bool {
        self.queue.get(self.sent).is_some_and(|piece| {
            let flying = self.flying + cost(piece.data.len());
            flying <= self.window && flying + self.stale <= self.limit
        })
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        if self.asking || self.is_due() { Some(Duration::ZERO) } else { self.timer }
    }
}
