//! Finds frames among whatever else is on the line.

use std::ops::Range;

use super::{CHECKSUM, HEADER, Header, MAGIC, OVERHEAD, read_spelt};

/// Bytes that are no frames are kept up to this many, for the log.
const STRAY: usize = 64 << 10;

/// What a [`Scanner`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A sound frame; the range is for [`Scanner::data`], until the next call that changes the scanner.
    Frame(Header, Range<usize>),
    /// A sound header whose frame was hit.
    Damaged(Header),
}

/// The bytes read and not yet understood. After [`Scanner::next`] has said `None`, less than one frame.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    bytes: Vec<u8>,
    start: usize,
    stray: Vec<u8>,
    /// Bytes done with, ever: tells whether what is waited for is still the same frame.
    done: u64,
}

impl Scanner {
    /// Takes bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing found. `None` when more bytes are needed.
    ///
    /// After a damaged frame the search goes on at its second byte: its length, or its very beginning, may
    /// have been foreign, and whole frames may follow inside of what it claimed.
    pub(crate) fn next(&mut self) -> Option<Found> {
        loop {
            let rest = &self.bytes[self.start..];
            let before = rest.iter().position(|&b| b == MAGIC[0]).unwrap_or(rest.len());
            self.skip(before);
            let rest = &self.bytes[self.start..];
            if rest.len() < HEADER && MAGIC.iter().zip(rest).all(|(a, b)| a == b) {
                return None;
            }
            let Some((header, len)) = Header::read(rest) else {
                self.skip(1);
                continue;
            };
            let frame = rest.get(..len + OVERHEAD)?;
            if !is_sound(frame) {
                self.skip(1);
                return Some(Found::Damaged(header));
            }
            let data = self.start + HEADER;
            self.start += frame.len();
            self.done += (len + OVERHEAD) as u64;
            return Some(Found::Frame(header, data..data + len));
        }
    }

    /// Gives up the frame that is waited for if there is a whole one further on that `wanted` accepts.
    ///
    /// For when the rest of a frame is late: if it was lost, what comes after it must not wait for as many
    /// bytes as were lost. If it is only late, nothing whole follows and nothing changes.
    pub(crate) fn look_ahead(&mut self, wanted: impl Fn(&Header) -> bool) {
        let rest = &self.bytes[self.start..];
        let whole = (1..rest.len()).find(|&at| {
            rest[at] == MAGIC[0]
                && Header::read(&rest[at..]).is_some_and(|(header, len)| {
                    wanted(&header) && rest.get(at..at + len + OVERHEAD).is_some_and(is_sound)
                })
        });
        if let Some(at) = whole {
            self.skip(at);
        }
    }

    /// The data of a frame that was found.
    pub(crate) fn data(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The place in all the bytes of the frame that is waited for, if one is.
    pub(crate) fn waits_at(&self) -> Option<u64> {
        (self.start < self.bytes.len()).then_some(self.done)
    }

    /// The bytes that are waiting for more.
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the bytes that were no frames.
    pub(crate) fn take_stray(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stray)
    }

    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity() + self.stray.capacity()
    }

    fn skip(&mut self, count: usize) {
        let kept = count.min(STRAY - self.stray.len());
        self.stray.extend_from_slice(&self.bytes[self.start..self.start + kept]);
        self.start += count;
        self.done += count as u64;
    }
}

/// Whether the CRC at the end of a frame is right.
fn is_sound(frame: &[u8]) -> bool {
    frame.split_last_chunk::<CHECKSUM>().is_some_and(|(body, spelt)| {
        let mut crc = [0; 4];
        read_spelt(spelt, &mut crc).is_some() && crc32fast::hash(body).to_le_bytes() == crc
    })
}
