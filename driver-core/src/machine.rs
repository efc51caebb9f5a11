//! The contract with hypervisors: a backend launches machines, a machine is what every hypervisor can do,
//! and all else is a facet that is there or not.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::keys::Key;
use crate::spec::MachineSpec;

/// Creates machines of one kind. Implemented once per hypervisor.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// The word that manifests use, such as `qemu`.
    fn name(&self) -> &str;

    /// What this backend's machines can do, known before any is launched.
    fn capabilities(&self) -> Capabilities;

    /// Says why this host cannot run the backend, if it cannot ([`DriverError::Host`]).
    async fn probe(&self) -> Result<(), DriverError>;

    /// Checks a description before anything is started: files that are not there, options that make no
    /// sense ([`DriverError::Launch`], [`DriverError::Usage`]).
    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError>;

    /// Starts a machine, and returns once its control channel answers.
    ///
    /// What the hypervisor says meanwhile goes to `log`. A machine that ends before its control channel
    /// answers is [`DriverError::Exited`], with its last words.
    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError>;
}

/// Where a backend says what happens to one machine.
pub trait MachineLog: fmt::Debug + Send + Sync {
    /// A line that a user wants to read: what the hypervisor printed, which accelerator was chosen.
    fn info(&self, text: &str);
    /// Something odd that did not stop the machine.
    fn warning(&self, text: &str);
    /// Processes that must die with the driver: the group `pgid` is killed when the driver is gone,
    /// kill -9 included. Say it right after the start.
    fn guard_group(&self, pgid: u32);
    /// The group has ended; its number may belong to somebody else from now on.
    fn release_group(&self, pgid: u32);
    /// The guest starts anew, and what ran in it is gone. To be said before its new shell greets.
    fn guest_reset(&self);
}

/// A running machine. What every hypervisor can do; the rest is a facet.
#[async_trait]
pub trait Machine: fmt::Debug + Send + Sync {
    /// The machine's name.
    fn name(&self) -> &str;

    /// The hypervisor's process, where there is one.
    fn process_id(&self) -> Option<u32>;

    /// Opens a byte stream into the guest. Each port can be opened once in a launch; a guest that reboots
    /// keeps its streams.
    async fn connect(&self, port: GuestPort, within: Deadline) -> Result<Box<dyn GuestStream>, DriverError>;

    /// Asks the guest to power off, as the power button does. Does not wait for it to do so.
    async fn request_shutdown(&self, within: Deadline) -> Result<(), DriverError>;

    /// Waits until the machine is gone, however that came about. [`DriverError::Timeout`] when it is not.
    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError>;

    /// Ends the machine now, and returns when nothing of it is left. Failures are logged: nobody could
    /// act on them.
    async fn destroy(&self);

    /// Pictures of the guest's display.
    fn screen(&self) -> Option<&dyn Screen> {
        None
    }
    /// Keys pressed for the guest.
    fn keyboard(&self) -> Option<&dyn Keyboard> {
        None
    }
    /// A pointer that is put anywhere on the guest's display.
    fn pointer(&self) -> Option<&dyn Pointer> {
        None
    }
    /// The hypervisor's own command line.
    fn monitor(&self) -> Option<&dyn Monitor> {
        None
    }
    /// Reset without the guest's consent.
    fn power(&self) -> Option<&dyn Power> {
        None
    }
    /// Network cards unplugged and plugged in, ports of the host forwarded.
    fn network(&self) -> Option<&dyn Network> {
        None
    }
    /// Memory, devices and disks kept in files, to begin from again.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }
    /// What is looked into after a failure.
    fn forensics(&self) -> Option<&dyn Forensics> {
        None
    }
}

/// A byte stream into the guest.
pub trait GuestStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> GuestStream for T {}

impl fmt::Debug for dyn GuestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuestStream")
    }
}

/// The name under which a guest finds [`GuestPort::Bulk`] in `/sys/class/virtio-ports`.
pub const BULK_PORT: &str = agent_protocol::message::BULK_PORT;

/// The streams that a machine offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestPort {
    /// The serial console: what kernel and services print, and what a person would type.
    Console,
    /// The root shell of compat.md 3.2, on a virtio console.
    Shell,
    /// A virtio port named [`BULK_PORT`] that loses nothing, for the contents of files. A backend may have
    /// none; they then take the shell's port.
    Bulk,
}

/// Facet: pictures of the guest's display.
#[async_trait]
pub trait Screen: Send + Sync {
    /// Writes the current frame to `file` as a PNG.
    async fn capture(&self, file: &Path, within: Deadline) -> Result<(), DriverError>;

    /// Writes the current frame to `file` in the way that costs least, for who looks again and again: as a PNG, or as
    /// a binary PPM of 8 bits a colour.
    async fn capture_quickly(&self, file: &Path, within: Deadline) -> Result<(), DriverError> {
        self.capture(file, within).await
    }
}

/// Facet: keys pressed for the guest.
#[async_trait]
pub trait Keyboard: Send + Sync {
    /// Presses the keys in order, holds them for `hold`, and releases them in reverse order. Returns when the
    /// guest has taken them, where that can be known, or after a while if it takes none.
    async fn press(&self, chord: &[Key], hold: Duration, within: Deadline) -> Result<(), DriverError>;
}

/// Facet: a pointer that is put anywhere on the guest's display.
#[async_trait]
pub trait Pointer: Send + Sync {
    /// Does one thing with it. Returns when the guest has taken that, where that can be known.
    async fn act(&self, act: PointerAct, within: Deadline) -> Result<(), DriverError>;
}

