//! `[vlans.NUMBER]`: what a network is besides the machines that are on it.

use driver_core::VlanConfig;
use toml::de::DeValue;

use super::reader::Section;
use super::values::{Mebibytes, Shape};

/// A VLAN's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VlanNumber(pub(super) u32);

impl VlanNumber {
    fn new(number: u32) -> Option<Self> {
        (1..=255).contains(&number).then_some(Self(number))
    }
}

impl Shape for VlanNumber {
    const EXPECTED: &'static str = "the number of a VLAN, 1 to 255";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        Self::new(u32::read(value)?)
    }
}

/// The name of a network interface of Linux.
struct InterfaceName(String);

impl Shape for InterfaceName {
    const EXPECTED: &'static str = "the name of a tap device: up to 15 letters, digits, `-`, `_` and `.`";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let name = value.as_str()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = (1..=15).contains(&name.len()) && name.chars().all(fits) && !matches!(name, "." | "..");
        is_name.then(|| Self(name.to_owned()))
    }
}

/// Reads all that is said of VLANs themselves.
pub(super) fn read_all(manifest: &mut Section<'_, '_>) -> Vec<VlanConfig> {
    let mut vlans = Vec::new();
    for (name, mut section) in manifest.sections("vlans", |name| format!("VLAN {name}")) {
        let number = name.get_ref().parse().ok().and_then(VlanNumber::new);
        let config = VlanConfig::new(number.map_or(0, |number| number.0));
        let config = VlanConfig {
            capture: section.optional("capture").unwrap_or(false),
            capture_limit: section
                .optional::<Mebibytes>("capture_limit")
                .map_or(config.capture_limit, |limit| limit.0.saturating_mul(1 << 20)),
            dhcp: section.optional("dhcp").unwrap_or(false),
            seed: section.optional("seed"),
            tap: section.optional::<InterfaceName>("tap").map(|name| name.0),
            ..config
        };
        match number {
            Some(_) => vlans.push(config),
            None => section.problems().add(
                name.span(),
                format!("{:?} cannot be a VLAN", name.get_ref()),
                format!("expected {}", VlanNumber::EXPECTED),
            ),
        }
        section.finish();
    }
    vlans
}
