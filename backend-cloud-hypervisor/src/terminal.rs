//! The virtio console's pseudo-terminal: the guest's shell. It is ours, since the program takes input only from a
//! terminal (cloud-hypervisor.md, 3.1), and one that it makes itself has another path after each restore.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::Join;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Our end of the terminal.
pub(crate) type Terminal = Join<Receiver, Sender>;

/// Makes a terminal that changes no byte: our end as a stream, and the program's.
pub(crate) fn open() -> io::Result<(Terminal, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    let mut settings = tcgetattr(&theirs)?;
    settings.make_raw();
    tcsetattr(&theirs, OptionalActions::Now, &settings)?;
    rustix::fs::fcntl_setfl(&ours, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK)?;
    // A pipe's ends are made for any descriptor that can be polled; nothing else here is about pipes.
    let reader = Receiver::from_owned_fd_unchecked(ours.try_clone()?)?;
    let writer = Sender::from_owned_fd_unchecked(ours)?;
    Ok((tokio::io::join(reader, writer), theirs))
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
        let mut theirs = File::from(theirs);
        let bytes: Vec<u8> = (0..=255).collect();
        ours.write_all(&bytes).await.unwrap();
        let mut seen = [0; 256];
        theirs.read_exact(&mut seen).unwrap();
        assert_eq!(seen.as_slice(), bytes);
        theirs.write_all(&bytes).unwrap();
        let mut seen = [0; 256];
        ours.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen.as_slice(), bytes);
    }
}
