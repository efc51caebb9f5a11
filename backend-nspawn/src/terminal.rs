//! The console: a pseudo-terminal of ours, which the container has as `/dev/ttyS0` and what runs it prints to.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::net::unix::pipe::{Receiver, Sender};

/// The container's end. While one of its kind is open, the terminal is not hung up.
#[derive(Debug)]
pub(crate) struct Line {
    fd: OwnedFd,
    path: PathBuf,
}

impl Line {
    /// Where it is on the host.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Another handle on it.
    pub(crate) fn handle(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

/// Our end, to be read and to be written, and the container's.
pub(crate) fn open() -> io::Result<(Receiver, Sender, Line)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let path = PathBuf::from(name.to_string_lossy().into_owned());
    let fd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(&fd)?;
    settings.make_raw();
    tcsetattr(&fd, OptionalActions::Now, &settings)?;
    rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
    // A pipe's end is made for any descriptor that can be polled; nothing else here is about pipes.
    let reader = Receiver::from_owned_fd_unchecked(ours.try_clone()?)?;
    let writer = Sender::from_owned_fd_unchecked(ours)?;
    Ok((reader, writer, Line { fd, path }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::open;

    #[tokio::test]
    async fn bytes_pass_both_ways_unchanged_and_the_end_is_told() {
        let (mut reader, mut writer, line) = open().unwrap();
        let mut theirs = File::options().read(true).write(true).open(line.path()).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        let mut seen = [0; 256];
        writer.write_all(&bytes).await.unwrap();
        theirs.read_exact(&mut seen).unwrap();
        assert_eq!(seen.as_slice(), bytes);
        theirs.write_all(&bytes).unwrap();
        reader.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen.as_slice(), bytes);
        drop((theirs, line));
        assert!(reader.read(&mut seen).await.is_err(), "the terminal is not hung up");
    }
}
