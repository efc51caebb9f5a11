//! A real bash of this host that plays the root shell of a guest.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::shell::GREETING;

/// A bash in a session of its own. Reading gives what it prints, writing is what it is told; all of its
/// session is killed when this is dropped.
#[derive(Debug)]
pub struct LocalBash {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    _session: Session,
}

#[derive(Debug)]
struct Session {
    leader: Pid,
    _child: Child,
}

impl LocalBash {
    /// Starts a bash that works in `directory`, looks for programs in the directories `programs` before all
    /// others, and greets as the shell of a guest does.
    ///
    /// # Errors
    /// What the operating system says when it cannot start `setsid` or `bash`.
    pub fn start(directory: &Path, programs: &[PathBuf]) -> io::Result<Self> {
        let mut command = Command::new("setsid");
        command.args(["bash", "-c", &format!("echo '{GREETING}'; exec bash --norc")]);
        command.current_dir(directory).env("HOME", directory).env_remove("BASH_ENV").kill_on_drop(true);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = programs.iter().cloned().chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).map_err(io::Error::other)?);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("bash ended at once");
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or_else(gone)?;
        Ok(Self {
            stdin: child.stdin.take().ok_or_else(gone)?,
            stdout: child.stdout.take().ok_or_else(gone)?,
            stderr: child.stderr.take(),
            _session: Session { leader, _child: child },
        })
    }

    /// What its commands print on stderr; can be taken once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.stderr.take()
    }
}

impl Session {
    /// `timeout(1)` makes process groups of its own, but stays in the session.
    fn kill(&self) {
        let Ok(entries) = std::fs::read_dir("/proc") else { return };
        for entry in entries.flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(pid) = number.and_then(Pid::from_raw) else { continue };
            let is_ours = std::fs::read_to_string(entry.path().join("stat"))
                .is_ok_and(|stat| session_of(&stat) == Some(self.leader));
            if is_ours {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// The session in a line of `/proc/PID/stat`, where a name in parentheses stands before state, parent, group
/// and session. (`getsid` of rustix cannot be asked about processes of other namespaces.)
fn session_of(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(3)?.parse().ok()?)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kill();
    }
}

impl AsyncRead for LocalBash {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for LocalBash {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
