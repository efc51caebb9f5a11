//! The interpreter as a child process, in a process group of its own that ends with it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use driver_core::{Driver, Guard};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::client::Script;
use crate::lines::Lines;
use crate::terminal::Lent;

/// Longer lines of output are shown in pieces.
const OUTPUT_LINE_LIMIT: usize = 1 << 20;

/// A running interpreter. Dropping it kills the whole group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Returns when the child has ended, and leaves it a zombie, so that its number, which is the group's,
    /// cannot become somebody else's before the group is killed.
    ended: JoinHandle<()>,
    group: Option<Pid>,
    guard: Arc<Guard>,
    terminal: Option<Lent>,
}

/// What a script prints. A prompt prints on the terminal itself.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Lines<Printed>,
    pub(crate) stderr: Lines<Printed>,
}

type Printed = Box<dyn Pipe>;

/// What a process's output is read from.
pub(crate) trait Pipe: AsyncRead + Send + Unpin + fmt::Debug {}
impl<T: AsyncRead + Send + Unpin + fmt::Debug> Pipe for T {}

impl Process {
    /// Starts the interpreter of `script`, which is in `file`, with the client package in `client`.
    pub(crate) fn start(
        script: &Script,
        file: &Path,
        client: &Path,
        socket: &Path,
        driver: &Driver,
    ) -> io::Result<(Self, Output)> {
        let has_terminal = script.has_terminal();
        let stdio = |otherwise: fn() -> Stdio| if has_terminal { Stdio::inherit() } else { otherwise() };
        let mut child = Command::new(script.language().program())
            .arg(client.join(script.language().entry()))
            .arg(file)
            .env("INNKEEPER_SOCKET", socket)
            // As the NixOS driver has it: what a script starts by itself can plug in.
            .envs(
                driver
                    .vlans()
                    .iter()
                    .map(|vlan| (format!("QEMU_VDE_SOCKET_{}", vlan.number()), vlan.socket_dir().to_owned())),
            )
            // Out of the terminal's group: what Ctrl-C means is for the driver to decide.
            .process_group(0)
            .stdin(stdio(Stdio::null))
            .stdout(stdio(Stdio::piped))
            .stderr(stdio(Stdio::piped))
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("the interpreter ended at once");
        let number = child.id().ok_or_else(gone)?;
        let guard = driver.guard();
        guard.group(number);
        let group = i32::try_from(number).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        // It says hello before it reads what is typed.
        let terminal = if has_terminal { Lent::to(group) } else { None };
        let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Printed);
        let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Printed);
        let lines = |pipe: Option<Printed>| {
            Lines::new(pipe.unwrap_or_else(|| Box::new(tokio::io::empty())), OUTPUT_LINE_LIMIT)
        };
        let output = Output { stdout: lines(stdout), stderr: lines(stderr) };
        let ended = spawn_blocking(move || {
            while let Err(Errno::INTR) =
                waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
        });
        Ok((Self { child, ended, group: Some(group), guard: Arc::clone(guard), terminal }, output))
    }

    /// Waits until the interpreter has ended by itself. Not to be called again after that.
    pub(crate) async fn ended(&mut self) {
        // Only a runtime that is shutting down cancels the task, and it ends whoever asks, too.
        let _ = (&mut self.ended).await;
    }

    /// Asks the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Kills what is left of the group, and returns how the interpreter itself ended.
    pub(crate) async fn finish(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        let status = self.child.wait().await;
        self.terminal = None;
        self.forget();
        status
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that has ended by itself is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    fn forget(&mut self) {
        if let Some(group) = self.group.take() {
            self.guard.release(group.as_raw_nonzero().get().unsigned_abs());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.forget();
    }
}
