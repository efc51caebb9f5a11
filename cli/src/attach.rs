//! `innkeeper attach`: this terminal at a guest's shell or console, byte for byte, until one side leaves.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::args::AttachArgs;
use crate::{console, exit};

/// Ctrl-], which telnet and virsh end by, too.
const ESCAPE: u8 = 0x1d;

/// Runs until somebody leaves, and returns the exit status.
pub(crate) fn run(args: &AttachArgs) -> anyhow::Result<u8> {
    let socket = UnixStream::connect(&args.socket).with_context(|| {
        format!("`{}` cannot be connected with (is the run still there?)", args.socket.display())
    })?;
    let raw = Raw::mode();
    if raw.is_some() {
        console::err("(Ctrl-] leaves)\r");
    }
    let talked = talk(&socket);
    let is_raw = raw.is_some();
    drop(raw);
    if is_raw {
        // The guest's last line has not ended, as a rule.
        console::err("");
    }
    talked.context("the terminal and the machine cannot talk any more")?;
    Ok(exit::PASSED)
}

fn talk(socket: &UnixStream) -> io::Result<()> {
    let (stdin, mut stdout) = (io::stdin(), io::stdout());
    let (mut from_guest, mut buffer) = (socket, [0; 4096]);
    loop {
        let mut files = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&socket, PollFlags::IN)];
        match poll(&mut files, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [typed, printed] = files.map(|file| !file.revents().is_empty());
        if printed {
            let count = match io::Read::read(&mut from_guest, &mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error),
            };
            if count == 0 {
                return Ok(());
            }
            stdout.write_all(&buffer[..count])?;
            stdout.flush()?;
        }
        if typed {
            let count = rustix::io::read(stdin.as_fd(), &mut buffer)?;
            let end = buffer[..count].iter().position(|byte| *byte == ESCAPE);
            (&*socket).write_all(&buffer[..end.unwrap_or(count)])?;
            if end.is_some() || count == 0 {
                return socket.shutdown(Shutdown::Both);
            }
        }
    }
}

/// The terminal in raw mode: every key goes to the guest. Dropping this puts it back.
struct Raw(Termios);

impl Raw {
    /// `None` where standard input is no terminal.
    fn mode() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Drain, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
