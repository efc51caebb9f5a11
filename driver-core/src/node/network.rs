//! Files, ports, sockets and processes in the guest that somebody waits for.

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
        let heading = format!("waiting for file '{file}'");
        let watch = plain_path(file).map(|path| Watch::File { path });
        let exists = format!("test -e {file}");
        self.wait_for_there(heading, watch, &exists, timeout, true, "it does not exist").await
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
        self.wait_for_port(heading, port, address, timeout, true, "nobody listens").await
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
        self.wait_for_port(heading, port, address, timeout, false, "somebody listens").await
    }

    async fn wait_for_port(
        &self,
        heading: String,
        port: u16,
        address: &str,
        timeout: Duration,
        open: bool,
        otherwise: &str,
    ) -> Result<(), DriverError> {
        let watch = Watch::Port { address: address.to_owned(), port };
        let connects = format!("nc -z {address} {port}");
        self.wait_for_there(heading, Some(watch), &connects, timeout, open, otherwise).await
    }

    /// Waits until somebody in the guest listens on a Unix socket. The guest's shell expands its name.
    ///
    /// # Errors
    /// As [`Node::wait_until_succeeds`].
    pub async fn wait_for_open_unix_socket(
        &self,
        path: &str,
        datagram: bool,
        timeout: Duration,
    ) -> Result<(), DriverError> {
        let (kind, flags) = if datagram { ("datagram", "-uU") } else { ("stream", "-U") };
        let heading = format!("waiting for UNIX-domain {kind} on '{path}'");
        let watch = plain_path(path).map(|path| Watch::UnixSocket { path, datagram });
        let connects = format!("nc -z {flags} {path}");
        self.wait_for_there(heading, watch, &connects, timeout, true, "nobody listens").await
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
        self.wait_step(heading, timeout, async {
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

/// An absolute path in which a shell finds nothing to expand, and a `test` nothing but a path.
fn plain_path(text: &str) -> Option<Vec<u8>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&byte);
    (text.starts_with('/') && text.bytes().all(is_plain)).then(|| text.as_bytes().to_vec())
}
