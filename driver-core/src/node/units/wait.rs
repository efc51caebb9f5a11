//! Waits for units: by what the guest tells, and where it cannot, by what systemctl shows.

use std::ops::ControlFlow;
use std::time::Duration;

use agent_protocol::message::{Notice, UnitState, Watch};

use super::judge::{Judge, Verdict};
use super::{Node, UnitInfo};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::wait::{Look, Wait};

/// How long [`Node::wait_for_unit`] lets a unit be inactive with no job pending.
const GRACE: Duration = Duration::from_secs(5);

/// Types of units, as they end a name.
const TYPES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "device",
    "mount",
    "automount",
    "swap",
    "timer",
    "path",
    "slice",
    "scope",
];

/// Bytes of a unit's name, at most.
const NAME: usize = 255;

impl Node {
    /// Waits until a unit is active, or until a service has run that does something once and is inactive
    /// afterwards (`Type=oneshot`). A unit that has failed ends the wait at once; one that is inactive with
    /// no job pending, when that has been so for 5 seconds.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] with NixOS's words in both cases and when the time is over.
    pub async fn wait_for_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        self.wait_for_unit_with_grace(unit, user, timeout, GRACE).await
    }

    /// [`Node::wait_for_unit`] with another time that the unit may be inactive with no job pending: it may
    /// be about to be queued. Times in which some job is pending do not count.
    ///
    /// # Errors
    /// As [`Node::wait_for_unit`].
    pub async fn wait_for_unit_with_grace(
        &self,
        unit: &str,
        user: Option<&str>,
        timeout: Duration,
        grace: Duration,
    ) -> Result<(), DriverError> {
        let with = user.map_or_else(String::new, |user| format!(" with user {user}"));
        self.wait_step(format!("waiting for unit {unit}{with}"), timeout, async {
            let deadline = Deadline::after(timeout);
            let judge = Judge::new(grace);
            let mut looked = false;
            while let Some(verdict) = self.follow_unit(unit, user, deadline, &judge, looked).await? {
                // The guest's word that nothing will come is looked at again, as NixOS does it.
                if verdict != Verdict::Idle && self.conclude(unit, verdict)? {
                    return Ok(());
                }
                if let Look::Done(()) = self.look_at_unit(unit, user, &judge, false).await? {
                    return Ok(());
                }
                looked = true;
            }
            Wait::by(format!("unit `{unit}` to be active"), deadline)
                .until(|last| self.look_at_unit(unit, user, &judge, last))
                .await
        })
        .await
    }

    /// Has the guest tell each change of the unit, up to the first that says something: that the wait is
    /// over, or that systemctl must be asked, for the guest's word is not enough (once, unless that has been
    /// `looked` at). `None` when the guest cannot tell, or the time is over.
    async fn follow_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        deadline: Deadline,
        judge: &Judge,
        looked: bool,
    ) -> Result<Option<Verdict>, DriverError> {
        let Some(name) = full_name(unit) else { return Ok(None) };
        let watch = Watch::Unit { name, user: user.map(str::to_owned) };
        self.noticed_in_time(watch, deadline, |notice| {
            let Notice::Unit(state) = notice else { return Ok(ControlFlow::Continue(None)) };
            Ok(match judge.judge(&state) {
                Verdict::NotYet(again) if looked || !is_forgotten(&state) => ControlFlow::Continue(again),
                verdict => ControlFlow::Break(verdict),
            })
        })
        .await
    }

    /// Looks at the unit by means of systemctl. At the `last` look there is no grace any more.
    async fn look_at_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        judge: &Judge,
        last: bool,
    ) -> Result<Look<()>, DriverError> {
        let judge = |state: &UnitState| match judge.judge(state) {
            Verdict::NotYet(Some(_)) if last => Verdict::Idle,
            verdict => verdict,
        };
        let state = match self.shown_unit(unit, user).await {
            // The manager may be about to start, or to execute itself anew.
            Err(error @ DriverError::Assertion { .. }) => {
                return match judge(&nothing_known()) {
                    Verdict::Idle => Err(error),
                    _ => Ok(Look::NotYet(error.to_string())),
                };
            }
            other => other?,
        };
        Ok(match self.conclude(unit, judge(&state))? {
            true => Look::Done(()),
            false => Look::NotYet(format!("state `{}`", state.active)),
        })
    }

    /// How a unit is, as systemctl shows it.
    async fn shown_unit(&self, unit: &str, user: Option<&str>) -> Result<UnitState, DriverError> {
        let active = self.get_unit_property(unit, "ActiveState", user).await?;
        if active != "inactive" {
            return Ok(UnitState { active, ..UnitState::default() });
        }
        let (_, jobs) = self.systemctl("list-jobs --full 2>&1", user).await?;
        // Read again: the job may have ended, and started the unit, between the two questions.
        let info = self.get_unit_info(unit, user).await?;
        let state = UnitState { jobs: !jobs.contains("No jobs"), ..shown(&info) };
        if is_forgotten(&state) && self.has_run(info.get("Id").map_or(unit, String::as_str), user).await? {
            return Ok(UnitState { has_run: true, conditions_met: true, ..state });
        }
        Ok(state)
    }

    /// Whether the wait has come to a good end.
    fn conclude(&self, unit: &str, verdict: Verdict) -> Result<bool, DriverError> {
        let failure = |what| Err(DriverError::assertion(format!("unit \"{unit}\" {what}")));
        match verdict {
            Verdict::Active => Ok(true),
            Verdict::HasRun => {
                self.log(format!("unit \"{unit}\" has run, with success, and is inactive again"));
                Ok(true)
            }
            Verdict::Failed => failure("reached state \"failed\""),
            Verdict::Idle => failure("is inactive and there are no pending jobs"),
            Verdict::NotYet(_) => Ok(false),
        }
    }
}

