//! A line in virtual time that loses, inserts and repeats bytes.

use std::{collections::VecDeque, time::Duration};

use super::*;

/// Random numbers that a test can repeat (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, or 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(super) fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance as usize
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        start..start + self.below(len - start + 1)
    }
}

/// What happens to bytes on the way, each in so many percent of the writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    pub(super) lose: u32,
    pub(super) insert: u32,
    pub(super) repeat: u32,
}

impl Faults {
    pub(super) const NONE: Faults = Faults { lose: 0, insert: 0, repeat: 0 };

    /// A write as it arrives.
    pub(super) fn apply(self, mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
        if random.percent(self.lose) {
            bytes.drain(random.range(bytes.len()));
        }
        if random.percent(self.repeat) {
            let copy = bytes[random.range(bytes.len())].to_vec();
            let at = if random.percent(50) { bytes.len() } else { random.below(bytes.len()) };
            bytes.splice(at..at, copy);
        }
        if random.percent(self.insert) {
            let at = random.below(bytes.len());
            let foreign = match random.below(4) {
                0 => b"[   12.345678] random: crng init done\r\n".to_vec(),
                1 => crate::frame::MAGIC.to_vec(),
                // The beginning of a frame that is never finished.
                2 => bytes[..bytes.len().min(random.below(60))].to_vec(),
                _ => {
                    let len = random.below(300);
                    random.bytes(len)
                }
            };
            bytes.splice(at..at, foreign);
        }
        bytes
    }
}

/// Lets two ends send their messages to each other, and checks that they arrive: all, once, in order.
/// Returns the virtual time and the bytes that were written, by the host and by the guest.
pub(super) fn converse(
    to_guest: &[Vec<u8>],
    to_host: &[Vec<u8>],
    faults: Faults,
    random: &mut Random,
) -> (Duration, [usize; 2]) {
    let mut ends = [Link::new(Role::Host, SESSION), Link::new(Role::Guest, 0)];
    let sends = [to_guest, to_host];
    // A guest speaks when spoken to.
    let may_send = |from: usize, queued: usize, heard: usize, end: &Link| {
        queued < sends[from].len() && end.backlog() < 100_000 && (from == 0 || heard > 0)
    };
    let mut queued = [0, 0];
    let mut arrived = [0, 0];
    let mut written = [0, 0];
    let mut lines: [VecDeque<(Duration, usize, Vec<u8>)>; 2] = Default::default();
    let mut now = ms(0);
    loop {
        for (from, to) in [(0, 1), (1, 0)] {
            while may_send(from, queued[from], arrived[1], &ends[from]) {
                ends[from].send(&sends[from][queued[from]]);
                queued[from] += 1;
            }
            let bytes = ends[from].outgoing(now);
            written[from] += bytes.len();
            for piece in bytes.chunks(4096) {
                let arrival =
                    lines[from].back().map_or(now, |(at, ..)| *at).max(now + Duration::from_micros(300));
                lines[from].push_back((arrival, piece.len(), faults.apply(piece.to_vec(), random)));
            }
            let under_way: usize = lines[from].iter().map(|(_, len, _)| len).sum();
            assert!(from == 0 || under_way < 66 << 10, "{under_way} bytes on the way to the host");
            while lines[from].front().is_some_and(|(at, ..)| *at <= now) {
                let Some((.., bytes)) = lines[from].pop_front() else { break };
                let middle = random.below(bytes.len());
                ends[to].receive(&bytes[..middle], now);
                ends[to].receive(&bytes[middle..], now);
                while let Some(message) = ends[to].message() {
                    assert!(Some(&message) == sends[from].get(arrived[to]), "another message than was sent");
                    arrived[to] += 1;
                }
            }
            // On the worst of lines even the questions are lost for a minute; that heals.
            assert!(
                matches!(ends[from].broken(), None | Some(Broken::Silent(_))),
                "{:?}",
                ends[from].broken()
            );
        }
        if arrived == [to_host.len(), to_guest.len()] && ends.iter().all(|end| end.backlog() == 0) {
            return (now, written);
        }
        let more = (0..2).any(|from| may_send(from, queued[from], arrived[1], &ends[from])).then_some(now);
        let wakes = ends.iter().filter_map(Link::wake_at);
        let arrivals = lines.iter().filter_map(|line| line.front().map(|(at, ..)| *at));
        let next = wakes
            .chain(arrivals)
            .chain(more)
            .min()
            .unwrap_or_else(|| panic!("nothing is under way and nobody asks, {arrived:?} {ends:?}"));
        now = next.max(now + Duration::from_micros(10));
        assert!(now < Duration::from_secs(3600), "{arrived:?} arrived in an hour, {ends:?}");
    }
}
