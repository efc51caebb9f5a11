//! How often to look: at what tells nothing by itself, and at what tells too much.

use std::time::{Duration, Instant};

/// The shortest and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// The longest pause where looks are dear: on a machine that is slow, or has much to list.
const LONGEST: Duration = Duration::from_millis(250);

/// Pauses that grow with the time waited, so that a wait is hardly a hundredth late; and with what a look
/// costs, so that looking takes no more than a tenth of one CPU.
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
        now + (waited / 100).clamp(PAUSES.0, PAUSES.1).max((cost * 10).min(LONGEST))
    }
}

/// How many looks are free: what happens now and then is looked at at once.
const FREE: u32 = 10;

/// Rests between looks that others make due, so that who is busy there need not share a CPU with us.
#[derive(Debug)]
pub(super) struct Rest {
    pause: Duration,
    owed_until: Instant,
}

impl Rest {
    /// Looks cost a pause each. As many as are free may be owed.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, owed_until: Instant::now() }
    }

    /// The end of the rest after a look that ends now, if one is due.
    pub(super) fn after_look(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.owed_until = self.owed_until.max(now) + self.pause;
        self.owed_until.checked_sub(self.pause * FREE).filter(|end| *end > now)
    }
}
