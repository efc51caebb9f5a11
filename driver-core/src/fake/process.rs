//! A process that stands for a hypervisor's.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use tokio::process::{Child, Command};

use crate::machine::{ExitReason, MachineLog};

/// A `sleep` in a process group of its own, which the log is told of.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) id: u32,
    log: Arc<dyn MachineLog>,
}

impl Process {
    pub(super) fn start(log: Arc<dyn MachineLog>) -> io::Result<Self> {
        let child = Command::new("sleep").arg("infinity").process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().ok_or_else(|| io::Error::other("sleep ended at once"))?;
        log.guard_group(id);
        Ok(Self { child, id, log })
    }

    /// Waits until somebody has killed it.
    pub(super) async fn ended(&mut self) -> ExitReason {
        match self.child.wait().await {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(number), _) => ExitReason::Signal { number },
                (None, code) => ExitReason::Status { code: code.unwrap_or_default() },
            },
            Err(error) => {
                tracing::warn!(%error, "a fake hypervisor could not be waited for");
                ExitReason::Status { code: 1 }
            }
        }
    }

    /// Kills it, if it is still there, and takes back its guard.
    pub(super) async fn finish(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a fake hypervisor could not be killed");
        }
        self.log.release_group(self.id);
    }
}
