//! systemd units in the guest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use crate::error::DriverError;
use crate::wait::{Look, Wait};

/// The properties of a unit, as `systemctl show` prints them.
pub type UnitInfo = BTreeMap<String, String>;

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

    /// Waits until a unit is active. A unit that has failed, or that is inactive with no job pending, ends
    /// the wait at once.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] with NixOS's words in both cases and when the time is over.
    pub async fn wait_for_unit(
        &self,
        unit: &str,
        user: Option<&str>,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let with = user.map_or_else(String::new, |user| format!(" with user {user}"));
        self.step(format!("waiting for unit {unit}{with}"), async {
            Wait::new(format!("unit `{unit}` to be active"), timeout)
                .until(|_last| self.look_at_unit(unit, user))
                .await
        })
        .await
    }

    async fn look_at_unit(&self, unit: &str, user: Option<&str>) -> Result<Look<()>, DriverError> {
        let state = self.get_unit_property(unit, "ActiveState", user).await?;
        match state.as_str() {
            "active" => return Ok(Look::Done(())),
            "failed" => {
                return Err(DriverError::assertion(format!("unit \"{unit}\" reached state \"failed\"")));
            }
            "inactive" => {
                let (_, jobs) = self.systemctl("list-jobs --full 2>&1", user).await?;
                // Read again: the job may have ended, and started the unit, between the two questions.
                if jobs.contains("No jobs")
                    && self.get_unit_info(unit, user).await?.get("ActiveState").map(String::as_str)
                        == Some("inactive")
                {
                    return Err(DriverError::assertion(format!(
                        "unit \"{unit}\" is inactive and there are no pending jobs"
                    )));
                }
            }
            _ => {}
        }
        Ok(Look::NotYet(format!("state `{state}`")))
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
