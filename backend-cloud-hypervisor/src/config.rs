//! The backend's own settings: the table `cloud-hypervisor` of a machine's description.

use std::path::PathBuf;

use backend_kit::settings;
use driver_core::DriverError;
use serde::Deserialize;
use serde_json::Value;

use crate::NAME;

/// The keys that [`Options`] knows; `options_and_keys_agree` holds the two together.
const KEYS: &[&str] = &["binary", "config", "firmware", "img_binary", "virtiofsd"];

/// The keys of [`Options::config`] that are not a test's to set.
const OURS: &[&str] = &["console", "serial"];

/// What a test may set for its Cloud Hypervisor machines.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The program: a name on the `PATH`, or a path. By default what the environment variable `CLOUD_HYPERVISOR`
    /// says, or else `cloud-hypervisor`.
    pub binary: Option<PathBuf>,
    /// Further settings of the machine, in the words of the program's API (`VmConfig`); they replace ours. Not
    /// `serial` and `console`.
    pub config: serde_json::Map<String, Value>,
    /// The firmware, for machines that have no kernel of their own.
    pub firmware: Option<PathBuf>,
    /// The program that makes the disks' overlays, by default `qemu-img`: a name on the `PATH`, or a path.
    pub img_binary: Option<PathBuf>,
    /// The program that serves shared directories, by default `virtiofsd`: a name on the `PATH`, or a path. A machine
    /// for which it is set has the directory `shared` also when it has no shares of its own.
    pub virtiofsd: Option<PathBuf>,
}

impl Options {
    /// Reads the table of the machine `machine`; null stands for an empty one.
    pub(crate) fn parse(table: &Value, machine: &str) -> Result<Self, DriverError> {
        let options: Self = settings::read(table, NAME, KEYS, machine)?;
        if let Some(key) = OURS.iter().find(|key| options.config.contains_key(**key)) {
            return Err(DriverError::Launch {
                machine: machine.to_owned(),
                problem: format!(
                    "`{NAME}.config.{key}` cannot be set: innkeeper speaks with the guest over it"
                ),
                way_out: "leave it out".to_owned(),
            });
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KEYS, Options};

    #[test]
    fn no_table_means_the_defaults_and_an_unknown_key_is_refused_with_the_nearest_one() {
        assert_eq!(Options::parse(&json!(null), "web").unwrap(), Options::default());
        let error = Options::parse(&json!({"firmwear": "x"}), "web").unwrap_err().to_string();
        assert_eq!(
            error,
            "machine `web`: `cloud-hypervisor.firmwear` is not a setting (did you mean `firmware`?)"
        );
    }

    #[test]
    fn the_lines_to_the_guest_are_not_a_tests_to_set() {
        for key in ["serial", "console"] {
            let table = json!({ "config": { key: { "mode": "Null" } } });
            let error = Options::parse(&table, "web").unwrap_err().to_string();
            assert!(error.contains(&format!("`cloud-hypervisor.config.{key}` cannot be set")), "{error}");
        }
    }

    #[test]
    fn options_and_keys_agree() {
        // serde names all fields when it meets one that it does not know.
        let error = serde_json::from_value::<Options>(json!({"?": 1})).unwrap_err().to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, KEYS, "{error}");
    }
}
