//! Starts a bash as the shell in the agent's place would: the same environment, folder and limits, no file
//! but the three standard ones.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access, MemfdFlags, Mode, OFlags, access, memfd_create, open};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::entry::{Inherited, keep_pipe};
use crate::process::Process;
use crate::spawn::{Program, spawn};

/// What every command begins with.
pub(crate) const STRICT: &[u8] = b"set -euo pipefail; ";

/// Bytes of a script that are given as an argument. Linux takes 128 KiB.
const LONGEST_ARGUMENT: usize = 100 << 10;

/// What the driver waits for when it wants a shell.
const GREETING: &str = "Spawning backdoor root shell...\n";

/// How to start bash.
#[derive(Debug)]
pub(crate) struct Bash {
    path: CString,
    inherited: Inherited,
    environment: Vec<CString>,
    /// `/dev/null`.
    nothing: OwnedFd,
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
    pub(crate) stdout: Pipe,
    pub(crate) stderr: Pipe,
}

/// A pipe for what is printed.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) reader: OwnedFd,
    /// The other end, kept open until the process has ended: a process that ends closes its files one by one, and
    /// we would be woken for each.
    pub(crate) writer: OwnedFd,
}

impl Bash {
    pub(crate) fn new(inherited: Inherited) -> io::Result<Self> {
        let path = CString::new(find_bash().into_os_string().into_vec())?;
        // `exec` took one off for the agent, which is no shell. Its children are those of a shell.
        let depth = std::env::var("SHLVL").ok().and_then(|depth| depth.parse::<u32>().ok()).unwrap_or(0) + 1;
        let mut environment =
            vec![variable("SHLVL", depth.to_string()), variable("_", OsStr::from_bytes(path.as_bytes()))];
        let others = std::env::vars_os().filter(|(name, _)| name != "SHLVL" && name != "_");
        environment.extend(others.map(|(name, value)| variable(name, value)));
        let nothing = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path, inherited, environment, nothing })
    }

    /// Starts a bash that runs the script.
    pub(crate) fn run(&self, script: &[u8], stdin: bool) -> io::Result<Running> {
        let text = [STRICT, script].concat();
        if text.len() <= LONGEST_ARGUMENT {
            return self.start(&text, stdin, None);
        }
        let file = memfd_create("script", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(script)?;
        let file = OwnedFd::from(file);
        let text = [STRICT, b". ", ours(&file).as_bytes()].concat();
        let mut running = self.start(&text, stdin, None)?;
        running.process.lend(file);
        Ok(running)
    }

    /// Starts `bash -c TEXT`, with one more variable.
    pub(crate) fn start(
        &self,
        text: &[u8],
        stdin: bool,
        more: Option<(&str, String)>,
    ) -> io::Result<Running> {
        let text = CString::new(text)?;
        let mut environment = self.environment.clone();
        environment.extend(more.map(|(name, value)| variable(name, value)));
        self.execute(&self.path, &[c"bash", c"-c", &text], &environment, stdin)
    }

    /// Starts a program as bash starts itself.
    pub(crate) fn execute(
        &self,
        path: &CStr,
        arguments: &[&CStr],
        environment: &[CString],
        stdin: bool,
    ) -> io::Result<Running> {
        let (their_stdin, stdin) = if stdin { Some(pipe_with(PipeFlags::CLOEXEC)?) } else { None }.unzip();
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map(|(reader, writer)| Pipe { reader, writer });
        let (stdout, stderr) = (pipe()?, pipe()?);
        if let Some(stdin) = &stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        let input = their_stdin.as_ref().unwrap_or(&self.nothing);
        let process = Process::new(spawn(&Program {
            path,
            arguments,
            environment,
            files: [input.as_fd(), stdout.writer.as_fd(), stderr.writer.as_fd()],
            inherited: self.inherited,
        })?)?;
        Ok(Running { process, pipes: Pipes { stdin, stdout, stderr } })
    }

    /// Executes the shell that was there before the agent, in the agent's place. Returns only on failure.
    pub(crate) fn take_over(&self, port: Option<&Path>) -> io::Error {
        let mut command = Command::new(OsStr::from_bytes(self.path.as_bytes()));
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

/// A variable as a program is given it. Those that we were given hold no NUL.
fn variable(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> CString {
    let bytes = [name.as_ref().as_bytes(), b"=", value.as_ref().as_bytes()].concat();
    CString::new(bytes).unwrap_or_default()
}

fn find_bash() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("bash"))
        .find(|file| access(file, Access::EXEC_OK).is_ok())
        .unwrap_or_else(|| PathBuf::from("/bin/bash"))
}
