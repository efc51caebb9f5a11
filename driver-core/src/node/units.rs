//! systemd units in the guest.

mod history;
mod judge;
mod wait;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use crate::error::DriverError;

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
