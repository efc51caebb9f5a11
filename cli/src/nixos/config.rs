//! The configuration file of NixOS 26.05 and later (compat.md 2.3). Keys that are not known are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer};

use super::iso;

/// The file's content.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) vms: BTreeMap<String, Machine>,
    #[serde(default)]
    pub(super) containers: BTreeMap<String, Machine>,
    pub(super) vlans: Vec<u32>,
    #[serde(deserialize_with = "duration")]
    pub(super) global_timeout: Duration,
    #[serde(default)]
    pub(super) enable_ssh_backdoor: bool,
    pub(super) test_script: PathBuf,
}

/// A virtual machine, or a container.
#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) start_script: String,
}

impl Config {
    /// Reads the file, and gives its text with it: scripts see it as `driver.config`.
    pub(super) fn read(path: &Path) -> anyhow::Result<(Self, serde_json::Value)> {
        let cannot = || format!("the configuration `{}` cannot be read", path.display());
        let text = fs::read_to_string(path).with_context(cannot)?;
        let config = serde_json::from_str(&text).with_context(cannot)?;
        let whole = serde_json::from_str(&text).with_context(cannot)?;
        Ok((config, whole))
    }
}

/// Seconds as a number, or a string as pydantic takes it.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let seconds = match &value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => iso::seconds(text),
        _ => None,
    };
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        serde::de::Error::custom(format!("{value} is no duration (seconds, or ISO 8601 such as \"PT1H\")"))
    })
}
