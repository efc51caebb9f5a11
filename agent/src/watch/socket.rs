//! Whether a Unix socket can be connected to. Nothing tells of that but a try, which costs three system
//! calls and, where nobody listens, nobody notices.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use agent_protocol::message::Notice;
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::Watcher;
use super::pace::Pace;

/// The pause where somebody listens, and so notices.
const SLOW: Duration = Duration::from_secs(1);

/// The watch of one socket.
#[derive(Debug)]
pub(super) struct UnixSocket {
    address: SocketAddrUnix,
    kind: SocketType,
    pace: Pace,
    wake_at: Instant,
}

impl UnixSocket {
    pub(super) fn new(path: &[u8], datagram: bool) -> Result<Self, String> {
        if !path.starts_with(b"/") {
            return Err("not an absolute path".to_owned());
        }
        let address = SocketAddrUnix::new(path).map_err(|error| error.to_string())?;
        let kind = if datagram { SocketType::DGRAM } else { SocketType::STREAM };
        Ok(Self { address, kind, pace: Pace::new(), wake_at: Instant::now() })
    }
}

impl Watcher for UnixSocket {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        let now = Instant::now();
        let socket = open(AddressFamily::UNIX, self.kind)?;
        // One that listens and is behind refuses with EAGAIN: the next try tells.
        let is_there = connect(socket, &self.address).is_ok();
        self.wake_at = if is_there { now + SLOW } else { self.pace.after(now) };
        Ok(Some(Notice::There(is_there)))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        Vec::new()
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.wake_at)
    }
}

/// A socket that does not wait.
pub(super) fn open(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, String> {
    socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
        .map_err(|error| format!("no socket: {error}"))
}
