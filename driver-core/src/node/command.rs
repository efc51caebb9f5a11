//! Commands in the guest, and waits for commands to succeed or fail.

use std::time::Duration;

use super::Node;
use super::witness::CommandWitness;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::wait::{Look, Wait};

/// How much longer than the guest the host waits for a command that has a timeout: the guest may be slow
/// to kill it and to say so.
const HOST_MARGIN: Duration = Duration::from_secs(60);

/// How a command is executed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Execute {
    pub(crate) check_return: bool,
    pub(crate) check_output: bool,
    /// The guest ends the command after this time, with status 124.
    pub(crate) timeout: Option<Duration>,
}

impl Node {
    /// Runs a command in the guest's root shell and returns its status and standard output. Boots the
    /// machine if it is off. `timeout`: the guest ends the command after that time, with status 124.
    /// Output that is not UTF-8 is replaced by U+FFFD.
    ///
    /// # Errors
    /// [`DriverError::Exited`], [`DriverError::Shell`] or [`DriverError::NeverBooted`] when there is no
    /// machine to run it on.
    pub async fn execute(
        &self,
        command: &str,
        timeout: Option<Duration>,
    ) -> Result<(i32, String), DriverError> {
        self.execute_with(command, Execute { check_return: true, check_output: true, timeout }).await
    }

    /// [`Node::execute`] with NixOS's switches: without `check_output` nothing is waited for and the answer
    /// is (-2, ""), without `check_return` the status is -1 and the output must be UTF-8.
    pub(crate) async fn execute_with(
        &self,
        command: &str,
        how: Execute,
    ) -> Result<(i32, String), DriverError> {
        let running = self.connected().await?;
        let during = || format!("running `{}`", excerpt(command));
        if !how.check_output {
            let channel = running.line.channel();
            let sent = channel.fire(command, self.context.deadline, CommandWitness::new(&self.console));
            self.while_it_runs(&running, during, sent).await?;
            return Ok((-2, String::new()));
        }
        let within = match how.timeout {
            Some(timeout) => self.context.deadline.at_most(timeout.saturating_add(HOST_MARGIN)),
            None => self.context.deadline,
        };
        let channel = running.line.channel();
        let mut witness = CommandWitness::new(&self.console);
        let run = channel.run(command, how.timeout, self.context.grace, within, &mut witness);
        let output = self.while_it_runs(&running, during, run).await?;
        drop(witness);
        if how.check_return {
            return Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        match String::from_utf8(output.stdout) {
            Ok(text) => Ok((-1, text)),
            Err(error) => Err(DriverError::Undecodable {
                command: command.to_owned(),
                at: error.utf8_error().valid_up_to(),
                output: error.into_bytes(),
            }),
        }
    }

    /// Runs commands one after the other; each must succeed. Returns their standard outputs, joined.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] for the first one that fails; as [`Node::execute`].
    pub async fn succeed(
        &self,
        commands: &[impl AsRef<str>],
        timeout: Option<Duration>,
    ) -> Result<String, DriverError> {
        self.each("must succeed", commands, timeout, |command, status, output| {
            if status == 0 {
                return Ok(());
            }
            self.log(format!("output: {output}"));
            Err(DriverError::assertion(format!("command `{command}` failed (exit code {status})")))
        })
        .await
    }

    /// Runs commands one after the other; each must fail. Returns their standard outputs, joined.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] for the first one that succeeds; as [`Node::execute`].
    pub async fn fail(
        &self,
        commands: &[impl AsRef<str>],
        timeout: Option<Duration>,
    ) -> Result<String, DriverError> {
        self.each("must fail", commands, timeout, |command, status, _| {
            if status != 0 {
                return Ok(());
            }
            Err(DriverError::assertion(format!("command `{command}` unexpectedly succeeded")))
        })
        .await
    }

    async fn each(
        &self,
        heading: &str,
        commands: &[impl AsRef<str>],
        timeout: Option<Duration>,
        judge: impl Fn(&str, i32, &str) -> Result<(), DriverError>,
    ) -> Result<String, DriverError> {
        let mut outputs = String::new();
        for command in commands.iter().map(AsRef::as_ref) {
            self.step(format!("{heading}: {command}"), async {
                let (status, output) = self.execute(command, timeout).await?;
                judge(command, status, &output)?;
                outputs.push_str(&output);
                Ok(())
            })
            .await?;
        }
        Ok(outputs)
    }

    /// Runs a command again and again until it succeeds, and returns its last output.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the time is over; as [`Node::execute`].
    pub async fn wait_until_succeeds(&self, command: &str, timeout: Duration) -> Result<String, DriverError> {
        self.repeat("waiting for success", command, timeout, |status| status == 0).await
    }

    /// Runs a command again and again until it fails, and returns its last output.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_until_fails(&self, command: &str, timeout: Duration) -> Result<String, DriverError> {
        self.repeat("waiting for failure", command, timeout, |status| status != 0).await
    }

    async fn repeat(
        &self,
        heading: &str,
        command: &str,
        timeout: Duration,
        enough: impl Fn(i32) -> bool,
    ) -> Result<String, DriverError> {
        self.wait_step(format!("{heading}: {command}"), timeout, async {
            self.look_with(heading, command, Deadline::after(timeout), |status, output| {
                if enough(status) {
                    Look::Done(output)
                } else {
                    Look::NotYet(format!("exit code {status}, output `{}`", excerpt(&output)))
                }
            })
            .await
        })
        .await
    }

    /// Waits until `judge` is content with status and output of `command`.
    pub(super) async fn look_with<T>(
        &self,
        awaited: &str,
        command: &str,
        deadline: Deadline,
        judge: impl Fn(i32, String) -> Look<T>,
    ) -> Result<T, DriverError> {
        let judge = &judge;
        let awaited = awaited.strip_prefix("waiting for ").unwrap_or(awaited);
        Wait::by(format!("{awaited} (`{}`)", excerpt(command)), deadline)
            .until(|_last| async move {
                let (status, output) = self.execute(command, Some(deadline.limit())).await?;
                Ok(judge(status, output))
            })
            .await
    }

    /// Lets the guest sleep: its time, not the host's.
    ///
    /// # Errors
    /// As [`Node::succeed`].
    pub async fn sleep(&self, duration: Duration) -> Result<(), DriverError> {
        let command = format!("sleep {}", crate::text::python_float(duration.as_secs_f64()));
        self.succeed(&[command], None).await.map(drop)
    }

    /// A deadline for host-side work on this machine that should take next to no time.
    pub(super) fn soon(&self) -> Deadline {
        self.context.deadline.at_most(HOST_MARGIN)
    }
}

/// The beginning of a text, for messages.
pub(super) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 300;
    let text = text.trim_end();
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT).chain(['…']).collect()
}
