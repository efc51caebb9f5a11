//! The janitor: a shell that holds a container's control group, and that empties and removes it when the driver lets
//! go of it or dies. systemd-nspawn that is killed would leave its container running.

use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

const SCRIPT: &str = include_str!("janitor.sh");

/// How long it may take to begin, and to end: things that take milliseconds on a host that is not busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells the groups of one driver apart.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A control group with somebody who sees to it. Dropping it is letting go.
#[derive(Debug)]
pub(crate) struct Janitor {
    child: Child,
    /// While it is open, the group stays.
    hold: Option<ChildStdin>,
    place: String,
}

impl Janitor {
    /// Makes a control group.
    ///
    /// # Errors
    /// With what the host says against it.
    pub(crate) async fn hire() -> io::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("innkeeper-{}-{number}", std::process::id());
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "innkeeper-janitor", &name])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of the terminal's group, and of any that is killed with the driver.
            .process_group(0)
            .spawn()?;
        let (Some(hold), Some(said), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the janitor has no pipes"));
        };
        let mut said = BufReader::new(said).lines();
        let place = timeout(PATIENCE, said.next_line()).await??;
        let Some(place) = place else {
            let mut text = String::new();
            // Somebody else may hold the pipe.
            let _ = timeout(PATIENCE, errors.read_to_string(&mut text)).await;
            return Err(io::Error::other(text.trim().to_owned()));
        };
        Ok(Self { child, hold: Some(hold), place })
    }

    /// Where the group is in the tree of control groups of the second kind.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Ends whatever is in the group, and returns when that and the group are gone. The second time it does nothing.
    pub(crate) async fn finish(&mut self) {
        if self.hold.take().is_none() {
            return;
        }
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            ended => {
                tracing::error!(group = self.place, ?ended, "a control group may be left");
            }
        }
    }
}
