//! The guard: a small shell that outlives the driver for a moment, kills what the driver left running and
//! removes its directory, however the driver ended.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::error::DriverError;

const SCRIPT: &str = include_str!("guard.sh");

/// A handle on the guard. Dropping it is the same as dying: all that is still registered ends.
#[derive(Debug)]
pub struct Guard {
    state: Mutex<Option<(Child, ChildStdin)>>,
}

impl Guard {
    /// Starts the guard of `directory`, which it removes in the end.
    ///
    /// # Errors
    /// [`DriverError::File`] when there is no `/bin/sh` to be started.
    pub fn start(directory: &Path) -> Result<Self, DriverError> {
        let started = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "innkeeper-guard"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's group: Ctrl-C is for the driver, and the guard must survive it.
            .process_group(0)
            .spawn();
        let mut child = started.map_err(|source| DriverError::File {
            operation: "start",
            path: "/bin/sh".to_owned(),
            source,
        })?;
        let state = child.stdin.take().map(|orders| (child, orders));
        Ok(Self { state: Mutex::new(state) })
    }

    /// Registers a process group that must not outlive the driver.
    pub fn group(&self, pgid: u32) {
        self.order("group", pgid);
    }

    /// Forgets a process group that has ended.
    pub fn release(&self, pgid: u32) {
        self.order("release", pgid);
    }

    /// Ends everything that is still registered, removes the directory, and waits until that is done.
    pub fn finish(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut child, orders)) = state {
            drop(orders);
            if let Err(error) = child.wait() {
                tracing::warn!(%error, "the guard did not end well");
            }
        }
    }

    fn order(&self, order: &str, pgid: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, orders)) = state.as_mut()
            && let Err(error) = orders.write_all(format!("{order} {pgid}\n").as_bytes())
        {
            tracing::error!(%error, pgid, "the guard is gone: processes may outlive a killed driver");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.finish();
    }
}
