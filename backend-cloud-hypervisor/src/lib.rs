//! Cloud Hypervisor as a backend of innkeeper.
//!
//! [`CloudHypervisor`] describes a machine (`description`), creates and boots it through the REST API (`launch`,
//! `control`), and learns from the event monitor what becomes of it (`events`, `exit`). The serial console is a socket
//! of the program's (`serial`); the guest shell is the virtio console, on lines of ours (`terminal`). Directories are
//! shared by virtio-fs (`shares`). Snapshots are the program's, with copies of the overlays (`snapshots`).

mod config;
mod control;
mod description;
mod events;
mod exit;
mod files;
mod launch;
mod machine;
mod programs;
mod serial;
mod shares;
mod snapshots;
mod terminal;

pub use config::Options;
pub use launch::CloudHypervisor;
pub use programs::version;

/// The backend's name: the word in manifests, and the name of its table of settings.
pub const NAME: &str = "cloud-hypervisor";

/// The environment variable that says where the program is.
pub const PROGRAM_VARIABLE: &str = "CLOUD_HYPERVISOR";
