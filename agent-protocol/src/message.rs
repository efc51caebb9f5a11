//! The messages. Encoded with postcard; a variant or a field is only ever added at the end, and
//! [`VERSION`] counts what old agents cannot understand.

use serde::{Deserialize, Serialize};

/// The version of the protocol. Both sides must have the same: the driver brings the agent with it.
pub const VERSION: u32 = 1;

/// Names a request among those under way. The driver chooses it and uses none twice in a session.
pub type RequestId = u32;

/// Bytes of data in one message, at most.
pub const CHUNK: usize = 16 << 10;

/// Bytes of output that a request may send before it is granted more.
pub const INITIAL_GRANT: u32 = 256 << 10;

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
}

/// A command for bash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The text, which bash runs after `set -euo pipefail`.
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
        /// What; at most [`CHUNK`] bytes.
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
    /// The command ended by itself or by its timeout.
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
