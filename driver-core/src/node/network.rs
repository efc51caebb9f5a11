//! Files and ports in the guest that somebody waits for.

use std::time::Duration;

use agent_protocol::message::{Notice, Watch};

use super::Node;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::wait::Look;

impl Node {
    /// Waits until a process of the guest has ended: it is gone, or a zombie.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_process_exit(&self, pid: u32, timeout: Duration) -> Result<(), DriverError> {
        let heading = format!("waiting for process {pid} to end");
        let runs = format!("grep -qs '^State:[[:space:]]*[^ZX[:space:]]' /proc/{pid}/status");
        let watch = Watch::Process { pid };
        self.wait_for_there(heading, Some(watch), &runs, timeout, false, "it runs").await
    }

    /// Waits until a file exists in the guest. The guest's shell expands the name.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_file(&self, file: &str, timeout: Duration) -> Result<(), DriverError> {
        self.wait_for_there(
            format!("waiting for file '{file}'"),
            None,
            &format!("test -e {file}"),
            timeout,
            true,
            "it does not exist",
        )
        .await
    }

    /// Waits until somebody in the guest listens on a TCP port.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_open_port(
        &self,
        port: u16,
        address: &str,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let heading = format!("waiting for TCP port {port} on {address}");
        self.wait_for_there(heading, None, &connect(address, port), timeout, true, "nobody listens").await
    }

    /// Waits until nobody in the guest listens on a TCP port.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_closed_port(
        &self,
        port: u16,
        address: &str,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let heading = format!("waiting for TCP port {port} on {address} to be closed");
        self.wait_for_there(heading, None, &connect(address, port), timeout, false, "somebody listens").await
    }

    /// Waits until the guest says that something is there, or is not; or until `command` says so by its
    /// status, where the guest cannot watch.
    async fn wait_for_there(
        &self,
        heading: String,
        watch: Option<Watch>,
        command: &str,
        timeout: Duration,
        there: bool,
        otherwise: &str,
    ) -> Result<(), DriverError> {
        let awaited = heading.clone();
        self.step(heading, async {
            let deadline = Deadline::after(timeout);
            if let Some(watch) = watch {
                let is_so = |notice| Ok((notice == Notice::There(there)).then_some(()));
                if self.noticed(watch, deadline, is_so).await?.is_some() {
                    return Ok(());
                }
            }
            self.look_with(&awaited, command, deadline, |status, _| {
                if (status == 0) == there {
                    Look::Done(())
                } else {
                    Look::NotYet(format!("{otherwise} (exit code {status})"))
                }
            })
            .await
        })
        .await
    }
}

/// A command that succeeds if somebody listens.
fn connect(address: &str, port: u16) -> String {
    format!("nc -z {address} {port}")
}
