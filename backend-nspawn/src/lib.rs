//! Containers of systemd-nspawn as a backend of innkeeper: guests that share the host's kernel.
//!
//! [`Nspawn`] puts a container into a mount and a network namespace of its own (`launch`, `container.sh`), over a
//! root that is only read (an overlay) and into a control group that a janitor of its own (`janitor`) empties and
//! removes, however the driver ends. What the container says of itself comes by its notification socket (`notices`).
//! The console is a pseudo-terminal of ours (`terminal`); the root shell is a process that enters the container once
//! that has booted (`shell`). Cards on VLANs are tap devices in its network (`cards`). A start script of NixOS's, which
//! is a container's own wrapper, is served the same way (`start-script.sh`).

mod cards;
mod config;
mod exit;
mod janitor;
mod journal;
mod launch;
mod machine;
mod notices;
mod programs;
mod sandbox;
mod shell;
mod tap;
mod terminal;
mod words;

pub use config::Options;
pub use launch::Nspawn;
pub use sandbox::prepare_sandbox;

/// The backend's name: the word in manifests, and the name of its table of settings.
pub const NAME: &str = "nspawn";
