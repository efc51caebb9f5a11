//! What systemd has said of a unit in the journal, for units that it has forgotten since.

use serde_json::Value;

use super::{Node, SYSTEMCTL_LIMIT};
use crate::error::DriverError;
use crate::shell::quote;

/// A start was done (sd-messages.h): the unit ran, or was skipped for a condition of `[Unit]`.
const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
/// A unit was skipped for a condition of `[Service]`.
const SKIPPED: &str = "0e4284a0caca4bfc81c0bb6786972673";
/// A start failed.
const FAILED: &str = "be02cf6855d2428ba40df7e9d022f03d";

/// Messages that are looked at: one start has two at most.
const MESSAGES: usize = 4;

impl Node {
    /// Whether a service ran when it was last started since the guest booted, and succeeded.
    pub(super) async fn has_run(&self, unit: &str, user: Option<&str>) -> Result<bool, DriverError> {
        let of_unit = match user {
            None => format!("_PID=1 UNIT={}", quote(unit)),
            Some(user) => format!("_UID=$(id -u {}) USER_UNIT={}", quote(user), quote(unit)),
        };
        let ids: String = [STARTED, SKIPPED, FAILED].map(|id| format!(" MESSAGE_ID={id}")).concat();
        let command =
            format!("journalctl --boot --quiet --lines={MESSAGES} --output=json {of_unit}{ids} 2>/dev/null");
        let (_, journal) = self.execute(&command, Some(SYSTEMCTL_LIMIT)).await?;
        Ok(last_start_ran(&journal))
    }
}

/// Whether the last of these messages is of a start that was done, and was not skipped. A run has an
/// invocation; a start that was skipped at once has none.
fn last_start_ran(journal: &str) -> bool {
    let messages: Vec<(String, String)> = journal
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|message| {
            let get = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
            (get("MESSAGE_ID"), get("INVOCATION_ID") + &get("USER_INVOCATION_ID"))
        })
        .collect();
    messages.last().is_some_and(|(last, invocation)| {
        last == STARTED
            && !invocation.is_empty()
            && !messages.iter().any(|(id, of)| id != STARTED && of == invocation)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(messages: &[(&str, &str)]) -> String {
        let line =
            |(id, run): &(&str, &str)| format!("{{\"MESSAGE_ID\":\"{id}\",\"INVOCATION_ID\":\"{run}\"}}\n");
        messages.iter().map(line).collect()
    }

    #[test]
    fn only_the_last_start_counts_and_only_if_it_ran() {
        assert!(last_start_ran(&journal(&[(FAILED, "a"), (STARTED, "b")])));
        for other in [
            &[][..],
            &[(STARTED, "")],
            &[(STARTED, "a"), (STARTED, "")],
            &[(STARTED, "a"), (FAILED, "b")],
            &[(SKIPPED, "a"), (STARTED, "a")],
        ] {
            assert!(!last_start_ran(&journal(other)), "{other:?}");
        }
        assert!(!last_start_ran("no journal files were found"));
    }
}