/// What can be done with a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointerAct {
    /// Puts it somewhere: from 0 at the left and at the top of the display to 1 at the right and at the bottom.
    Move {
        /// From the left.
        x: f64,
        /// From above.
        y: f64,
    },
    /// Presses a button.
    Press(Button),
    /// Releases a button.
    Release(Button),
    /// Turns the wheel: notches down, or up when negative.
    Scroll(i32),
}

/// A button of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The one that most is done with.
    Left,
    /// The wheel, on most mice.
    Middle,
    /// The one for menus.
    Right,
}

/// Facet: the hypervisor's own command line.
#[async_trait]
pub trait Monitor: Send + Sync {
    /// Runs one command line and returns what it printed.
    async fn command(&self, line: &str, within: Deadline) -> Result<String, DriverError>;
}

/// Facet: reset without the guest's consent.
#[async_trait]
pub trait Power: Send + Sync {
    /// Resets the machine as the reset button does. Without [`MachineSpec::allow_reboot`] that ends it.
    async fn reset(&self, within: Deadline) -> Result<(), DriverError>;
}

/// Facet: network cards unplugged and plugged in, ports of the host forwarded.
#[async_trait]
pub trait Network: Send + Sync {
    /// Pulls the cables of all cards on VLANs, or plugs them in again: the guest sees its carrier go and come.
    /// Of a start script's machine it is the second virtio card, as the NixOS driver has it (compat.md 1.4).
    async fn set_link(&self, up: bool, within: Deadline) -> Result<(), DriverError>;

    /// Lets connections to a TCP port of the host's loopback through to a port of the guest, by the card that
    /// leads outside.
    async fn forward_port(&self, host: u16, guest: u16, within: Deadline) -> Result<(), DriverError>;
}

/// Facet: memory, devices and disks kept in files. Not of start scripts' machines, whose disks are their own affair.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// Writes memory, devices and disks, as they are at one moment, into `dir`, an empty directory; then the guest
    /// goes on. A launch with [`MachineSpec::snapshot`] begins from there, and leaves what is in `dir` as it is.
    ///
    /// After an error the guest goes on, too, as far as that is possible, and may need what is in `dir`.
    async fn save(&self, dir: &Path, within: Deadline) -> Result<(), DriverError>;
}

/// Facet: what is looked into after a failure. No test asks for it beforehand, so [`Capabilities`] do not tell it.
#[async_trait]
pub trait Forensics: Send + Sync {
    /// The last of what was said on the hypervisor's control channel, one message a line; also after the machine's
    /// end. The backend bounds it.
    fn transcript(&self) -> String;

    /// Bytes of disk that an image of the guest's memory takes at most.
    async fn memory_size(&self, within: Deadline) -> Result<u64, DriverError>;

    /// Writes an image of the guest's memory to `file`. The guest may stand
    /// still meanwhile. What an error leaves behind is the caller's to remove.
    async fn dump_memory(&self, file: &Path, within: Deadline) -> Result<(), DriverError>;
}

/// Which facets the machines of a backend have. One field per facet, and one for what has no methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(clippy::struct_excessive_bools, reason = "bits are what this type is")]
pub struct Capabilities {
    /// [`Machine::screen`].
    pub screen: bool,
    /// [`Machine::keyboard`].
    pub keyboard: bool,
    /// [`Machine::pointer`].
    #[serde(default)]
    pub pointer: bool,
    /// [`Machine::monitor`].
    pub monitor: bool,
    /// [`Machine::power`].
    pub power: bool,
    /// [`Machine::network`].
    pub network: bool,
    /// [`Machine::snapshots`].
    #[serde(default)]
    pub snapshots: bool,
    /// Machines have the cards of [`MachineSpec::nics`], and their guests are given addresses for them. (A start
    /// script decides about both by itself.)
    pub nics: bool,
}

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// The last lines that the hypervisor, or the start script, printed; at most twenty.
    #[serde(default)]
    pub last_words: Vec<String>,
}

/// Why a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum ExitReason {
    /// The guest powered off.
    GuestShutdown,
    /// The guest rebooted, and was not allowed to.
    GuestReset,
    /// The guest's kernel panicked.
    GuestPanic,
    /// The process ended with a status of its own.
    Status {
        /// The exit status.
        code: i32,
    },
    /// A signal ended the process.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// The driver ended it.
    Destroyed,
}

impl Exit {
    /// An end without last words.
    #[must_use]
    pub fn new(reason: ExitReason) -> Self {
        Self { reason, last_words: Vec::new() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            ExitReason::GuestShutdown => f.write_str("the guest powered off")?,
            ExitReason::GuestReset => f.write_str(
                "the guest rebooted, which ends a machine that was not started with allow_reboot",
            )?,
            ExitReason::GuestPanic => f.write_str("the guest's kernel panicked")?,
            ExitReason::Status { code } => write!(f, "the hypervisor exited with status {code}")?,
            ExitReason::Signal { number } => {
                write!(f, "the hypervisor was killed by signal {number}{}", signal_name(*number))?;
            }
            ExitReason::Destroyed => f.write_str("the driver ended it")?,
        }
        if let Some(last) = self.last_words.last() {
            write!(f, "; its last words: `{last}`")?;
        }
        Ok(())
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        2 => " (SIGINT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
