//! The two ways to run a command in a guest: its root shell, or the agent in that shell's place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncRead;

use crate::agent::{Agent, How, Nobody, Witness};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::shell::{OUTPUT_LIMIT, Shell, ShellOutput, quote};

/// What commands go through.
#[derive(Debug)]
pub(crate) enum Channel {
    Shell(Shell),
    Agent(Agent),
}

/// The place of the channel: what is in it changes with the guest.
#[derive(Debug)]
pub(crate) struct Line(Mutex<Arc<Channel>>);

impl Line {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(Mutex::new(Arc::new(channel)))
    }

    /// What commands go through now.
    pub(crate) fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, channel: Channel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(channel);
    }
}

impl Channel {
    /// The guest has been reset: what is under way will never be answered.
    pub(crate) fn reset(&self) {
        match self {
            Self::Shell(shell) => shell.reset(),
            Self::Agent(agent) => agent.reset(),
        }
    }

    /// Whether commands can be run: a shell may have to be waited for, and an agent may be gone.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Shell(shell) => shell.is_ready(),
            Self::Agent(agent) => agent.is_up(),
        }
    }

    /// A command that is under way, given up or not waited for included.
    pub(crate) fn busy_with(&self) -> Option<String> {
        match self {
            Self::Shell(shell) => shell.busy_with(),
            Self::Agent(agent) => agent.busy_with(),
        }
    }

    /// Runs a command and returns its output and status. `timeout` is the guest's, `within` the host's.
    pub(crate) async fn run(
        &self,
        command: &str,
        timeout: Option<Duration>,
        grace: Option<Duration>,
        within: Deadline,
        witness: &mut dyn Witness,
    ) -> Result<ShellOutput, DriverError> {
        match self {
            Self::Shell(shell) => shell.run(command, timeout, within).await,
            Self::Agent(agent) => {
                let mut stdout = Vec::new();
                let how = How { timeout, grace, within, bulk: false };
                let status = agent.run(command, how, &mut stdout, OUTPUT_LIMIT as u64, witness).await?;
                Ok(ShellOutput { status, stdout })
            }
        }
    }

    /// Runs a command of our own, of which nobody hears, and returns what it printed: `limit` bytes at most, or
    /// it is an error. A plain shell has to be free for it.
    pub(crate) async fn peek(
        &self,
        command: &str,
        limit: usize,
        within: Deadline,
    ) -> Result<ShellOutput, DriverError> {
        let timeout = Some(within.remaining());
        match self {
            Self::Shell(shell) => shell.clone().with_output_limit(limit).run(command, timeout, within).await,
            Self::Agent(agent) => {
                let mut stdout = Vec::new();
                let how = How { timeout, grace: Some(Duration::ZERO), within, bulk: false };
                let status = agent.run(command, how, &mut stdout, limit as u64, &mut Nobody).await?;
                Ok(ShellOutput { status, stdout })
            }
        }
    }

    /// Starts a command and does not wait for it. Of its output `witness` hears the standard error only.
    pub(crate) async fn fire(
        &self,
        command: &str,
        within: Deadline,
        witness: impl Witness + 'static,
    ) -> Result<(), DriverError> {
        match self {
            Self::Shell(shell) => shell.fire(command, within).await,
            Self::Agent(agent) => agent.fire(command, witness),
        }
    }

    /// Tells the guest to power off; what runs is not waited for any longer than the way there needs.
    pub(crate) async fn power_off(&self, within: Deadline) -> Result<(), DriverError> {
        match self {
            Self::Shell(shell) => shell.send_raw("poweroff\n", within).await,
            Self::Agent(agent) => agent.fire("poweroff", Nobody),
        }
    }

    /// Tells systemd in the initrd to go on to the real system. The shell there is another one.
    pub(crate) async fn leave_initrd(&self, within: Deadline) -> Result<(), DriverError> {
        const ORDER: &str = "systemctl isolate --no-block initrd-switch-root.target 2>/dev/null >/dev/null";
        match self {
            Self::Shell(shell) => shell.fire(ORDER, within).await,
            Self::Agent(agent) => {
                let how = How { timeout: None, grace: None, within, bulk: false };
                let (mut nothing, limit) = (tokio::io::sink(), OUTPUT_LIMIT as u64);
                agent.run(ORDER, how, &mut nothing, limit, &mut Words::default()).await.map(drop)
            }
        }
    }

    /// Writes a file in the guest; see [`Shell::upload`].
    pub(crate) async fn upload(
        &self,
        target: &str,
        mode: u32,
        content: impl AsyncRead + Send + Unpin,
        length: u64,
        within: Deadline,
    ) -> Result<(), DriverError> {
        let agent = match self {
            Self::Shell(shell) => return shell.upload(target, mode, content, length, within).await,
            Self::Agent(agent) => agent,
        };
        let file = quote(target);
        let parent = match target.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => format!("mkdir -p -- {}; ", quote(parent)),
            _ => String::new(),
        };
        let script = format!("exec 2>&1; {parent}cat >{file}; chmod {mode:o} -- {file}");
        let how = How { timeout: None, grace: None, within, bulk: true };
        let output = agent.feed(&script, content, how).await?;
        if output.status == 0 {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stdout);
        Err(DriverError::assertion(format!("`{target}` could not be written in the guest: {}", words.trim())))
    }
}

/// Keeps the beginning of what a command says on its standard error.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<u8>);

impl Words {
    /// As text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim().to_owned()
    }
}

impl Witness for Words {
    fn stderr(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.truncate(4096);
    }
}
