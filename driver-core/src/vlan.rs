//! The contract with switches: a VLAN is an Ethernet segment that machines of any backend plug into, and that
//! a test can cut, slow down, record and watch.
//!
//! Machines are named, ports are not: a machine with two network cards on one VLAN has two ports, and what is said
//! of the machine holds for both.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::error::DriverError;

mod address;
mod fault;
mod recording;
mod segment;
mod setup;
mod watch;

pub use address::Station;
pub use recording::Recording;
pub use segment::{Imposed, Vlan};
pub(crate) use setup::Setup;
pub use watch::ExpectedPacket;

/// Makes the switches of a run. Implemented once, and handed to the driver by whoever assembles it.
pub trait SwitchMaker: fmt::Debug + Send + Sync {
    /// Starts a switch without ports.
    ///
    /// # Errors
    /// [`DriverError::Host`] or [`DriverError::File`] when its sockets cannot be made.
    fn make(&self, setup: SwitchSetup) -> Result<Arc<dyn Switch>, DriverError>;
}

/// What a switch is made of.
#[derive(Debug)]
pub struct SwitchSetup {
    /// The VLAN's number, from one.
    pub vlan: u32,
    /// A directory that exists, of mode 0700, for its sockets. The driver removes it.
    pub dir: PathBuf,
    /// The machines that it is made for: whom filters can name.
    pub stations: Vec<Station>,
    /// Where the randomness of faults starts that have no seed of their own.
    pub seed: u64,
    /// Who gives the stations their addresses, if the switch is to do so.
    pub dhcp: Option<DhcpSetup>,
    /// Where it says what happens to it.
    pub log: Arc<dyn SwitchLog>,
}

/// A DHCP server inside a switch. It gives the stations their addresses, and answers nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpSetup {
    /// The server's own address on the segment, which no machine has.
    pub server: Ipv4Addr,
    /// The server's network card, which no machine has.
    pub mac: MacAddress,
}

/// Where a switch says what happens to it.
pub trait SwitchLog: fmt::Debug + Send + Sync {
    /// A line that a user wants to read.
    fn info(&self, text: &str);
    /// Something odd: a port that sends nonsense. A switch says so once for each kind, not for each frame.
    fn warning(&self, text: &str);
}

/// The switch of one VLAN. All methods return at once, unless they are async.
#[async_trait]
pub trait Switch: fmt::Debug + Send + Sync {
    /// The VLAN's number.
    fn vlan(&self) -> u32;

    /// The directory of a VDE socket that anybody may plug into: `vde_plug`, a machine that the driver does not
    /// know. Its ports have no machine, and are called `host`.
    fn vde_dir(&self) -> &Path;

    /// Makes one more port, for a network card of `machine`. A card that plugs in again (a machine that is
    /// started anew) takes the place of its former self.
    ///
    /// # Errors
    /// [`DriverError::File`] when its sockets cannot be made.
    fn plug(&self, machine: &str) -> Result<Plug, DriverError>;

    /// Makes a tap device of that name on the host and connects it. It goes with the switch.
    ///
    /// # Errors
    /// [`DriverError::Host`] when the host does not allow it.
    fn tap(&self, name: &str) -> Result<(), DriverError>;

    /// Puts a fault on the segment. It stays until it is lifted. Faults of several kinds add up; of two rates
    /// between the same machines, the lower one decides.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a machine without a port here, or numbers that make no sense.
    fn impose(&self, fault: &Fault) -> Result<FaultId, DriverError>;

    /// Takes a fault away; `false` when it is gone already. Frames that it holds back are delivered at once, in
    /// order.
    fn lift(&self, fault: FaultId) -> bool;

    /// Takes all faults away and says which.
    fn heal(&self) -> Vec<FaultId>;

    /// Writes every frame that enters the segment from now on to `file`, as pcapng, until `limit` bytes are
    /// written. Faults and dropped frames are told by comments.
    ///
    /// # Errors
    /// [`DriverError::File`].
    fn capture(&self, file: &Path, limit: u64) -> Result<CaptureId, DriverError>;

    /// Ends a capture: its file is whole when this returns. `None` when it has ended before.
    fn end_capture(&self, capture: CaptureId) -> Option<CaptureEnd>;

    /// What has passed so far, port by port.
    fn stats(&self) -> Vec<PortStats>;

    /// Looks out, from now on, for the first frame that enters the segment and fits a filter (docs/networks.md).
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a filter that cannot be understood; the message shows where.
    fn watch(&self, filter: &str) -> Result<Box<dyn PacketWatch>, DriverError>;

    /// Ends the switch: captures are whole, sockets and taps gone.
    async fn close(&self);
}

/// Looks out for a frame.
#[async_trait]
pub trait PacketWatch: fmt::Debug + Send {
    /// Waits for the frame; `None` when it did not come in time. To be called once.
    async fn seen(&mut self, within: Deadline) -> Option<Packet>;

    /// The last frame so far that did not fit; for the message when none did.
    fn missed(&self) -> Option<Packet> {
        None
    }
}

