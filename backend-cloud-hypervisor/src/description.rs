//! A machine in the words of the program's API: its `VmConfig`.

use std::path::PathBuf;

use driver_core::{Boot, MachineSpec};
use serde_json::{Map, Value, json};

use crate::config::Options;
use crate::files::Paths;
use crate::shares::{self, Share};

/// The `VmConfig` of a machine; `overlays` stand in for its disks.
pub(crate) fn describe(spec: &MachineSpec, options: &Options, overlays: &[PathBuf], paths: &Paths) -> Value {
    let shares = shares::of(spec, options);
    let mut config = json!({
        "cpus": { "boot_vcpus": spec.cores, "max_vcpus": spec.cores },
        // What another process's devices work on, and what is written of in a snapshot only as far as it is used.
        "memory": { "size": spec.memory_mib << 20, "shared": true },
        "payload": payload(spec, options, &shares),
        "rng": { "src": "/dev/urandom" },
        "serial": { "mode": "Socket", "socket": paths.serial() },
        // The program's own standard input and output, which are ours.
        "console": { "mode": "Tty" },
        // A panic is told at once, not after the guest's own timeout, and not as a reboot.
        "pvpanic": true,
    });
    let disks: Vec<Value> = overlays
        .iter()
        .map(|path| json!({ "path": path, "image_type": "Qcow2", "backing_files": true }))
        .collect();
    let cards: Vec<Value> = spec
        .nics
        .iter()
        .map(|nic| {
            json!({
                "mac": nic.mac.to_string(),
                "vhost_user": true,
                "vhost_socket": nic.plug.vhost_user,
                "vhost_mode": "Client",
                "num_queues": 2,
            })
        })
        .collect();
    let folders: Vec<Value> = shares
        .iter()
        .enumerate()
        .map(|(index, share)| json!({ "tag": share.tag, "socket": paths.share(index) }))
        .collect();
    for (key, devices) in [("disks", disks), ("net", cards), ("fs", folders)] {
        if !devices.is_empty() {
            config[key] = Value::Array(devices);
        }
    }
    if let Value::Object(config) = &mut config {
        replace(config, &options.config);
    }
    config
}

fn payload(spec: &MachineSpec, options: &Options, shares: &[Share]) -> Value {
    match &spec.boot {
        Boot::Kernel { kernel, initrd, cmdline, .. } => {
            let words: Vec<String> =
                [cmdline.clone()].into_iter().chain(shares.iter().map(Share::mount)).collect();
            let mut payload = json!({ "kernel": kernel, "cmdline": words.join(" ") });
            if let Some(initrd) = initrd {
                payload["initramfs"] = json!(initrd);
            }
            payload
        }
        Boot::Firmware { .. } | Boot::StartScript { .. } => json!({ "firmware": options.firmware }),
    }
}

/// Puts `other` into `config`: tables are joined, all else is replaced.
fn replace(config: &mut Map<String, Value>, other: &Map<String, Value>) {
    for (key, value) in other {
        match (config.get_mut(key), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => replace(ours, theirs),
            _ => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use driver_core::vlan::{MacAddress, Nic, Plug};
    use driver_core::{Boot, MachineSpec, Share};
    use serde_json::{Value, json};

    use super::describe;
    use crate::config::Options;
    use crate::files::Paths;

    fn spec() -> MachineSpec {
        let boot = Boot::Kernel {
            kernel: "/images/vmlinuz".into(),
            initrd: Some("/images/initrd".into()),
            cmdline: "root=/dev/vda".to_owned(),
            disks: Vec::new(),
        };
        MachineSpec { cores: 2, ..MachineSpec::new("web", boot, 512, "/run/web", "/run/shared") }
    }

    fn described(spec: &MachineSpec, table: &Value) -> Value {
        let options = Options::parse(table, "web").unwrap();
        describe(spec, &options, &[PathBuf::from("/run/web/disk0.qcow2")], &Paths::new(Path::new("/run/web")))
    }

    #[test]
    fn a_machine_is_described_as_the_api_wants_it() {
        assert_eq!(
            described(&spec(), &json!({})),
            json!({
                "cpus": { "boot_vcpus": 2, "max_vcpus": 2 },
                "memory": { "size": 536_870_912, "shared": true },
                "payload": {
                    "kernel": "/images/vmlinuz", "initramfs": "/images/initrd", "cmdline": "root=/dev/vda"
                },
                "rng": { "src": "/dev/urandom" },
                "serial": { "mode": "Socket", "socket": "/run/web/serial.sock" },
                "console": { "mode": "Tty" },
                "pvpanic": true,
                "disks": [{ "path": "/run/web/disk0.qcow2", "image_type": "Qcow2", "backing_files": true }],
            })
        );
    }

    #[test]
    fn a_card_on_a_vlan_shares_the_guests_memory_with_the_switch() {
        let plug = |name: &str| PathBuf::from("/run/vlan1").join(name);
        let plug = Plug {
            stream: plug("s"),
            dgram: plug("d"),
            dgram_peer: plug("p"),
            vde: plug("v"),
            vhost_user: plug("u"),
        };
        let mac = MacAddress([0x52, 0x54, 0, 0x12, 1, 3]);
        let config = described(&MachineSpec { nics: vec![Nic { vlan: 1, mac, plug }], ..spec() }, &json!({}));
        assert_eq!(config["net"][0]["mac"], "52:54:00:12:01:03");
        assert_eq!(config["net"][0]["vhost_socket"], "/run/vlan1/u");
    }

    #[test]
    fn a_guest_is_told_to_mount_what_it_is_given() {
        let shares = vec![Share { tag: "data".to_owned(), path: "/data".into() }];
        let config = described(&MachineSpec { shares, ..spec() }, &json!({}));
        assert_eq!(
            config["payload"]["cmdline"],
            "root=/dev/vda systemd.mount-extra=shared:/tmp/shared:virtiofs systemd.mount-extra=data:/tmp/data:virtiofs"
        );
        assert_eq!(config["fs"][1], json!({ "tag": "data", "socket": "/run/web/share1.sock" }));
    }

    #[test]
    fn what_the_manifest_says_in_the_apis_words_comes_last() {
        let table =
            json!({ "config": { "memory": { "hugepages": true }, "watchdog": true, "pvpanic": false } });
        let config = described(&spec(), &table);
        assert_eq!(config["memory"], json!({ "size": 536_870_912, "shared": true, "hugepages": true }));
        assert_eq!((&config["watchdog"], &config["pvpanic"]), (&json!(true), &json!(false)));
    }
}
