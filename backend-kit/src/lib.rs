//! What the backends of hypervisors that run on this host share.
//!
//! A hypervisor is a group of processes ([`process`]) with last words ([`last_words`]), a serial console
//! ([`console`]), sockets ([`port`]) and disks ([`disk`]). [`probe_kvm`] finds out whether KVM is worth using here.

pub mod console;
pub mod disk;
mod kvm_probe;
pub mod last_words;
pub mod lines;
pub mod port;
pub mod process;
pub mod programs;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use kvm_probe::{KvmProbe, KvmVerdict, probe_kvm};
