//! The root shell: a process that enters the container once that has booted, and again after each reboot.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::time::Duration;

use driver_core::GREETING;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::notices::State;
use crate::terminal::Line;

const SCRIPT: &str = include_str!("shell.sh");

/// Bytes on their way.
const BUFFER: usize = 64 << 10;

/// How long to wait before a shell that has ended in a container that has not is followed by another.
const PAUSE: Duration = Duration::from_millis(500);

/// Who enters, and where what the shell's commands say on standard error goes.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) nsenter: PathBuf,
    pub(crate) console: OwnedFd,
}

impl Entrance {
    /// An entrance whose errors go to the console.
    pub(crate) fn new(nsenter: PathBuf, console: &Line) -> io::Result<Self> {
        Ok(Self { nsenter, console: console.handle()? })
    }

    /// The shell's stream, and the work that has somebody at its other end for as long as `state` is told.
    pub(crate) fn open(self, state: watch::Receiver<State>) -> (DuplexStream, impl Future<Output = ()>) {
        let (near, far) = tokio::io::duplex(BUFFER);
        (near, self.serve(far, state))
    }

    async fn serve(self, far: DuplexStream, mut state: watch::Receiver<State>) {
        let (mut typed, mut printed) = tokio::io::split(far);
        loop {
            let booted = state.wait_for(|state| state.booted().is_some()).await.map(|state| *state);
            let Some(leader) = booted.ok().and_then(State::booted) else { return };
            if let Err(error) = self.carry(&mut typed, &mut printed, leader).await {
                tracing::debug!(%error, leader, "a container's shell has ended");
            }
            sleep(PAUSE).await;
        }
    }

    /// Carries bytes to a shell and from it, until it has ended.
    async fn carry(
        &self,
        typed: &mut ReadHalf<DuplexStream>,
        printed: &mut WriteHalf<DuplexStream>,
        leader: u32,
    ) -> io::Result<()> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let mut ours = UnixStream::from_std(ours)?;
        let theirs = OwnedFd::from(theirs);
        let mut command = Command::new(&self.nsenter);
        command
            .args([
                "--target",
                &leader.to_string(),
                "--mount",
                "--uts",
                "--ipc",
                "--net",
                "--pid",
                "--cgroup",
            ])
            .args(["--no-fork", "--", "/bin/sh", "-c", SCRIPT, GREETING])
            .env_clear()
            .current_dir("/")
            .stdin(theirs.try_clone()?)
            .stdout(theirs)
            .stderr(self.console.try_clone()?)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        // It holds the other end.
        drop(command);
        let (mut output, mut input) = ours.split();
        tokio::select! {
            copied = tokio::io::copy(&mut output, printed) => copied.map(drop),
            copied = tokio::io::copy(typed, &mut input) => copied.map(drop),
            // Its end of the socket may be held open by what it left running.
            ended = child.wait() => ended.map(drop),
        }
    }
}
