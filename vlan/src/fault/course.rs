//! How a fault goes between two machines: its chances, and how fast it lets frames pass.
//!
//! Seeds are written down in logs, and give the same course in every later version of this program: the hash,
//! the generator and the order of draws are never changed.

use std::time::{Duration, Instant};

use driver_core::vlan::FaultKind;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// How long frames wait for those before them; what would have to wait longer is lost.
const QUEUE: Duration = Duration::from_millis(100);
const NANOS: u64 = 1_000_000_000;

/// The state of a fault between two machines, in one direction.
#[derive(Debug)]
pub(super) struct Course {
    random: Xoshiro256PlusPlus,
    /// When the last frame has passed that a rate let pass.
    free: Option<Instant>,
    /// What of that time is left out: less than a nanosecond, in parts of it that the rate tells.
    rest: u64,
}

impl Course {
    /// The course that `seed` gives to this kind of fault between these machines.
    pub(super) fn new(seed: u64, kind: &FaultKind, (from, to): (Option<&str>, Option<&str>)) -> Self {
        let kind = match kind {
            FaultKind::Partition { .. } => "partition",
            FaultKind::Delay { .. } => "delay",
            FaultKind::Loss { .. } => "loss",
            FaultKind::Rate { .. } => "rate",
            FaultKind::Duplicate { .. } => "duplicate",
            FaultKind::Reorder { .. } => "reorder",
        };
        let mut hash = Sha256::new_with_prefix(seed.to_le_bytes());
        for text in [kind, from.unwrap_or_default(), to.unwrap_or_default()] {
            hash.update(text);
            hash.update([0]);
        }
        Self { random: Xoshiro256PlusPlus::from_seed(hash.finalize().into()), free: None, rest: 0 }
    }

    /// Draws whether something happens that happens to `percent` of a hundred.
    pub(super) fn happens(&mut self, percent: f64) -> bool {
        self.draw() * 100.0 < percent
    }

    /// Draws a time around `by`, evenly spread over as much as `jitter` less and more.
    pub(super) fn spread(&mut self, by: Duration, jitter: Duration) -> Duration {
        by.saturating_sub(jitter) + jitter.mul_f64(2.0 * self.draw())
    }

    /// When a frame has passed at so many bits a second; `None` when it would have to wait too long for those
    /// before it.
    pub(super) fn send(&mut self, bits_per_second: u64, len: usize, now: Instant) -> Option<Instant> {
        let start = match self.free {
            Some(free) if free > now => free,
            _ => {
                self.rest = 0;
                now
            }
        };
        if start - now > QUEUE {
            return None;
        }
        let parts = len as u64 * 8 * NANOS + self.rest;
        let end = start + Duration::from_nanos(parts / bits_per_second);
        self.rest = parts % bits_per_second;
        self.free = Some(end);
        Some(end)
    }

    /// At least 0 and less than 1.
    fn draw(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The seed of the n-th fault that brings none of its own; short enough to be typed again.
pub(super) fn seed(switch: u64, number: u64) -> u64 {
    let mut hash = Sha256::new_with_prefix(switch.to_le_bytes());
    hash.update(number.to_le_bytes());
    let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
    u32::from_le_bytes([a, b, c, d]).into()
}
