//! The backend's own settings: the table `nspawn` of a machine's description.

use std::path::PathBuf;

use backend_kit::settings;
use driver_core::DriverError;
use serde::Deserialize;
use serde_json::Value;

use crate::NAME;

/// The keys that [`Options`] knows; `options_and_keys_agree` holds the two together.
const KEYS: &[&str] = &["arguments", "binary"];

/// What a test may set for its containers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Further arguments for systemd-nspawn, such as `--capability=all`. A start script decides by itself.
    pub arguments: Vec<String>,
    /// The program: a name on the `PATH`, or a path; by default `systemd-nspawn`.
    pub binary: Option<PathBuf>,
}

impl Options {
    /// Reads the table of the machine `machine`; null stands for an empty one.
    pub(crate) fn parse(table: &Value, machine: &str) -> Result<Self, DriverError> {
        settings::read(table, NAME, KEYS, machine)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KEYS, Options};

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        let error = Options::parse(&json!({"argument": []}), "web").unwrap_err().to_string();
        assert_eq!(error, "machine `web`: `nspawn.argument` is not a setting (did you mean `arguments`?)");
    }

    #[test]
    fn options_and_keys_agree() {
        // serde names all fields when it meets one that it does not know.
        let error = serde_json::from_value::<Options>(json!({"?": 1})).unwrap_err().to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, KEYS, "{error}");
    }
}
