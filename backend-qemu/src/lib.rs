//! QEMU as a backend of innkeeper.
//!
//! [`Qemu`] starts machines from a description or from a NixOS start script (`launch`, `command`, `disk`),
//! speaks QMP with them (`control`), and carries their streams (`console`, `port`) and plugs
//! them into VLANs (`network`). [`probe_kvm`] finds
//! out whether KVM is worth using on this host.

mod accel;
mod command;
mod config;
mod console;
mod control;
mod disk;
mod exit;
mod keyboard;
mod kvm_probe;
mod last_words;
mod launch;
mod lines;
mod machine;
mod network;
mod port;
mod process;
mod programs;
mod screen;

pub use config::{Accel, Network, Options, VlanPort};
pub use kvm_probe::{KvmProbe, KvmVerdict, probe_kvm};
pub use launch::Qemu;
pub use programs::qemu_version;

/// The backend's name: the word in manifests, and the name of its table of settings.
pub const NAME: &str = "qemu";
