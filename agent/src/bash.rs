//! Starts a bash as the shell in the agent's place would: the same environment, folder and limits, no file
//! but the three standard ones.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, MemfdFlags, SeekFrom, access, memfd_create, seek};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::entry::{Inherited, keep_pipe};
use crate::process::Process;
use crate::spawn::spawn;

/// What every command begins with.
pub(crate) const STRICT: &[u8] = b"set -euo pipefail; ";

/// Bytes of a script that are given as an argument. Linux takes 128 KiB.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// What the driver waits for when it wants a shell.
const GREETING: &str = "Spawning backdoor root shell...\n";

/// How to start bash.
#[derive(Debug)]
pub(crate) struct Bash {
    path: PathBuf,
    inherited: Inherited,
    /// The agent's own depth of shells; bash goes on from there.
    depth: OsString,
}

/// A bash that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) pipes: Pipes,
}

/// Our ends of its pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Bash {
    pub(crate) fn new(inherited: Inherited) -> Self {
        // `exec` took one off for the agent, which is no shell. Its children are those of a shell.
        let depth = std::env::var("SHLVL").ok().and_then(|depth| depth.parse::<u32>().ok()).unwrap_or(0) + 1;
        Self { path: find_bash(), inherited, depth: depth.to_string().into() }
    }

    /// Starts a bash that runs the script.
    pub(crate) fn run(&self, script: &[u8], stdin: bool) -> io::Result<Running> {
        let text = [STRICT, script].concat();
        if text.len() <= LONGEST_ARGUMENT {
            return self.start(&text, stdin, &[]);
        }
        let file = memfd_create("script", MemfdFlags::CLOEXEC)?;
        let mut writer = std::fs::File::from(file);
        io::Write::write_all(&mut writer, script)?;
        let file = OwnedFd::from(writer);
        seek(&file, SeekFrom::Start(0))?;
        let text = [STRICT, b". ", ours(&file).as_bytes()].concat();
        let mut running = self.start(&text, stdin, &[])?;
        running.process.lend(file);
        Ok(running)
    }

    /// Starts `bash -c TEXT`, with some more variables.
    pub(crate) fn start(&self, text: &[u8], stdin: bool, variables: &[(&str, &str)]) -> io::Result<Running> {
        let mut command = Command::new(&self.path);
        command.arg0("bash").arg("-c").arg(OsStr::from_bytes(text));
        // As a shell would have it.
        command.env("_", &self.path).env("SHLVL", &self.depth).envs(variables.iter().copied());
        let input = if stdin { Some(pipe_with(PipeFlags::CLOEXEC)?) } else { None };
        let (theirs, stdin) = input.map_or((Stdio::null(), None), |(end, ours)| (end.into(), Some(ours)));
        let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        command.stdin(theirs).stdout(their_stdout).stderr(their_stderr);
        if let Some(stdin) = &stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        let process = Process::new(spawn(&mut command, self.inherited)?)?;
        Ok(Running { process, pipes: Pipes { stdin, stdout, stderr } })
    }

    /// Executes the shell that was there before the agent, in the agent's place. Returns only on failure.
    pub(crate) fn take_over(&self, port: Option<&Path>) -> io::Error {
        let mut command = Command::new(&self.path);
        command.arg0("bash").arg("--norc").env("PS1", "");
        if let Some(path) = port {
            let Ok(file) = std::fs::File::options().read(true).write(true).open(path) else {
                return io::Error::other("the port cannot be opened for the shell");
            };
            let Ok(input) = file.try_clone() else { return io::Error::last_os_error() };
            command.arg(path).stdin(input).stdout(file);
        }
        greet(port);
        keep_pipe(&mut command, self.inherited);
        command.exec()
    }
}

/// Says that there is a shell, as the guest's own service does.
fn greet(port: Option<&Path>) {
    let file = port.and_then(|path| std::fs::File::options().write(true).open(path).ok());
    // If nobody hears it, nobody waits for it.
    let _ = match &file {
        Some(file) => rustix::io::write(file, GREETING.as_bytes()),
        None => rustix::io::write(rustix::stdio::stdout(), GREETING.as_bytes()),
    };
}

/// A path by which a child can open a file of ours, without having it.
pub(crate) fn ours(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", rustix::process::getpid(), file.as_raw_fd())
}

fn find_bash() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("bash"))
        .find(|file| access(file, Access::EXEC_OK).is_ok())
        .unwrap_or_else(|| PathBuf::from("/bin/bash"))
}
