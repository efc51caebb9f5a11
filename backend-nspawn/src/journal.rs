//! The journal of a start script's container: on the console, since nothing else of it comes there (compat.md 1.10).

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use driver_core::MachineLog;
use tokio::process::Command;
use tokio::time::sleep;

/// How often to look whether the container keeps a journal by now, or its reader has to be started again.
const PAUSE: Duration = Duration::from_millis(500);

/// Shows the journal in `directory`, a container's as the host sees it, on the console, for as long as this is polled.
pub(crate) async fn follow(directory: PathBuf, console: io::Result<OwnedFd>, log: Arc<dyn MachineLog>) {
    let show = async {
        let console = console?;
        loop {
            if directory.is_dir() {
                let mut command = Command::new("journalctl");
                command
                    .args(["--follow", "--lines=all", "--output=short-monotonic", "--quiet"])
                    .arg({
                        let mut word = std::ffi::OsString::from("--directory=");
                        word.push(&directory);
                        word
                    })
                    .stdin(Stdio::null())
                    .stdout(console.try_clone()?)
                    .stderr(Stdio::null())
                    .process_group(0)
                    .kill_on_drop(true);
                command.status().await?;
            }
            sleep(PAUSE).await;
        }
    };
    let ended: io::Result<()> = show.await;
    if let Err(error) = ended {
        log.warning(&format!("the container's journal cannot be shown: `journalctl` cannot be run: {error}"));
    }
}
