//! The lane: a second port of the guest, no terminal, that carries what is large.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use agent_protocol::ToGuest;
use agent_protocol::message::BULK_PORT;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// Bytes that are read in one go, at most, and what a port hands out in one read.
const READ: usize = 64 << 10;
const PAGE: usize = 4 << 10;

/// Bytes that wait for the port, at most, before outputs are read on.
const BACKLOG: usize = 128 << 10;

/// The open port.
#[derive(Debug)]
pub(crate) struct Lane {
    port: OwnedFd,
    lane: agent_protocol::Lane,
    unsent: Vec<u8>,
    /// Bytes of `unsent` that the port has taken.
    sent: usize,
}

impl Lane {
    /// Opens the port.
    pub(crate) fn open(token: u64) -> io::Result<Self> {
        let path = find()?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let port = open(path, flags, Mode::empty())?;
        let lane = agent_protocol::Lane::new(token);
        let unsent = lane.opening().to_vec();
        Ok(Self { port, lane, unsent, sent: 0 })
    }

    /// What to wait for.
    pub(crate) fn port(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }

    /// Whether something waits to be written.
    pub(crate) fn is_behind(&self) -> bool {
        self.sent < self.unsent.len()
    }

    /// Whether outputs may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent.len() - self.sent < BACKLOG
    }

    /// Reads what has come. An error when the lane is of no more use.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(READ);
        while bytes.len() < READ {
            let room = rustix::buffer::spare_capacity(&mut bytes);
            match rustix::io::read(&self.port, room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(PAGE..) | Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.lane.receive(&bytes);
        Ok(())
    }

    /// The next message of the driver.
    pub(crate) fn message(&mut self) -> io::Result<Option<ToGuest>> {
        match self.lane.message() {
            Ok(Some(bytes)) => agent_protocol::from_bytes(bytes).map(Some).map_err(io::Error::other),
            Ok(None) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, message: &[u8]) {
        agent_protocol::Lane::wrap(message, &mut self.unsent);
    }

    /// Writes what the port takes.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while self.is_behind() {
            match rustix::io::write(&self.port, &self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }
}

/// The port's device. It may have no name in `/dev` but the kernel's: that is udev's work, which an initrd
/// may lack.
fn find() -> io::Result<PathBuf> {
    for entry in std::fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = std::fs::read(entry.path().join("name")).unwrap_or_default();
        if name.trim_ascii() == BULK_PORT.as_bytes() {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("the guest has no port `{BULK_PORT}`")))
}