/// The name that systemctl makes of a plain one; `None` for what it is better to leave to systemctl: paths,
/// patterns, and what the guest's shell would change.
fn full_name(unit: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.@-".contains(&byte);
    // Escapes are `\x2d`; another backslash may be the shell's.
    let mut parts = unit.split("\\x");
    let begins = parts.next().is_some_and(|part| part.bytes().all(plain) && !part.starts_with('-'));
    let is_hex = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if unit.is_empty()
        || unit.len() > NAME
        || !begins
        || !parts.all(|part| is_hex(part) && part.bytes().all(plain))
    {
        return None;
    }
    let has_type = unit.rsplit_once('.').is_some_and(|(_, kind)| TYPES.contains(&kind));
    Some(if has_type { unit.to_owned() } else { format!("{unit}.service") })
}

/// Whether this may be a service that has run and that systemd has forgotten since: it forgets what is
/// inactive and what nobody refers to.
fn is_forgotten(state: &UnitState) -> bool {
    state.active == "inactive" && state.once && !state.has_run && !state.has_job
}

/// How a unit is of which nobody can tell.
fn nothing_known() -> UnitState {
    UnitState { active: "inactive".to_owned(), ..UnitState::default() }
}

/// How a unit is, of what systemctl shows.
fn shown(info: &UnitInfo) -> UnitState {
    let get = |key: &str| info.get(key).map_or("", String::as_str);
    let is_set = |key: &str| !matches!(get(key), "" | "0");
    UnitState {
        active: get("ActiveState").to_owned(),
        has_job: is_set("Job"),
        jobs: false,
        once: get("Type") == "oneshot" && get("RemainAfterExit") == "no",
        // `systemctl reset-failed` forgets the result only. The journal knows of a status that is a success.
        has_run: is_set("ExecMainExitTimestampMonotonic") && !is_set("ExecMainStatus"),
        result: get("Result").to_owned(),
        conditions_met: get("ConditionResult") == "yes",
    }
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn names_are_completed_as_systemctl_does_it() {
        for (unit, name) in [
            ("nginx", "nginx.service"),
            ("multi-user.target", "multi-user.target"),
            ("php8.2-fpm", "php8.2-fpm.service"),
            ("getty@tty1", "getty@tty1.service"),
            ("dev-disk-by\\x2dlabel-a.device", "dev-disk-by\\x2dlabel-a.device"),
        ] {
            assert_eq!(full_name(unit).as_deref(), Some(name));
        }
        for odd in
            ["", "/dev/vda", "nginx*", "a b", "-.mount", "a\\b", "a\\x2", "$HOME", "é", &"a".repeat(300)]
        {
            assert_eq!(full_name(odd), None, "{odd}");
        }
    }
}
