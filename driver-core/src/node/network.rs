//! Files and ports in the guest that somebody waits for.

use std::time::Duration;

use super::Node;
use crate::error::DriverError;
use crate::wait::Look;

impl Node {
    /// Waits until a file exists in the guest. The guest's shell expands the name.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_file(&self, file: &str, timeout: Duration) -> Result<(), DriverError> {
        self.wait_for_status(
            format!("waiting for file '{file}'"),
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
        self.wait_for_status(heading, &connect(address, port), timeout, true, "nobody listens").await
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
        self.wait_for_status(heading, &connect(address, port), timeout, false, "somebody listens").await
    }

    async fn wait_for_status(
        &self,
        heading: String,
        command: &str,
        timeout: Duration,
        success: bool,
        otherwise: &str,
    ) -> Result<(), DriverError> {
        let awaited = heading.clone();
        self.step(heading, async {
            self.look_with(&awaited, command, timeout, |status, _| {
                if (status == 0) == success {
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
