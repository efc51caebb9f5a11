//! Frames: what a link writes into the port.
//!
//! | at | bytes | what |
//! |---:|---:|---|
//! | 0 | 2 | [`MAGIC`], two bytes that no UTF-8 text has |
//! | 2 | 1 | [`FRAME_VERSION`] |
//! | 3 | 1 | flags, see [`flag`] |
//! | 4 | 4 | session |
//! | 8 | 4 | sequence number of this frame, or of the next one with data |
//! | 12 | 4 | sequence number that the sender of this frame expects next |
//! | 16 | 1 | round: how often the sender has gone back to send again |
//! | 17 | 1 | the last round that the sender has seen of the other side |
//! | 18 | 2 | length of the data |
//! | 20 | 2 | check of the 20 bytes before, so that a length is only believed when it was not hit |
//! | 22 | length | data, every byte combined with [`VEIL`] |
//! | | 4 | CRC-32 of everything before |
//!
//! Numbers are little-endian. The bytes of all but magic and data are spelt, half a byte in each, so that a shell
//! which reads a frame in the agent's place sees a word and neither quotes nor brackets: on the line they take
//! twice the room that the table says. The places of magic, version, session, length and both checks are the same in
//! every version, so that a version is recognised as another one and not as noise.

mod scanner;

pub(crate) use scanner::{Found, Scanner};

/// How every frame begins.
pub(crate) const MAGIC: [u8; 2] = [0xf9, 0xf6];

/// The version of this layout and of the rules by which a link sends again.
pub(crate) const FRAME_VERSION: u8 = 1;

/// Bytes before the data.
pub(crate) const HEADER: usize = 2 + 2 * 20;

/// Bytes of a frame without its data.
pub(crate) const OVERHEAD: usize = HEADER + CHECKSUM;

/// Bytes after the data.
const CHECKSUM: usize = 8;

/// Bytes of the header before it is spelt.
const PLAIN: usize = 22;

/// Bytes of data in a frame, at most. With the overhead it is what a terminal hands out in one read, or less.
pub(crate) const MAX_DATA: usize = 4096 - OVERHEAD;

/// The upper half of a byte that spells half a byte.
const SPELT: u8 = 0xa0;

/// What data is combined with on the line. A frame that a shell reads in the agent's place must not hold a
/// command line, nor a frame that was hit the greeting of a shell: with this, text is none any more.
pub(crate) const VEIL: u8 = 0x80;

/// What the bits of the flags mean.
pub(crate) mod flag {
    /// From the guest; without it from the host. A terminal that echoes sends frames back to where they came from.
    pub(crate) const FROM_GUEST: u8 = 1;
    /// Carries data, possibly none, and counts in the sequence.
    pub(crate) const DATA: u8 = 2;
    /// The message goes on in the next frame with data.
    pub(crate) const MORE: u8 = 4;
    /// Something before the last frame was lost: send again from the expected number.
    pub(crate) const LOST: u8 = 8;
    /// Answer at once.
    pub(crate) const ASK: u8 = 16;
    /// The sender has never received anything in this session.
    pub(crate) const FRESH: u8 = 32;
}

/// All of a frame but its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) flags: u8,
    pub(crate) session: u32,
    pub(crate) seq: u32,
    pub(crate) expected: u32,
    pub(crate) round: u8,
    pub(crate) seen_round: u8,
}

impl Header {
    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Appends the frame with this header.
    pub(crate) fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        debug_assert!(data.len() <= MAX_DATA);
        let start = out.len();
        let mut head = [0; PLAIN];
        head[..2].copy_from_slice(&MAGIC);
        head[2] = self.version;
        head[3] = self.flags;
        head[4..8].copy_from_slice(&self.session.to_le_bytes());
        head[8..12].copy_from_slice(&self.seq.to_le_bytes());
        head[12..16].copy_from_slice(&self.expected.to_le_bytes());
        head[16] = self.round;
        head[17] = self.seen_round;
        head[18..20].copy_from_slice(&(data.len() as u16).to_le_bytes());
        let check = check(&head);
        head[20..].copy_from_slice(&check);
        out.extend_from_slice(&MAGIC);
        spell(&head[2..], out);
        out.extend_from_slice(data);
        let crc = crc32fast::hash(&out[start..]);
        spell(&crc.to_le_bytes(), out);
    }

    /// The header and the length of the data after it, when these bytes begin with a whole and sound one.
    fn read(bytes: &[u8]) -> Option<(Header, usize)> {
        let (magic, spelt) = bytes.get(..HEADER)?.split_at(2);
        let mut head = [0; PLAIN];
        head[..2].copy_from_slice(magic);
        read_spelt(spelt, &mut head[2..])?;
        if head[..2] != MAGIC || head[20..] != check(&head) {
            return None;
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let len = usize::from(u16::from_le_bytes([head[18], head[19]]));
        let header = Header {
            version: head[2],
            flags: head[3],
            session: number(4),
            seq: number(8),
            expected: number(12),
            round: head[16],
            seen_round: head[17],
        };
        (len <= MAX_DATA).then_some((header, len))
    }
}

/// The check of a header.
fn check(head: &[u8; PLAIN]) -> [u8; 2] {
    let [a, b, ..] = crc32fast::hash(&head[..20]).to_le_bytes();
    [a, b]
}

/// Appends bytes, half a byte in each: none of them means anything to a shell.
fn spell(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| [SPELT | byte >> 4, SPELT | byte & 15]));
}

/// Reads what [`spell`] has written. `None` when it has not.
fn read_spelt(spelt: &[u8], bytes: &mut [u8]) -> Option<()> {
    for (byte, halves) in bytes.iter_mut().zip(spelt.chunks_exact(2)) {
        if halves.iter().any(|half| half & 0xf0 != SPELT) {
            return None;
        }
        *byte = halves[0] << 4 | halves[1] & 15;
    }
    Some(())
}
