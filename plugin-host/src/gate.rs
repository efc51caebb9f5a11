//! The gate through which all calls into one plugin go: each on a thread of its own and with a deadline. It closes
//! for good when a call hangs or reports a panic.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use driver_core::Deadline;
use plugin_abi::{Buf, Status};
use tokio::sync::oneshot;

use crate::outgoing::Outgoing;

/// How patient innkeeper is with plugins.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What a call may take that is given no time of its own.
    pub call: Duration,
    /// How much longer than its time any call may take before it counts as hanging.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(30), grace: Duration::from_secs(5) }
    }
}

/// Bytes of a message that anybody reads.
const MESSAGE_LIMIT: usize = 16 << 10;

/// The gate to one plugin.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What messages call the plugin.
    file: String,
    limits: Limits,
    /// Why it is not called any more.
    aside: OnceLock<String>,
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The plugin says so.
    #[error("plugin `{file}`: {message}")]
    Said {
        /// The plugin.
        file: String,
        /// How it ended.
        status: Status,
        /// Why, in the plugin's words.
        message: String,
    },
    /// The plugin is not called any more.
    #[error("plugin `{file}` {reason}; it is not called again in this run (tell its author)")]
    Aside {
        /// The plugin.
        file: String,
        /// What it did.
        reason: String,
    },
    /// What it gave makes no sense.
    #[error("plugin `{file}` {problem} (tell its author)")]
    Nonsense {
        /// The plugin.
        file: String,
        /// What it did.
        problem: String,
    },
}

/// What comes back from the thread of a call.
type Done<T> = (Status, String, T);

impl Gate {
    pub(crate) fn new(file: String, limits: Limits) -> Self {
        Self { file, limits, aside: OnceLock::new() }
    }

    /// The time for calls that are given none.
    pub(crate) fn call_limit(&self) -> Deadline {
        Deadline::after(self.limits.call)
    }

    pub(crate) fn is_aside(&self) -> bool {
        self.aside.get().is_some()
    }

    /// Calls `function`, which is done by `work`, and waits for it. `work` is given a place for the message. Who
    /// drops the future leaves the call to itself; what it then returns is dropped.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        within: Deadline,
        work: impl FnOnce(*mut Buf) -> (Status, T) + Send + 'static,
    ) -> Result<T, Fault> {
        self.refuse_if_aside()?;
        let (sender, receiver) = oneshot::channel();
        self.start(function, work, |done| drop(sender.send(done)))?;
        let latest = within.instant() + self.limits.grace;
        match tokio::time::timeout_at(latest, receiver).await {
            Ok(Ok(done)) => self.judge(function, done),
            Ok(Err(_)) => Err(self.set_aside(format!("ended the thread of `{function}`"))),
            Err(_) => Err(self.hangs(function, within)),
        }
    }

    /// The same for callers that block.
    pub(crate) fn call_blocking<T: Send + 'static>(
        &self,
        function: &'static str,
        within: Deadline,
        work: impl FnOnce(*mut Buf) -> (Status, T) + Send + 'static,
    ) -> Result<T, Fault> {
        self.refuse_if_aside()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        self.start(function, work, move |done| drop(sender.send(done)))?;
        match receiver.recv_timeout(within.remaining() + self.limits.grace) {
            Ok(done) => self.judge(function, done),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(self.set_aside(format!("ended the thread of `{function}`")))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(self.hangs(function, within)),
        }
    }

    /// What it gave makes no sense.
    pub(crate) fn nonsense(&self, problem: impl Into<String>) -> Fault {
        Fault::Nonsense { file: self.file.clone(), problem: problem.into() }
    }

    /// A thread for each call: those of a pool would be used up by calls that hang, and tokio waits for its
    /// own at its end.
    fn start<T: Send + 'static>(
        &self,
        function: &'static str,
        work: impl FnOnce(*mut Buf) -> (Status, T) + Send + 'static,
        deliver: impl FnOnce(Done<T>) + Send + 'static,
    ) -> Result<(), Fault> {
        let call = move || {
            let mut message = Outgoing::new();
            let (status, value) = work(message.place());
            deliver((status, message.text(MESSAGE_LIMIT), value));
        };
        let started = std::thread::Builder::new().name(format!("plugin {function}")).spawn(call);
        started
            .map(drop)
            .map_err(|error| self.nonsense(format!("cannot be called: there is no thread for it ({error})")))
    }

    fn judge<T>(&self, function: &str, (status, message, value): Done<T>) -> Result<T, Fault> {
        match status {
            Status::OK => Ok(value),
            Status::PANICKED => Err(self.set_aside(format!("panicked in `{function}`: {message}"))),
            _ => {
                let message = match message.as_str() {
                    "" => format!("`{function}` failed with status {} and without a word", status.0),
                    _ => message,
                };
                Err(Fault::Said { file: self.file.clone(), status, message })
            }
        }
    }

    fn hangs(&self, function: &str, within: Deadline) -> Fault {
        let (limit, grace) = (within.limit(), self.limits.grace);
        self.set_aside(format!(
            "hangs: `{function}` was given {limit:?} and has not returned {grace:?} after that"
        ))
    }

    fn set_aside(&self, reason: String) -> Fault {
        tracing::error!(plugin = self.file, reason, "a plugin is set aside");
        let reason = self.aside.get_or_init(|| reason).clone();
        Fault::Aside { file: self.file.clone(), reason }
    }

    fn refuse_if_aside(&self) -> Result<(), Fault> {
        match self.aside.get() {
            None => Ok(()),
            Some(reason) => Err(Fault::Aside { file: self.file.clone(), reason: reason.clone() }),
        }
    }
}

/// The time that is left, for a plugin.
pub(crate) fn milliseconds(within: Deadline) -> u64 {
    u64::try_from(within.remaining().as_millis()).unwrap_or(u64::MAX)
}

/// What all open things of a plugin share.
pub(crate) type SharedGate = Arc<Gate>;
