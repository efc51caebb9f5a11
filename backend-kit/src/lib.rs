//! What the backends of hypervisors that run on this host share.
//!
//! A hypervisor is a group of processes ([`process`]) that comes to an end ([`ending`]), with last words
//! ([`last_words`]), a serial console ([`console`]), sockets ([`port`]) and disks ([`disk`]), whose guest can stand
//! still ([`stopped`]). [`probe_kvm`] finds out whether KVM is worth using here, [`Kvm`] once for a run.

pub mod console;
pub mod disk;
pub mod ending;
mod kvm_probe;
pub mod last_words;
pub mod lines;
pub mod port;
pub mod process;
pub mod programs;
pub mod settings;
pub mod stopped;
#[cfg(feature = "testing")]
pub mod testing;

pub use kvm_probe::{Kvm, KvmProbe, KvmVerdict, probe_kvm};
