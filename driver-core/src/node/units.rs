//! systemd units in the guest.

mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use agent_protocol::message::{Notice, UnitState, Watch};

use super::Node;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::wait::{Look, Wait};

/// The properties of a unit, as `systemctl show` prints them.
pub type UnitInfo = BTreeMap<String, String>;

use judge::{Judge, Reached, Verdict};

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

/// How long one call of systemctl may take: NixOS's default for commands.
const SYSTEMCTL_LIMIT: Duration = Duration::from_secs(900);

impl Node {
    /// Runs `systemctl` with `query`, for the user's manager if one is named.
    ///
    /// # Errors
    /// As [`Node::execute`].
    pub async fn systemctl(&self, query: &str, user: Option<&str>) -> Result<(i32, String), DriverError> {
        let command = match user {
            None => format!("systemctl {query}"),
            Some(user) => format!(
                "su -l {user} --shell /bin/sh -c $'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user {}'",
                query.replace('\'', "\\'")
            ),
        };
        self.execute(&command, Some(SYSTEMCTL_LIMIT)).await
    }

    /// All properties of a unit.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when systemctl fails; as [`Node::execute`].
    pub async fn get_unit_info(&self, unit: &str, user: Option<&str>) -> Result<UnitInfo, DriverError> {
        let (status, output) = self.systemctl(&format!("--no-pager show \"{unit}\""), user).await?;
        if status != 0 {
            let under = user.map_or_else(String::new, |user| format!(" under user \"{user}\""));
            return Err(DriverError::assertion(format!(
                "retrieving systemctl info for unit \"{unit}\"{under} failed with exit code {status}"
            )));
        }
        Ok(output
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    /// One property of a unit.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when systemctl fails or prints something else.
    pub async fn get_unit_property(
        &self,
        unit: &str,
        property: &str,
        user: Option<&str>,
    ) -> Result<String, DriverError> {
        let query = format!("--no-pager show \"{unit}\" --property=\"{property}\"");
        let (status, output) = self.systemctl(&query, user).await?;
        if status != 0 {
            let under = user.map_or_else(String::new, |user| format!(" under user \"{user}\""));
            return Err(DriverError::assertion(format!(
                "retrieving systemctl property \"{property}\" for unit \"{unit}\"{under} \
                 failed with exit code {status}"
            )));
        }
        match output.lines().next().and_then(|line| line.split_once('=')) {
            Some((_, value)) => Ok(value.to_owned()),
            None => Err(DriverError::assertion(format!(
                "systemctl show --property \"{property}\" \"{unit}\"produced invalid output: {output}"
            ))),
        }
    }

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
        self.step(format!("waiting for unit {unit}{with}"), async {
            let deadline = Deadline::after(timeout);
            let judge = Judge::new(unit, grace.min(timeout));
            let reached = match self.follow_unit(unit, user, deadline, &judge).await? {
                Some(reached) => reached,
                None => {
                    Wait::by(format!("unit `{unit}` to be active"), deadline)
                        .until(|_last| self.look_at_unit(unit, user, &judge))
                        .await?
                }
            };
            if reached == Reached::HasRun {
                self.log(format!("unit \"{unit}\" has run, with success, and is inactive again"));
            }
            Ok(())
        })
        .await
    }

    /// Has the guest tell each change of the unit. `None` when it cannot, or the time is over: then a look
    /// by systemctl decides.
    async fn follow_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        deadline: Deadline,
        judge: &Judge,
    ) -> Result<Option<Reached>, DriverError> {
        let Some(name) = full_name(unit) else { return Ok(None) };
        let watch = Watch::Unit { name, user: user.map(str::to_owned) };
        self.noticed_in_time(watch, deadline, |notice| match notice {
            Notice::Unit(state) => judge.judge(&state),
            _ => Ok(Verdict::Continue(None)),
        })
        .await
    }

    async fn look_at_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        judge: &Judge,
    ) -> Result<Look<Reached>, DriverError> {
        let active = self.get_unit_property(unit, "ActiveState", user).await?;
        let mut state = UnitState { active, ..UnitState::default() };
        if state.active == "inactive" {
            let (_, jobs) = self.systemctl("list-jobs --full 2>&1", user).await?;
            // Read again: the job may have ended, and started the unit, between the two questions.
            state = shown(&self.get_unit_info(unit, user).await?);
            state.jobs = !jobs.contains("No jobs");
        }
        Ok(match judge.judge(&state)? {
            Verdict::Break(reached) => Look::Done(reached),
            Verdict::Continue(_) => Look::NotYet(format!("state `{}`", state.active)),
        })
    }

    /// Fails unless a unit is in the state `wanted`.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when it is in another.
    pub async fn require_unit_state(&self, unit: &str, wanted: &str) -> Result<(), DriverError> {
        self.step(format!("checking if unit '{unit}' has reached state '{wanted}'"), async {
            let state = self.get_unit_property(unit, "ActiveState", None).await?;
            if state == wanted {
                return Ok(());
            }
            // The double "to" is NixOS's, and a test may match it.
            Err(DriverError::assertion(format!(
                "Expected unit '{unit}' to to be in state '{wanted}' but it is in state '{state}'"
            )))
        })
        .await
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

/// How a unit is, of what systemctl shows.
fn shown(info: &UnitInfo) -> UnitState {
    let get = |key: &str| info.get(key).map_or("", String::as_str);
    let is_set = |key: &str| !matches!(get(key), "" | "0");
    UnitState {
        active: get("ActiveState").to_owned(),
        has_job: is_set("Job"),
        jobs: false,
        once: get("Type") == "oneshot" && get("RemainAfterExit") == "no",
        has_run: is_set("ExecMainExitTimestampMonotonic"),
        result: get("Result").to_owned(),
        conditions_met: get("ConditionResult") == "yes",
    }
}
