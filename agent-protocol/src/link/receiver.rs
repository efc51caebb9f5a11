//! The half of a link that receives: puts messages together, and decides when to say what has arrived.

use std::{collections::VecDeque, time::Duration};

use super::{Link, cost};
use crate::frame::{Header, VEIL, flag};

/// An acknowledgement is sent after frames of this cost ...
const ACK_COST: usize = 12 << 10;

/// ... or after this time, in which it most often goes with an answer.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// With more than this in messages that nobody takes, no more are accepted.
const INBOX: usize = 1 << 20;

/// What a message costs besides its bytes.
const MESSAGE: usize = 64;

/// The peer breaks the rules: a message is longer than [`Link::MAX_MESSAGE`].
#[derive(Debug)]
pub(super) struct TooLong;

#[derive(Debug, Default)]
pub(super) struct Receiver {
    expected: u32,
    /// The round of the last frame.
    round: u8,
    /// A loss was already reported in this round.
    reported: bool,
    /// Frames were turned away because the inbox was full.
    refused: bool,
    partial: Vec<u8>,
    inbox: VecDeque<Vec<u8>>,
    inbox_size: usize,
    /// Costs of what came since the last acknowledgement.
    unacknowledged: usize,
    ack_at: Option<Duration>,
    lost: bool,
}

impl Receiver {
    pub(super) fn expected(&self) -> u32 {
        self.expected
    }

    pub(super) fn round(&self) -> u8 {
        self.round
    }

    /// Takes a sound frame.
    pub(super) fn take(&mut self, header: &Header, data: &[u8], now: Duration) -> Result<(), TooLong> {
        if header.round != self.round {
            // Tells the other side early that the line is free of what it sent before.
            self.enter(header.round);
            self.ack_at = Some(Duration::ZERO);
        }
        let ahead = header.seq.wrapping_sub(self.expected).cast_signed();
        if header.has(flag::ASK) {
            self.ack_at = Some(Duration::ZERO);
        }
        if ahead > 0 {
            self.gap(header.has(flag::ASK));
        }
        if !header.has(flag::DATA) {
            return Ok(());
        }
        if ahead == 0 {
            self.accept(header, data)?;
        }
        self.unacknowledged += cost(data.len());
        let at = if self.unacknowledged >= ACK_COST { Duration::ZERO } else { now + ACK_DELAY };
        self.ack_at = Some(self.ack_at.map_or(at, |before| before.min(at)));
        Ok(())
    }

    /// Takes the header of a frame of which the rest was hit.
    pub(super) fn take_damaged(&mut self, header: &Header) {
        if header.round != self.round {
            self.enter(header.round);
        }
        if header.has(flag::DATA) && header.seq.wrapping_sub(self.expected).cast_signed() >= 0 {
            self.gap(false);
        }
    }

    fn enter(&mut self, round: u8) {
        self.round = round;
        self.reported = false;
    }

    /// Something before this frame was lost. Said once per round, or whenever asked.
    fn gap(&mut self, asked: bool) {
        if self.is_full() {
            self.refused = true;
        } else if asked || !self.reported {
            self.reported = true;
            self.lost = true;
        }
    }

    fn accept(&mut self, header: &Header, data: &[u8]) -> Result<(), TooLong> {
        if self.is_full() {
            self.refused = true;
            return Ok(());
        }
        if self.partial.len() + data.len() > Link::MAX_MESSAGE {
            return Err(TooLong);
        }
        self.expected = self.expected.wrapping_add(1);
        self.partial.extend(data.iter().map(|byte| byte ^ VEIL));
        if !header.has(flag::MORE) {
            let message = std::mem::take(&mut self.partial);
            self.inbox_size += message.len() + MESSAGE;
            self.inbox.push_back(message);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.inbox_size >= INBOX
    }

    /// The next message.
    pub(super) fn message(&mut self) -> Option<Vec<u8>> {
        let message = self.inbox.pop_front()?;
        self.inbox_size -= message.len() + MESSAGE;
        if !self.is_full() && std::mem::take(&mut self.refused) {
            self.lost = true;
        }
        Some(message)
    }

    /// The flag that belongs into the frame that is about to be sent, which acknowledges everything.
    pub(super) fn acknowledge(&mut self) -> u8 {
        self.unacknowledged = 0;
        self.ack_at = None;
        if std::mem::take(&mut self.lost) { flag::LOST } else { 0 }
    }

    /// When something must be said, even with no data to go with it.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        if self.lost { Some(Duration::ZERO) } else { self.ack_at }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.capacity() + self.inbox_size
    }
}
