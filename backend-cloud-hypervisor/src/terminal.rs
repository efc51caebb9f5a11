//! The virtio console's two lines: the guest's shell. They are the program's standard input and output.
//!
//! The program takes input only from a terminal, so there is one, and it is ours: one that it makes itself has another
//! path after each restore (cloud-hypervisor.md, 3.1). Its output goes to a pipe. For an output that is a terminal the
//! program has a process that watches its size, and that hangs the terminal up when the guest reboots.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::Join;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Our ends: what the guest says, and what it is told.
pub(crate) type Terminal = Join<Receiver, Sender>;

/// The program's ends.
#[derive(Debug)]
pub(crate) struct Theirs {
    /// A terminal.
    pub(crate) input: OwnedFd,
    /// A pipe.
    pub(crate) output: OwnedFd,
}

/// Makes lines that change no byte.
pub(crate) fn open() -> io::Result<(Terminal, Theirs)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let input = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    let mut settings = tcgetattr(&input)?;
    settings.make_raw();
    tcsetattr(&input, OptionalActions::Now, &settings)?;
    rustix::fs::fcntl_setfl(&ours, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK)?;
    // A pipe's end is made for any descriptor that can be polled; nothing else here is about pipes.
    let writer = Sender::from_owned_fd_unchecked(ours)?;
    let (reader, output) = pipe_with(PipeFlags::CLOEXEC)?;
    let reader = Receiver::from_owned_fd(reader)?;
    Ok((tokio::io::join(reader, writer), Theirs { input, output }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::open;

    #[tokio::test]
    async fn every_byte_passes_both_ways_unchanged() {
        let (mut ours, theirs) = open().unwrap();
        let (mut input, mut output) = (File::from(theirs.input), File::from(theirs.output));
        let bytes: Vec<u8> = (0..=255).collect();
        ours.write_all(&bytes).await.unwrap();
        let mut seen = [0; 256];
        input.read_exact(&mut seen).unwrap();
        assert_eq!(seen.as_slice(), bytes);
        output.write_all(&bytes).unwrap();
        let mut seen = [0; 256];
        ours.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen.as_slice(), bytes);
    }
}
