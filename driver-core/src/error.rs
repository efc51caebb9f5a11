//! What can go wrong, sorted by what somebody does about it.

use std::error::Error as StdError;
use std::time::Duration;

use crate::facet::Facet;
use crate::machine::Exit;

/// A cause that a backend hands on without driver-core knowing its type.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The one error of driver-core and of all backends.
///
/// A variant exists because somebody acts differently on it: skip, fail, report an unfit host, report a
/// dead machine, correct a script. [`DriverError::kind`] groups them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The test's own expectation did not hold. Fails the test. The message is the whole text.
    #[error("{message}")]
    Assertion {
        /// What a test may match: NixOS's wording.
        message: String,
    },
    /// The backend has no such facet. Turns the test into a skip or a refusal.
    #[error("backend `{backend}` has no {}, which {needed_by} needs ({}{})", .facet.thing(), .facet.instead(), choice(.having))]
    LacksFacet {
        /// The backend's name.
        backend: String,
        /// What it does not have.
        facet: Facet,
        /// Who needs it: "screenshot() of machine `server`".
        needed_by: String,
        /// The backends that have it.
        having: Vec<String>,
    },
    /// The backend cannot do something that is no facet of its own.
    #[error("backend `{backend}` cannot {operation} ({instead})")]
    Unsupported {
        /// The backend's name.
        backend: String,
        /// What was asked for, as a verb: "capture the screen".
        operation: &'static str,
        /// The way out.
        instead: &'static str,
    },
    /// Something did not happen in time.
    #[error("machine `{machine}`: {awaited} did not happen within {limit:?}{}", last_seen(.seen))]
    Timeout {
        /// The machine's name.
        machine: String,
        /// What was waited for.
        awaited: String,
        /// The time that was given.
        limit: Duration,
        /// What was there instead.
        seen: Option<String>,
    },
    /// A machine whose end was waited for goes on.
    #[error("machine `{machine}`: it did not power off within {limit:?} ({progress})")]
    StillOn {
        /// The machine's name.
        machine: String,
        /// The time that was given.
        limit: Duration,
        /// What its console tells.
        progress: String,
    },
    /// The machine ended while somebody needed it.
    #[error("machine `{machine}`: {exit}{}", while_doing(.during))]
    Exited {
        /// The machine's name.
        machine: String,
        /// How it ended.
        exit: Exit,
        /// What was going on.
        during: Option<String>,
    },
    /// The machine runs, but no shell has appeared in it.
    #[error("machine `{machine}`: no root shell appeared within {limit:?} ({progress})")]
    NeverBooted {
        /// The machine's name.
        machine: String,
        /// The time that was given.
        limit: Duration,
        /// How far the boot came.
        progress: String,
    },
    /// The machine runs, but its shell went away or talks nonsense.
    #[error("machine `{machine}`: the guest shell {problem}{}", while_doing(.during))]
    Shell {
        /// The machine's name.
        machine: String,
        /// What is wrong with it: "was closed by the guest".
        problem: String,
        /// The command that was running.
        during: Option<String>,
    },
    /// The machine could not be started, for a reason that lies in its description or its files.
    #[error("machine `{machine}`: {problem}{}", hint(.way_out))]
    Launch {
        /// The machine's name.
        machine: String,
        /// What is wrong.
        problem: String,
        /// What to do about it; empty when there is nothing to say.
        way_out: String,
    },
    /// This host cannot run the backend.
    #[error("backend `{backend}`: {problem}{}", hint(.way_out))]
    Host {
        /// The backend's name.
        backend: String,
        /// What is missing.
        problem: String,
        /// What to do about it.
        way_out: String,
    },
    /// The hypervisor misbehaved.
    #[error("machine `{machine}`: failed to {operation}")]
    Control {
        /// The machine's name.
        machine: String,
        /// What was tried, as a verb.
        operation: String,
        /// What the hypervisor, or the operating system, said.
        #[source]
        source: Cause,
    },
    /// A verb was called with arguments that make no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong and what is possible.
        message: String,
    },
    /// The output of a command is not UTF-8, and the caller asked for no replacement.
    #[error("the output of `{command}` is not UTF-8 (byte {at})")]
    Undecodable {
        /// The command.
        command: String,
        /// The output.
        output: Vec<u8>,
        /// The offset of the first byte that does not fit.
        at: usize,
    },
    /// A file on the host could not be read or written.
    #[error("failed to {operation} `{path}`")]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The run is being ended; whoever waits for a machine need not any longer.
    #[error("the run is being ended ({reason})")]
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// What an error means for the test; decides exception classes, exit status and report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The test failed.
    Assertion,
    /// A wait without an assertion of its own took too long (`wait_for_shutdown`).
    Timeout,
    /// A machine, or the host, failed the test.
    Machine,
    /// The script called something wrongly.
    Usage,
    /// Output that is not text.
    Undecodable,
    /// The run is ending.
    Cancelled,
}

impl DriverError {
    /// An assertion of the test that did not hold.
    pub fn assertion(message: impl Into<String>) -> Self {
        Self::Assertion { message: message.into() }
    }

    /// A call that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into() }
    }

    /// What the error means for the test.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Assertion { .. } => ErrorKind::Assertion,
            Self::StillOn { .. } => ErrorKind::Timeout,
            Self::Usage { .. } => ErrorKind::Usage,
            Self::Undecodable { .. } => ErrorKind::Undecodable,
            Self::Cancelled { .. } => ErrorKind::Cancelled,
            Self::LacksFacet { .. }
            | Self::Unsupported { .. }
            | Self::Timeout { .. }
            | Self::Exited { .. }
            | Self::NeverBooted { .. }
            | Self::Shell { .. }
            | Self::Launch { .. }
            | Self::Host { .. }
            | Self::Control { .. }
            | Self::File { .. } => ErrorKind::Machine,
        }
    }

    /// The error and its causes, outermost first, joined by `: `.
    #[must_use]
    pub fn chain(&self) -> String {
        chain_of(self)
    }
}

/// Any error and its causes, as [`DriverError::chain`] has them.
pub(crate) fn chain_of(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn last_seen(seen: &Option<String>) -> String {
    seen.as_ref().map_or_else(String::new, |seen| format!(" (last seen: {seen})"))
}

fn while_doing(during: &Option<String>) -> String {
    during.as_ref().map_or_else(String::new, |what| format!(" (while {what})"))
}

fn choice(backends: &[String]) -> String {
    if backends.is_empty() {
        return String::new();
    }
    let names: Vec<String> = backends.iter().map(|backend| format!("`{backend}`")).collect();
    format!("; or take a backend that has it: {}", names.join(", "))
}

/// The way out, as messages have it.
pub(crate) fn hint(way_out: &str) -> String {
    if way_out.is_empty() { String::new() } else { format!(" ({way_out})") }
}
