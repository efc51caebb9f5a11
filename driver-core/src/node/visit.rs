//! Somebody at a machine's terminal: a shell of their own in the guest, or its serial console.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::Node;
use super::life::Running;
use crate::agent::How;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::GuestStream;

/// Bytes that are taken from a terminal at once.
const CHUNK: usize = 4 << 10;

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// How many lines it has.
    pub rows: u16,
    /// How many characters are in a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// What terminals had when they were made of glass.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

impl Node {
    /// Gives a terminal a login shell of its own in the guest, until the shell ends or `terminal` is closed; the
    /// shell then ends with all that runs in it. Boots the machine if it is off. Commands of the script are run
    /// meanwhile as always; without the agent they wait, as the plain shell can do one thing at a time.
    ///
    /// # Errors
    /// As [`Node::execute`].
    pub async fn visit_shell(
        &self,
        terminal: impl GuestStream,
        size: TerminalSize,
    ) -> Result<(), DriverError> {
        let running = self.connected().await?;
        let channel = running.line.channel();
        let command = shell_of_their_own(size);
        let talk = async {
            match channel.as_ref() {
                Channel::Agent(agent) => {
                    let how = How { timeout: None, grace: None, within: Deadline::far(), bulk: false };
                    agent.converse(&command, how, terminal).await
                }
                Channel::Shell(shell) => shell.visit(&command, terminal).await,
            }
        };
        self.while_it_runs(&running, || "somebody was at its shell".to_owned(), talk).await
    }

    /// Connects a terminal with the guest's serial console until it is closed. It first gets the line that the console
    /// is at, which may be a prompt.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the machine is off, [`DriverError::Exited`] when it ends meanwhile.
    pub async fn visit_console(&self, terminal: impl GuestStream) -> Result<(), DriverError> {
        let running = self.must_run("be typed to")?;
        let talk = self.at_console(&running, terminal);
        self.while_it_runs(&running, || "somebody was at its console".to_owned(), talk).await
    }

    async fn at_console(
        &self,
        running: &Arc<Running>,
        mut terminal: impl GuestStream,
    ) -> Result<(), DriverError> {
        let (begun, mut heard) = self.console.listen();
        if terminal.write_all(begun.as_bytes()).await.is_err() {
            return Ok(());
        }
        let mut buffer = [0; CHUNK];
        loop {
            tokio::select! {
                read = terminal.read(&mut buffer) => match read {
                    Ok(count @ 1..) => self.type_bytes(running, &buffer[..count]).await?,
                    _ => return Ok(()),
                },
                printed = heard.recv() => match printed {
                    Ok(bytes) => if terminal.write_all(&bytes).await.is_err() {
                        return Ok(());
                    },
                    // A terminal that does not read misses something, as it would at a real one.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }
}

/// The command that is a login shell with a terminal of the guest's, where there is `script` to make one. What the
/// backdoor's shell was given so that it is quiet is taken away.
fn shell_of_their_own(size: TerminalSize) -> String {
    let TerminalSize { rows, columns } = size;
    format!(
        "unset PS1 PAGER; cd ~ || cd /; export TERM=xterm-256color; if type script >/dev/null 2>&1; then exec script -qc \
         'stty sane rows {rows} cols {columns}; exec bash -il' /dev/null; fi; exec bash -i 2>&1"
    )
}
