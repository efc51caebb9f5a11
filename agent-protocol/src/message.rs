//! The messages. Encoded with postcard; a variant or a field is only ever added at the end, and
//! [`VERSION`] counts what old agents cannot understand.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The version of the protocol. Both sides must have the same: the driver brings the agent with it.
pub const VERSION: u32 = 3;

/// Names a request among those under way. The driver chooses it and uses none twice in a session.
pub type RequestId = u32;

/// Bytes of data in one message, at most.
pub const CHUNK: usize = 16 << 10;

/// Bytes of output that a request may send before it is granted more.
pub const INITIAL_GRANT: u32 = 256 << 10;

/// Bytes of data in one message on the lane, at most: what a pipe holds.
pub const LANE_CHUNK: usize = 64 << 10;

/// The name of the port in the guest that the lane takes, in `/sys/class/virtio-ports`.
pub const BULK_PORT: &str = "innkeeper.bulk";

/// What is written into the port, as it is and in a line of its own, when the agent was killed. The driver
/// would learn it from nothing but silence otherwise.
pub const KILLED: &str = "The agent was killed.";

/// From the driver to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// The first message of a session. The agent answers with [`ToHost::Hello`], after ending whatever an
    /// earlier session has left.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Runs a command.
    Run {
        /// The request.
        id: RequestId,
        /// What to run.
        command: Command,
    },
    /// Bytes for the standard input of a command that was started with [`Command::stdin`].
    Input {
        /// The request.
        id: RequestId,
        /// The bytes; none mean the end.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The driver has taken this much of a request's output; as much more may be sent.
    Grant {
        /// The request.
        id: RequestId,
        /// Bytes.
        bytes: u32,
    },
    /// Nobody waits for the request any more: kill what it runs and forget it. No answer.
    Cancel {
        /// The request.
        id: RequestId,
    },
    /// The agent ends and executes the shell again in its own place.
    Leave,
    /// Says how something is, and again each time it changes, until [`ToGuest::Cancel`].
    Watch {
        /// The request.
        id: RequestId,
        /// What to look at.
        watch: Watch,
    },
    /// Opens the port [`BULK_PORT`] as a [`Lane`](crate::Lane). A request that comes on the lane is answered
    /// there.
    Lane {
        /// What the lane is opened with.
        token: u64,
    },
    /// Gives a network card its name and its addresses, and switches it on. Ends with status 0, or with
    /// [`End::Failed`] when there is no such card (yet), or the kernel does not obey.
    Card {
        /// The request.
        id: RequestId,
        /// The card.
        card: Card,
    },
}

/// A network card of the guest as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The hardware address that it is found by.
    pub mac: [u8; 6],
    /// Its name.
    pub name: String,
    /// Its addresses, each with the length of its network's prefix in bits. One of a family that the guest
    /// does without is left out.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A command for bash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The text, which bash runs after `set -euo pipefail`.
    #[serde(with = "serde_bytes")]
    pub script: Vec<u8>,
    /// The time, in milliseconds, after which the command is ended with status 124, as `timeout(1)` does.
    pub timeout_ms: Option<u64>,
    /// Whether [`ToGuest::Input`] follows; otherwise the standard input is `/dev/null`.
    pub stdin: bool,
    /// How long, in milliseconds, after the command itself has ended the agent goes on reading its standard
    /// output, when some child still holds that open. `None` waits for ever, as NixOS's shell does.
    pub grace_ms: Option<u64>,
}

/// From the agent to the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// The answer to [`ToGuest::Hello`].
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// A command printed something.
    Output {
        /// The request.
        id: RequestId,
        /// On which stream.
        stream: Stream,
        /// What; at most [`CHUNK`] bytes, on the lane [`LANE_CHUNK`].
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// A command has taken this much of its input; as much more may be sent.
    Taken {
        /// The request.
        id: RequestId,
        /// Bytes.
        bytes: u32,
    },
    /// A request is over; nothing of it comes after.
    Ended {
        /// The request.
        id: RequestId,
        /// How.
        end: End,
    },
    /// How something that is watched is now. The first one comes at once, the others when it has changed;
    /// what it was in between is not told.
    Noticed {
        /// The request.
        id: RequestId,
        /// How it is.
        notice: Notice,
    },
    /// The answer to [`ToGuest::Lane`].
    Lane {
        /// Why there is none, in words of the operating system.
        problem: Option<String>,
    },
}

/// Something in the guest that is watched. It ends with [`End::Failed`] where the guest cannot watch it: then
/// a command can look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// Whether a file exists, behind all links, as `test -e` has it.
    File {
        /// Its absolute path.
        path: Vec<u8>,
    },
    /// Whether a TCP connection can be made, as `nc -z` has it.
    Port {
        /// An address, or a name from the guest's `/etc/hosts`.
        address: String,
        /// The port.
        port: u16,
    },
    /// Whether a Unix socket can be connected to, as `nc -z -U` has it.
    UnixSocket {
        /// Its absolute path.
        path: Vec<u8>,
        /// Datagrams instead of a stream.
        datagram: bool,
    },
    /// Whether a process runs. A zombie does not.
    Process {
        /// Its number.
        pid: u32,
    },
    /// The state of a systemd unit.
    Unit {
        /// Its name.
        name: String,
        /// Whose manager has it; `None` is the system's.
        user: Option<String>,
    },
    /// What a virtual terminal shows.
    Terminal {
        /// Its number; `None` is the one in the foreground.
        number: Option<u32>,
    },
}

/// How something that is watched is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Whether the file exists, somebody listens, the process runs.
    There(bool),
    /// How a unit is.
    Unit(UnitState),
    /// What a terminal shows, as `/dev/vcsa` has it.
    Terminal(Vec<u8>),
}

/// The state of a systemd unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Its `ActiveState`.
    pub active: String,
    /// A job of its own is queued or runs.
    pub has_job: bool,
    /// Jobs are queued or run, of whichever unit of its manager.
    pub jobs: bool,
    /// It is a service that does something once and is inactive afterwards: `Type=oneshot` without
    /// `RemainAfterExit`.
    pub once: bool,
    /// Its last command has ended since the guest booted, with status 0: `ExecMainExitTimestamp` is set.
    pub has_run: bool,
    /// Its `Result`; empty for what is no service.
    pub result: String,
    /// `ConditionResult`: when it was last to be started, it was not skipped.
    pub conditions_met: bool,
}

/// A stream of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The command ended by itself or by its timeout; what is no command was done.
    Exited {
        /// Its status, as bash tells it: 128 + n for signal n, 124 for the timeout.
        status: i32,
        /// The processes that still held its standard output when the grace was over.
        held_by: Vec<Holder>,
    },
    /// The request could not be carried out.
    Failed {
        /// Why, in words of the operating system.
        reason: String,
    },
}

/// A process that holds a command's standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number in the guest.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
}
