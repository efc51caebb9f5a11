//! Deadlines: every wait has one, and one that is over can say how long it was.

use std::time::Duration;

use tokio::time::Instant;

/// A moment by which something must have happened, on the monotonic clock.
///
/// ```
/// use std::time::Duration;
/// use driver_core::Deadline;
///
/// let boot = Deadline::after(Duration::from_secs(300));
/// let step = boot.at_most(Duration::from_secs(5));
/// assert!(step.remaining() <= Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    started: Instant,
    ends: Instant,
}

impl Deadline {
    /// What "no limit" means: longer than any test runs, short enough for every clock.
    const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

    /// A deadline that is over after `limit`, counted from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let started = Instant::now();
        Self { started, ends: started + limit.min(Self::FAR) }
    }

    /// A deadline for waits that something else bounds: the run's own deadline, say.
    #[must_use]
    pub fn far() -> Self {
        Self::after(Self::FAR)
    }

    /// A deadline that starts now and ends after `limit`, or when this one does if that is sooner.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        let other = Self::after(limit);
        Self { started: other.started, ends: self.ends.min(other.ends) }
    }

    /// The time that was given in all.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.ends - self.started
    }

    /// The time since the deadline was set.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time that is left; zero when the deadline is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Says whether the deadline is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The moment itself, for `tokio::time::timeout_at`.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.ends
    }
}