/// Where a network card can be plugged in. A hypervisor takes the one that it understands; the others stay
/// empty. Paths are short enough for Unix sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plug {
    /// A stream socket to connect to: each frame after its length, four bytes, the highest first
    /// (QEMU's `-netdev stream`).
    #[serde(default)]
    pub stream: PathBuf,
    /// A datagram socket to send to: a frame a datagram (QEMU's `-netdev dgram`, `remote.path`).
    #[serde(default)]
    pub dgram: PathBuf,
    /// Where the other side binds its datagram socket (`local.path`).
    #[serde(default)]
    pub dgram_peer: PathBuf,
    /// A directory with a VDE switch's `ctl` in it (QEMU's `-netdev vde`, `QEMU_VDE_SOCKET_n`).
    #[serde(default)]
    pub vde: PathBuf,
    /// A stream socket to connect to that speaks vhost-user as the device.
    #[serde(default)]
    pub vhost_user: PathBuf,
}

/// A network card of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// The VLAN that it is on.
    pub vlan: u32,
    /// Its address. A start script chooses for itself.
    pub mac: MacAddress,
    /// Where it is plugged in.
    pub plug: Plug,
}

/// The address of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for MacAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no MAC address (six bytes such as 52:54:00:12:01:02)");
        let bytes: Vec<u8> = text
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() == 2))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

/// What goes wrong on a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fault {
    /// What happens to frames.
    pub kind: FaultKind,
    /// Whose frames; a partition says so itself.
    pub between: Between,
    /// Where its randomness starts; the same seed loses the same frames again. `None` takes one from the
    /// switch's.
    pub seed: Option<u64>,
}

/// What happens to frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Machines of different groups do not hear each other. Those in no group hear everybody.
    Partition {
        /// The groups of machines.
        groups: Vec<Vec<String>>,
    },
    /// Frames come later.
    Delay {
        /// By how much.
        #[serde(rename = "by_s", with = "fault::seconds")]
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
        by: Duration,
        /// And up to so much more or less, evenly spread. The order stays.
        #[serde(rename = "jitter_s", with = "fault::seconds")]
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
        jitter: Duration,
    },
    /// Frames are lost.
    Loss {
        /// How many of a hundred.
        percent: f64,
    },
    /// Frames pass at most so fast, in each direction between each two machines; what comes faster waits in a queue of
    /// 100 ms, and is lost beyond.
    Rate {
        /// Bits a second, of whole Ethernet frames without preamble and checksum.
        bits_per_second: u64,
    },
    /// Frames come twice.
    Duplicate {
        /// How many of a hundred.
        percent: f64,
    },
    /// Frames are overtaken by later ones.
    Reorder {
        /// How many of a hundred.
        percent: f64,
        /// How long each of them is held back.
        #[serde(rename = "by_s", with = "fault::seconds")]
        #[cfg_attr(feature = "schema", schemars(with = "f64"))]
        by: Duration,
    },
}

/// Between which machines a fault is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// Everybody.
    #[default]
    All,
    /// From one of the first to one of the second.
    OneWay(Vec<String>, Vec<String>),
    /// Between one of the first and one of the second, both ways.
    BothWays(Vec<String>, Vec<String>),
}

/// Names a fault of one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FaultId(pub u64);

/// Names a capture of one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaptureId(pub u64);

/// What a capture has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureEnd {
    /// Frames in the file.
    pub frames: u64,
    /// Frames that came after the file had reached its limit, or faster than the disk took them.
    pub left_out: u64,
    /// The file's size in bytes.
    pub bytes: u64,
}

/// What has passed one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStats {
    /// `server`, `server-2` for a second card, `host` for a port that belongs to no machine.
    pub port: String,
    /// The machine, if it belongs to one.
    pub machine: Option<String>,
    /// How it is plugged in: `stream`, `dgram`, `vde`, `vhost-user`, `tap`; `None` while nobody is.
    pub kind: Option<String>,
    /// Frames from the machine.
    pub sent_frames: u64,
    /// Bytes from the machine, without Ethernet's checksum.
    pub sent_bytes: u64,
    /// Frames to the machine.
    pub received_frames: u64,
    /// Bytes to the machine.
    pub received_bytes: u64,
    /// Frames to the machine that were lost by its slowness: its queue was full.
    pub dropped_full: u64,
    /// Frames to the machine that a fault took.
    pub dropped_by_fault: u64,
    /// What came from the machine and was no frame.
    pub malformed: u64,
}

/// A frame that somebody looked out for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// When it entered the segment, since the watch began.
    pub after: Duration,
    /// The port that it came from, named as in [`PortStats::port`].
    pub port: String,
    /// Its length in bytes, without Ethernet's checksum.
    pub length: usize,
    /// One line on what it is: `ARP who has 192.168.1.2, tell 192.168.1.1`.
    pub summary: String,
    /// Its first 256 bytes.
    pub head: Vec<u8>,
}
