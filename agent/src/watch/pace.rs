//! How often to look at what tells nothing by itself.

use std::time::{Duration, Instant};

/// The shortest and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// Pauses that grow with the time waited, so that the wait is about a hundredth late; and with what a look
/// costs, which takes a hundredth of one CPU at most, on a machine that is slow or has much to list, too.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
}

impl Pace {
    /// Begins now.
    pub(super) fn new() -> Self {
        Self { since: Instant::now() }
    }

    /// The moment of the next look, after one that began at `began` and ends now.
    pub(super) fn after(&self, began: Instant) -> Instant {
        let now = Instant::now();
        let (cost, waited) = (now - began, now - self.since);
        now + (waited / 100).max(cost * 100).clamp(PAUSES.0, PAUSES.1)
    }
}
