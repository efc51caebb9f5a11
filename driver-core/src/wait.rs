//! Waits as values: a condition, a deadline, a description, and what was there instead.

use std::future::Future;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::text::python_float;

/// The pause after the first look. Most conditions come true soon or late, rarely in between.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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

    /// Looks until the condition is true: at once, after 20 ms, then at growing intervals up to one
    /// second, and once more when the time is over (`look` is then given `true`). Dropping the future
    /// ends the wait.
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
        let mut pause = FIRST_PAUSE;
        while !deadline.is_over() {
            match look(false).await? {
                Look::Done(value) => return Ok(value),
                Look::NotYet(_) => tokio::time::sleep(pause.min(deadline.remaining())).await,
            }
            pause = LONGEST_PAUSE.min(pause.mul_f64(1.5));
        }
        match look(true).await? {
            Look::Done(value) => Ok(value),
            Look::NotYet(seen) => Err(self.timed_out(deadline, &seen)),
        }
    }

    fn timed_out(&self, deadline: Deadline, seen: &str) -> DriverError {
        DriverError::assertion(format!(
            "action timed out after {:.2} seconds (timeout={})\nwaited for {}; last seen: {}",
            deadline.elapsed().as_secs_f64(),
            python_float(deadline.limit().as_secs_f64()),
            self.awaited,
            if seen.is_empty() { "nothing" } else { seen },
        ))
    }
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

    #[tokio::test(start_paused = true)]
    async fn looks_often_at_first_and_once_a_second_later() {
        let started = Instant::now();
        let mut looks = Vec::new();
        let error = Wait::new("nothing in particular", Duration::from_secs(10))
            .until(|last| {
                looks.push((started.elapsed(), last));
                std::future::ready(Ok(Look::<()>::NotYet("a blank page".to_owned())))
            })
            .await
            .unwrap_err();
        assert_eq!(looks[1].0, Duration::from_millis(20));
        assert!(looks.iter().filter(|(at, _)| *at < Duration::from_secs(1)).count() >= 7, "{looks:?}");
        assert!(looks.iter().rev().skip(1).all(|(_, last)| !last) && looks.last().unwrap().1);
        assert_eq!(
            error.to_string(),
            "action timed out after 10.00 seconds (timeout=10.0)\n\
             waited for nothing in particular; last seen: a blank page"
        );
    }
}
