//! The rules that every backend keeps, kept by one with every facet on the other side of the ABI.

use std::path::Path;
use std::time::Duration;

use driver_core::contract::{Verdict, check};
use driver_core::{Boot, Disk, DiskFormat, MachineSpec};
use plugin_host::Plugin;
use serde_json::Value;

use crate::support::{rust_plugin, spec};

fn with_a_disk(state_dir: &Path) -> MachineSpec {
    let path = state_dir.join("disk.raw");
    std::fs::write(&path, "").expect("a file");
    MachineSpec {
        boot: Boot::Firmware { disks: vec![Disk { path, format: DiskFormat::Raw }] },
        ..spec(state_dir)
    }
}

#[tokio::test]
async fn a_backend_keeps_the_contract_across_the_abi() {
    let plugin = Plugin::load(rust_plugin()).unwrap();
    let backend = plugin.open_backend(&Value::Null).unwrap().unwrap();
    let place = tempfile::tempdir().unwrap();
    let findings = check(backend.as_ref(), &with_a_disk(place.path()), Duration::from_secs(60)).await;
    findings.assert_kept();
    let skipped = findings.rules.iter().filter(|(_, verdict)| *verdict != Verdict::Kept).count();
    assert_eq!((findings.rules.len(), skipped), (26, 0), "{findings}");
}
