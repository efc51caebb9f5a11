//! A lane: messages over a line that loses nothing and that nobody else writes to, such as a virtio port
//! that is no console. There they need no numbers, no checks and no windows: each is sent after its length,
//! four bytes, little-endian.
//!
//! What the line still holds of an earlier session is skipped: each side begins with [`Lane::opening`],
//! whose token the driver has chosen for this session and told over the link.

use crate::link::Link;

/// What the opening begins with; the token follows.
const OPENING: [u8; 8] = *b"\xf9lane\r\n\x00";

/// Bytes of an opening.
const OPENING_SIZE: usize = OPENING.len() + 8;

/// Bytes before a message.
const LENGTH: usize = 4;

/// The receiving end of a lane. What is to be sent, [`Lane::wrap`] prepares.
#[derive(Debug)]
pub struct Lane {
    opening: [u8; OPENING_SIZE],
    is_open: bool,
    bytes: Vec<u8>,
    /// Bytes at the beginning that are done with.
    start: usize,
}

/// The other side sends a message longer than [`Link::MAX_MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the other side sent a message that is too long")
    }
}

impl std::error::Error for TooLong {}

impl Lane {
    /// An end of a lane that waits for the other side's opening.
    pub fn new(token: u64) -> Self {
        let mut opening = [0; OPENING_SIZE];
        opening[..OPENING.len()].copy_from_slice(&OPENING);
        opening[OPENING.len()..].copy_from_slice(&token.to_le_bytes());
        Self { opening, is_open: false, bytes: Vec::new(), start: 0 }
    }

    /// What each side sends first.
    pub fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// Appends a message as it is sent.
    pub fn wrap(message: &[u8], out: &mut Vec<u8>) {
        // Longer ones the other side refuses.
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(message);
    }

    /// Takes what was read, in any splitting.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
        if !self.is_open {
            let found = self.bytes.windows(OPENING_SIZE).position(|window| window == self.opening);
            self.is_open = found.is_some();
            self.start = match found {
                Some(at) => at + OPENING_SIZE,
                // It may have begun.
                None => self.bytes.len().saturating_sub(OPENING_SIZE - 1),
            };
        }
    }

    /// The next message that is there as a whole.
    ///
    /// # Errors
    /// When it would be too long; the lane is then of no more use.
    pub fn message(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let rest = self.bytes.get(self.start..).filter(|_| self.is_open).unwrap_or_default();
        let Some(length) = rest.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > Link::MAX_MESSAGE {
            return Err(TooLong);
        }
        if rest.len() - LENGTH < length {
            return Ok(None);
        }
        let message = self.start + LENGTH;
        self.start = message + length;
        Ok(self.bytes.get(message..self.start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(lane: &mut Lane) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| lane.message().unwrap().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn what_an_earlier_session_left_is_skipped() {
        let (mut lane, old) = (Lane::new(2), Lane::new(1));
        let mut line = b"rest of a message".to_vec();
        line.extend(old.opening());
        Lane::wrap(b"old", &mut line);
        line.extend(&lane.opening()[..9]);
        line.extend(lane.opening().to_vec());
        Lane::wrap(b"new", &mut line);
        lane.receive(&line);
        assert_eq!(taken(&mut lane), [b"new"]);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_there() {
        let mut lane = Lane::new(1);
        let mut line = lane.opening().to_vec();
        line.extend((Link::MAX_MESSAGE as u32 + 1).to_le_bytes());
        lane.receive(&line);
        assert_eq!(lane.message(), Err(TooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn messages_arrive_in_any_splitting(
            stale: Vec<u8>, messages: Vec<Vec<u8>>, pieces in prop::collection::vec(1..40_usize, 1..20),
        ) {
            let mut lane = Lane::new(77);
            let mut line = [&stale, lane.opening()].concat();
            for message in &messages {
                Lane::wrap(message, &mut line);
            }
            let (mut rest, mut arrived) = (&line[..], Vec::new());
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                lane.receive(now);
                arrived.extend(taken(&mut lane));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(arrived, messages);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut lane = Lane::new(77);
            let opening = lane.opening().to_vec();
            lane.receive(&opening);
            lane.receive(&bytes);
            while let Ok(Some(_)) = lane.message() {}
        }
    }
}
