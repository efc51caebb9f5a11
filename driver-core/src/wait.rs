//! Waits as values: a condition, a deadline, a description, and what was there instead.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::text::python_float;

/// The shortest and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// The longest pause where looks are cheap.
const LONGEST_CHEAP: Duration = Duration::from_millis(200);

/// What one look at a condition found.
#[derive(Debug)]
pub enum Look<T> {
    /// The condition is true; what the wait returns.
    Done(T),
    /// Not yet; what was there instead, in words.
    NotYet(String),
}

/// A wait for a condition that has to be looked at again and again.
///
/// ```
/// use std::time::Duration;
/// use driver_core::{Look, Wait};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut looks = 0;
/// let wait = Wait::new("the third look", Duration::from_secs(5));
/// let found = wait.until(|_last| {
///     looks += 1;
///     std::future::ready(Ok(if looks == 3 { Look::Done("seen") } else { Look::NotYet(format!("look {looks}")) }))
/// });
/// assert_eq!(found.await.unwrap(), "seen");
/// # });
/// ```
#[derive(Debug)]
pub struct Wait {
    awaited: String,
    time: Time,
}

/// How long a wait may take.
#[derive(Debug)]
enum Time {
    /// From the first look on.
    Within(Duration),
    /// A wait that has begun elsewhere.
    Until(Deadline),
}

impl Wait {
    /// A wait for `awaited` ("the unit to be active") that takes at most `limit`.
    pub fn new(awaited: impl Into<String>, limit: Duration) -> Self {
        Self { awaited: awaited.into(), time: Time::Within(limit) }
    }

    /// A wait for `awaited` that has begun when `deadline` did.
    pub(crate) fn by(awaited: impl Into<String>, deadline: Deadline) -> Self {
        Self { awaited: awaited.into(), time: Time::Until(deadline) }
    }

    /// Looks until the condition is true, and once more when the time is over (`look` is then given
    /// `true`). Dropping the future ends the wait.
    ///
    /// Between two looks it pauses for a twentieth of the time waited, and four times as long as a look
    /// takes: so it is hardly late, and takes no more than a fifth of the time of whatever has to answer,
    /// be that fast or slow. The pauses are between 20 and 200 ms, and up to one second where looks are dear.
    ///
    /// # Errors
    /// What `look` returns; [`DriverError::Assertion`] with NixOS's words when the time is over, and on
    /// lines of their own what was awaited and what was there instead.
    pub async fn until<T, F>(self, mut look: impl FnMut(bool) -> F) -> Result<T, DriverError>
    where
        F: Future<Output = Result<Look<T>, DriverError>>,
    {
        let deadline = match self.time {
            Time::Within(limit) => Deadline::after(limit),
            Time::Until(deadline) => deadline,
        };
        while !deadline.is_over() {
            let began = Instant::now();
            match look(false).await? {
                Look::Done(value) => return Ok(value),
                Look::NotYet(_) => {
                    let pause = pause(deadline.elapsed(), began.elapsed());
                    tokio::time::sleep(pause.min(deadline.remaining())).await;
                }
            }
        }
        match look(true).await? {
            Look::Done(value) => Ok(value),
            Look::NotYet(seen) => Err(timed_out(&self.awaited, deadline, &seen)),
        }
    }
}

/// The error of a wait whose time is over: NixOS's words, then what was awaited and what was there instead.
pub(crate) fn timed_out(awaited: &str, deadline: Deadline, seen: &str) -> DriverError {
    DriverError::assertion(format!(
        "action timed out after {:.2} seconds (timeout={})\nwaited for {awaited}; last seen: {}",
        deadline.elapsed().as_secs_f64(),
        python_float(deadline.limit().as_secs_f64()),
        if seen.is_empty() { "nothing" } else { seen },
    ))
}

/// The pause after a look that took `cost`, in a wait that takes `waited` already.
fn pause(waited: Duration, cost: Duration) -> Duration {
    (waited / 20).min(LONGEST_CHEAP).max(cost.saturating_mul(4)).clamp(PAUSES.0, PAUSES.1)
}

/// Runs `work` until `deadline`; `None` when it took longer.
pub(crate) async fn within<T>(deadline: Deadline, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.instant(), work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Look, Wait};

    /// Waits ten seconds in vain, with looks that take `cost`. Returns when it looked.
    async fn wait_in_vain(cost: Duration) -> (Vec<(Duration, bool)>, String) {
        let started = Instant::now();
        let mut looks = Vec::new();
        let wait = Wait::new("nothing in particular", Duration::from_secs(10));
        let result = wait.until(|last| {
            looks.push((started.elapsed(), last));
            async move {
                tokio::time::sleep(cost).await;
                Ok(Look::<()>::NotYet("a blank page".to_owned()))
            }
        });
        let error = result.await.expect_err("it waits in vain");
        (looks, error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn looks_often_where_that_is_cheap() {
        let (looks, error) = wait_in_vain(Duration::ZERO).await;
        assert_eq!(looks[1].0, Duration::from_millis(20));
        let pauses = looks.windows(2).map(|looks| (looks[0].0, looks[1].0 - looks[0].0));
        for (waited, pause) in pauses {
            let late = (waited / 20).clamp(Duration::from_millis(20), Duration::from_millis(200));
            assert!(pause <= late + Duration::from_millis(1), "{pause:?} after {waited:?}");
        }
        assert!(looks.iter().rev().skip(1).all(|(_, last)| !last) && looks.last().unwrap().1);
        assert_eq!(
            error,
            "action timed out after 10.00 seconds (timeout=10.0)\n\
             waited for nothing in particular; last seen: a blank page"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_time_to_what_is_slow_to_answer() {
        // Every half second; and not much less than once a second, however long a look takes.
        for (cost, expected) in [(100, 19..=22), (400, 7..=9)] {
            let (looks, _) = wait_in_vain(Duration::from_millis(cost)).await;
            assert!(expected.contains(&looks.len()), "{} looks of {cost} ms", looks.len());
        }
    }
}
