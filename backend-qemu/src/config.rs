//! The backend's own settings: the table `qemu` of a machine's description.

use std::path::PathBuf;

use backend_kit::settings;
use driver_core::DriverError;
use serde::Deserialize;
use serde_json::Value;

use crate::NAME;

/// The keys that [`Options`] knows; `options_and_keys_agree` holds the two together.
const KEYS: &[&str] = &[
    "accel",
    "binary",
    "cpu",
    "display",
    "extra_args",
    "img_binary",
    "machine",
    "network",
    "vga",
    "vlan_port",
    "vnc",
];

/// Keys that describe what a start script decides by itself.
const DIRECT_ONLY: &[&str] = &["binary", "cpu", "img_binary", "machine", "network", "vga", "vlan_port"];

/// What a test may set for its QEMU machines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What executes the guest's code. A start script is left alone unless this names an accelerator.
    pub accel: Accel,
    /// The QEMU program: a name on the `PATH`, or a path.
    pub binary: PathBuf,
    /// The model of the processor; by default all that the accelerator can offer.
    pub cpu: Option<String>,
    /// QEMU's `-display`. By default there is no window; a start script gets one when the driver runs on
    /// a desktop, as in NixOS.
    pub display: Option<String>,
    /// Further arguments, put last.
    pub extra_args: Vec<String>,
    /// The `qemu-img` program: a name on the `PATH`, or a path.
    pub img_binary: PathBuf,
    /// QEMU's `-machine`.
    pub machine: String,
    /// The guest's `eth0`.
    pub network: Network,
    /// QEMU's `-vga`; `none` for a machine without a screen.
    pub vga: String,
    /// How the machine is plugged into VLANs.
    pub vlan_port: VlanPort,
    /// Whether viewers can look at the screen, on the socket [`crate::VNC_SOCKET`] of the machine's directory.
    pub vnc: bool,
}

/// What executes the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM where it works and is worth it, TCG elsewhere.
    #[default]
    Auto,
    /// The processor itself.
    Kvm,
    /// QEMU's own translator.
    Tcg,
}

/// The guest's way to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// QEMU's user network: the guest reaches what the driver's user reaches, nobody reaches the guest.
    #[default]
    User,
    /// No network card.
    None,
}

/// How a machine is plugged into VLANs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VlanPort {
    /// A stream where QEMU has it (7.2 and later), VDE elsewhere.
    #[default]
    Auto,
    /// QEMU's `-netdev stream`.
    Stream,
    /// QEMU's `-netdev dgram`.
    Dgram,
    /// QEMU's `-netdev vde`.
    Vde,
    /// QEMU's `-netdev vhost-user`: the switch reads and writes the guest's memory, and QEMU has no part in it.
    VhostUser,
}

impl Default for Options {
    fn default() -> Self {
        let architecture = std::env::consts::ARCH;
        Self {
            accel: Accel::default(),
            binary: format!("qemu-system-{architecture}").into(),
            cpu: None,
            display: None,
            extra_args: Vec::new(),
            img_binary: "qemu-img".into(),
            machine: if architecture == "x86_64" { "q35" } else { "virt" }.to_owned(),
            network: Network::default(),
            vga: if architecture == "x86_64" { "std" } else { "none" }.to_owned(),
            vlan_port: VlanPort::default(),
            vnc: false,
        }
    }
}

impl Options {
    /// Reads the table of the machine `machine`; null stands for an empty one.
    pub(crate) fn parse(table: &Value, machine: &str, start_script: bool) -> Result<Self, DriverError> {
        let mut given = table.as_object().into_iter().flat_map(serde_json::Map::keys);
        if let Some(key) = given.find(|key| start_script && DIRECT_ONLY.contains(&key.as_str())) {
            return Err(DriverError::Launch {
                machine: machine.to_owned(),
                problem: format!(
                    "`{NAME}.{key}` has no effect on a start script, which decides that by itself"
                ),
                way_out: "leave it out, or describe the machine by kernel and disks".to_owned(),
            });
        }
        settings::read(table, NAME, KEYS, machine)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Accel, KEYS, Options};

    #[test]
    fn no_table_and_an_empty_table_mean_the_defaults() {
        assert_eq!(Options::parse(&json!(null), "web", false).unwrap(), Options::default());
        assert_eq!(Options::parse(&json!({}), "web", true).unwrap(), Options::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = Options::parse(&json!({"acel": "tcg"}), "web", false).unwrap_err().to_string();
        assert_eq!(error, "machine `web`: `qemu.acel` is not a setting (did you mean `accel`?)");
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_possible_ones() {
        let error = Options::parse(&json!({"accel": "xen"}), "web", false).unwrap_err().to_string();
        assert!(error.contains("`xen`") && error.contains("`tcg`"), "{error}");
        let error = Options::parse(&json!("tcg"), "web", false).unwrap_err().to_string();
        assert!(error.contains("is a table"), "{error}");
    }

    #[test]
    fn what_a_start_script_decides_by_itself_cannot_be_set_for_it() {
        let options = Options::parse(&json!({"accel": "tcg"}), "web", true).unwrap();
        assert_eq!(options.accel, Accel::Tcg);
        let error = Options::parse(&json!({"cpu": "max"}), "web", true).unwrap_err().to_string();
        assert!(error.contains("`qemu.cpu` has no effect on a start script"), "{error}");
    }

    #[test]
    fn options_and_keys_agree() {
        // serde names all fields when it meets one that it does not know.
        let error = serde_json::from_value::<Options>(json!({"?": 1})).unwrap_err().to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, KEYS, "{error}");
    }
}
