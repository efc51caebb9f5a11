//! A connection to a manager's private socket: the greeting, whole messages out and in, nothing that waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::message::{self, Message};

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// Bytes of the manager's greeting, at most.
const GREETING: usize = 512;

/// An open connection. Any error is its end.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// The manager has accepted us.
    greeted: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    serial: u32,
}

impl Connection {
    /// Connects to the manager's socket, and greets.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        // Who we are, in hexadecimal, as the kernel tells the manager too. All in one, as systemd's own
        // clients do it: what follows need not wait for the answer.
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        let outgoing = format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").into_bytes();
        Ok(Self { socket, greeted: false, incoming: Vec::new(), outgoing, serial: 0 })
    }

    /// What to wait for.
    pub(crate) fn flags(&self) -> PollFlags {
        if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Calls a method; returns the serial that its answer will name.
    pub(crate) fn call(&mut self, path: &str, interface: &str, member: &str, arguments: &[&str]) -> u32 {
        self.serial += 1;
        self.outgoing.extend(message::call(self.serial, path, interface, member, arguments));
        self.serial
    }

    /// Writes what the socket takes.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match rustix::io::write(&self.socket, &self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads once what is there.
    pub(crate) fn receive(&mut self) -> io::Result<()> {
        self.incoming.reserve(READ);
        match rustix::io::read(&self.socket, rustix::buffer::spare_capacity(&mut self.incoming)) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message of those that were read.
    pub(crate) fn message(&mut self) -> io::Result<Option<Message>> {
        if !self.greeted && !self.take_greeting()? {
            return Ok(None);
        }
        message::take(&mut self.incoming).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn take_greeting(&mut self) -> io::Result<bool> {
        let Some(end) = self.incoming.windows(2).take(GREETING).position(|pair| pair == b"\r\n") else {
            let is_long = self.incoming.len() > GREETING;
            return if is_long { Err(io::ErrorKind::InvalidData.into()) } else { Ok(false) };
        };
        self.greeted = self.incoming.starts_with(b"OK ");
        self.incoming.drain(..end + 2);
        if self.greeted { Ok(true) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
