//! Cloud Hypervisor as a backend of innkeeper.
//!
//! [`CloudHypervisor`] checks a machine's description and puts it into the program's words (`launch`, `description`),
//! creates and boots the machine through the REST API (`start`, `control`), and learns from the event monitor what
//! becomes of it (`events`, `watcher`, `exit`). The serial console is a socket of the program's (`serial`); the guest
//! shell is the virtio console, on lines of ours (`terminal`). Directories are shared by virtio-fs (`shares`).
//! Snapshots are the program's, with copies of the overlays (`snapshots`).

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
mod start;
mod terminal;
mod watcher;

pub use config::Options;
pub use launch::CloudHypervisor;
pub use programs::version;

/// The backend's name: the word in manifests, and the name of its table of settings.
pub const NAME: &str = "cloud-hypervisor";

/// The environment variable that says where the program is.
pub const PROGRAM_VARIABLE: &str = "CLOUD_HYPERVISOR";
