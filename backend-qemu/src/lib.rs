//! QEMU as a backend of innkeeper.
//!
//! [`Qemu`] starts machines from a description or from a NixOS start script (`launch`, `command`), speaks QMP with
//! them (`control`), and plugs them into VLANs (`network`). Processes, consoles, disks and the KVM probe are those of
//! the crate `backend-kit`.

mod accel;
mod command;
mod config;
mod control;
mod exit;
mod forensics;
mod keyboard;
mod launch;
mod machine;
mod migration;
mod network;
mod pointer;
mod programs;
mod screen;
mod snapshots;

pub use config::{Accel, Network, Options, VlanPort};
pub use launch::Qemu;
pub use programs::qemu_version;

/// The backend's name: the word in manifests, and the name of its table of settings.
pub const NAME: &str = "qemu";

/// Where VNC viewers find a machine's screen, in the machine's directory, if it is offered to them.
pub const VNC_SOCKET: &str = "vnc.sock";
