//! The table `[machines.NAME.local]` of a manifest.

use plugin_sdk::driver_core::{DriverError, MachineSpec};
use plugin_sdk::serde_json;
use serde::Deserialize;

/// Settings of one machine.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Whether it must live in namespaces of its own, or must not; where the host allows it, if nobody says.
    pub(crate) namespaces: Option<bool>,
}

impl Options {
    pub(crate) fn of(spec: &MachineSpec) -> Result<Self, DriverError> {
        if spec.options.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(spec.options.clone()).map_err(|error| DriverError::Launch {
            machine: spec.name.clone(),
            problem: format!("its table `local` makes no sense: {error}"),
            way_out: "it may have `namespaces = true` or `false`".to_owned(),
        })
    }
}
