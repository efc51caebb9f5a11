//! What a machine is made of, said without any hypervisor's options.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::vlan::Nic;

/// The description of one machine, complete enough to launch it. Plugins are given it as JSON: a field that is
/// added needs a default, so that descriptions from before can be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineSpec {
    /// The name that scripts, logs and host names use.
    pub name: String,
    /// How the machine boots.
    pub boot: Boot,
    /// Memory in MiB. A start script decides for itself.
    pub memory_mib: u64,
    /// Virtual processors. A start script decides for itself.
    pub cores: u32,
    /// Directory of the machine's own, mode 0700: overlays, sockets, working directory. It outlives one
    /// launch, so that a machine that is started again finds its disks as it left them.
    pub state_dir: PathBuf,
    /// Directory that machines and host share; exported to the guest where the backend can.
    pub shared_dir: PathBuf,
    /// Further directories of the host that the guest can mount.
    #[serde(default)]
    pub shares: Vec<Share>,
    /// Network cards on VLANs, in order. A card beside them that leads outside is the backend's own affair.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// A directory that [`Snapshots::save`](crate::Snapshots::save) has filled: the machine begins where that was
    /// saved, disks included, instead of booting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<PathBuf>,
    /// Whether a reboot of the guest restarts it (otherwise it ends the machine).
    #[serde(default)]
    pub allow_reboot: bool,
    /// Settings of the backend's own: the table under the backend's name, or null.
    #[serde(default)]
    pub options: serde_json::Value,
}

impl MachineSpec {
    /// A machine with one processor and nothing but what it boots: no cards, no further directories, no reboots.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        boot: Boot,
        memory_mib: u64,
        state_dir: impl Into<PathBuf>,
        shared_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            boot,
            memory_mib,
            cores: 1,
            state_dir: state_dir.into(),
            shared_dir: shared_dir.into(),
            shares: Vec::new(),
            nics: Vec::new(),
            snapshot: None,
            allow_reboot: false,
            options: serde_json::Value::Null,
        }
    }
}

/// How a machine boots.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "way")]
pub enum Boot {
    /// A NixOS start script (`run-<name>-vm`) or any shell command that ends in the hypervisor, given the
    /// driver's arguments as `"$@"`.
    StartScript {
        /// The shell command.
        command: String,
    },
    /// A kernel that the hypervisor loads by itself.
    Kernel {
        /// The kernel image.
        kernel: PathBuf,
        /// The initial RAM disk.
        initrd: Option<PathBuf>,
        /// The kernel's command line.
        cmdline: String,
        /// Disks in order; the first one is the first that the guest sees.
        disks: Vec<Disk>,
    },
    /// The firmware boots from the first disk.
    Firmware {
        /// Disks in order; the first one is booted.
        disks: Vec<Disk>,
    },
}

impl Boot {
    /// The disks of the machine; a start script keeps its own to itself.
    #[must_use]
    pub fn disks(&self) -> &[Disk] {
        match self {
            Self::StartScript { .. } => &[],
            Self::Kernel { disks, .. } | Self::Firmware { disks } => disks,
        }
    }
}

/// A disk image. It is never written: each run has its own overlay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disk {
    /// The base image.
    pub path: PathBuf,
    /// How the image is stored.
    #[serde(default)]
    pub format: DiskFormat,
}

/// How a disk image is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The bytes of the disk as they are.
    #[default]
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl DiskFormat {
    /// What the ending of a file's name tells.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|ending| ending == "qcow2") { Self::Qcow2 } else { Self::Raw }
    }

    /// The name that hypervisors use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// A directory of the host that the guest can mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Share {
    /// The name to mount it by.
    pub tag: String,
    /// The directory.
    pub path: PathBuf,
}
