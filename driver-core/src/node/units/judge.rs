//! What a wait concludes from the state of a unit, whoever has told it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::message::UnitState;
use tokio::time::Instant;

/// What is concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is active.
    Active,
    /// It has done what it does once, with success, and is inactive again.
    HasRun,
    /// It has failed.
    Failed,
    /// It is inactive and no job is pending, for longer than the grace.
    Idle,
    /// None of these. If nothing changes, it will be idle after this time.
    NotYet(Option<Duration>),
}

/// The judge of one wait.
#[derive(Debug)]
pub(super) struct Judge {
    grace: Duration,
    idle: Mutex<Idle>,
}

/// How long the unit has been inactive with no job pending. Times in which jobs of other units are pending
/// are left out, but end nothing: some unit that is started again and again must not make the wait endless.
#[derive(Debug, Default)]
struct Idle {
    before: Duration,
    since: Option<Instant>,
}

impl Judge {
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, idle: Mutex::default() }
    }

    pub(super) fn judge(&self, state: &UnitState) -> Verdict {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match state.active.as_str() {
            "active" => return Verdict::Active,
            "failed" => return Verdict::Failed,
            "inactive" if !state.has_job => {}
            _ => {
                *idle = Idle::default();
                return Verdict::NotYet(None);
            }
        }
        if has_run(state) {
            return Verdict::HasRun;
        }
        let now = Instant::now();
        if state.jobs {
            if let Some(since) = idle.since.take() {
                idle.before += now - since;
            }
            return Verdict::NotYet(None);
        }
        let spent = idle.before + (now - *idle.since.get_or_insert(now));
        match self.grace.checked_sub(spent).filter(|left| !left.is_zero()) {
            Some(left) => Verdict::NotYet(Some(left)),
            None => Verdict::Idle,
        }
    }
}

/// Whether a unit that is inactive has done its work: it is of the kind that does something once, and its
/// last start was not skipped, ran to its end and succeeded. What never ran is not done.
fn has_run(state: &UnitState) -> bool {
    state.once && state.has_run && state.conditions_met && state.result == "success"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(active: &str) -> UnitState {
        UnitState { active: active.to_owned(), conditions_met: true, ..UnitState::default() }
    }

    fn ran() -> UnitState {
        UnitState { once: true, has_run: true, result: "success".to_owned(), ..state("inactive") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_may_be_inactive_for_a_moment_before_it_is_queued() {
        let judge = Judge::new(Duration::from_secs(5));
        let idle = state("inactive");
        assert_eq!(judge.judge(&idle), Verdict::NotYet(Some(Duration::from_secs(5))));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(judge.judge(&idle), Verdict::NotYet(Some(Duration::from_secs(1))));
        // Its own job: the time begins anew.
        let queued = UnitState { has_job: true, jobs: true, ..idle.clone() };
        assert_eq!(judge.judge(&queued), Verdict::NotYet(None));
        assert_eq!(judge.judge(&idle), Verdict::NotYet(Some(Duration::from_secs(5))));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(judge.judge(&idle), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_of_other_units_stop_the_clock_and_do_not_turn_it_back() {
        let judge = Judge::new(Duration::from_secs(5));
        let (idle, busy) = (state("inactive"), UnitState { jobs: true, ..state("inactive") });
        for _ in 0..4 {
            assert_ne!(judge.judge(&idle), Verdict::Idle);
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(judge.judge(&busy), Verdict::NotYet(None));
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(judge.judge(&idle), Verdict::NotYet(Some(Duration::from_secs(1))));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(judge.judge(&idle), Verdict::Idle);
    }

    #[tokio::test]
    async fn a_unit_is_done_when_it_is_active_or_has_run() {
        let judge = Judge::new(Duration::ZERO);
        assert_eq!(judge.judge(&state("active")), Verdict::Active);
        assert_eq!(judge.judge(&state("activating")), Verdict::NotYet(None));
        assert_eq!(judge.judge(&ran()), Verdict::HasRun);
        assert_eq!(judge.judge(&state("failed")), Verdict::Failed);
    }

    #[tokio::test]
    async fn what_never_ran_or_did_not_succeed_is_not_done() {
        for not_done in [
            UnitState { has_run: false, ..ran() },
            UnitState { conditions_met: false, ..ran() },
            UnitState { result: "exit-code".to_owned(), ..ran() },
            UnitState { once: false, ..ran() },
        ] {
            assert_eq!(Judge::new(Duration::ZERO).judge(&not_done), Verdict::Idle, "{not_done:?}");
        }
        // It is about to run again.
        let queued = UnitState { has_job: true, ..ran() };
        assert_eq!(Judge::new(Duration::ZERO).judge(&queued), Verdict::NotYet(None));
    }
}
