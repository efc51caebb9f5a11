//! Machines, guest shell, verbs, waits and events: what every backend, script and report builds on.
//!
//! A [`Backend`] launches [`Machine`]s; what one hypervisor lacks is a facet that is not there. A
//! [`Driver`] owns a run: its [`Node`]s (the machines as a script sees them, on or off), the [`Journal`]
//! that all events go to, and the deadline. Verbs exist once, as methods of [`Node`] and as entries of
//! [`verbs::table`], which script clients are made from.

mod agent;
mod channel;
#[cfg(feature = "contract")]
pub mod contract;
mod deadline;
mod driver;
mod error;
pub mod event;
mod evidence;
mod facet;
#[cfg(feature = "fake")]
pub mod fake;
mod guard;
pub mod image;
mod journal;
mod keys;
mod machine;
mod node;
mod ocr;
mod pattern;
pub mod screen;
mod shell;
mod spec;
mod text;
pub mod verbs;
pub mod vlan;
mod wait;

pub use deadline::Deadline;
pub use driver::{Door, Driver, DriverConfig, MachineConfig, StatePlace, TestResult, VlanConfig};
pub use error::{Cause, DriverError, ErrorKind};
pub use evidence::EvidencePolicy;
pub use facet::Facet;
pub use guard::Guard;
pub use image::{Image, ImageError};
pub use journal::{Gate, Journal, Reporter, Scope, behind_gate, current_scope, in_scope, under_heading};
pub use keys::{Key, parse_keys};
pub use machine::{
    BULK_PORT, Backend, Button, Capabilities, Exit, ExitReason, Forensics, GuestPort, GuestStream, Keyboard,
    Machine, MachineLog, Monitor, Network, Pointer, PointerAct, Power, Screen, Snapshots,
};
pub use node::{Node, TerminalSize, UnitInfo};
pub use ocr::{Frame, FrameError, OcrEngine, OcrError, Reading, Rect, TextLine, Word};
pub use pattern::{PatternEngine, RustPatterns};
pub use shell::{GREETING, OUTPUT_LIMIT, Shell, ShellOutput, quote};
pub use spec::{Boot, Disk, DiskFormat, MachineSpec, Share};
pub use wait::{Look, Wait};

/// The page's example in Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/networks.md")]
struct NetworksPage;
