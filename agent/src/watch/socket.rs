//! Whether a Unix socket can be connected to. Nothing tells of that but a try, which costs a few system
//! calls and, where nobody listens, nobody notices.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_protocol::message::Notice;
use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::Watcher;
use super::file::walk;
use super::mounts::Mounts;
use super::pace::Pace;

/// The pause where somebody listens, and so notices.
const SLOW: Duration = Duration::from_secs(1);

/// The watch of one socket.
#[derive(Debug)]
pub(super) struct UnixSocket {
    path: PathBuf,
    address: SocketAddrUnix,
    kind: SocketType,
    mounts: Mounts,
    mounts_changed: bool,
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
        Ok(Self {
            path: PathBuf::from(OsStr::from_bytes(path)),
            address,
            kind,
            mounts: Mounts::read(),
            mounts_changed: false,
            pace: Pace::new(),
            wake_at: Instant::now(),
        })
    }
}

impl Watcher for UnixSocket {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        let now = Instant::now();
        if std::mem::take(&mut self.mounts_changed) {
            self.mounts.read_again();
        }
        // A try goes the same way, and must not have to wait for a file system on it.
        let way = walk(&self.path, &self.mounts)?;
        let socket = open(AddressFamily::UNIX, self.kind)?;
        // One that listens and is behind refuses with EAGAIN: the next try tells.
        let is_there = way.is_there && connect(socket, &self.address).is_ok();
        self.wake_at = if is_there { now + SLOW } else { self.pace.after(now) };
        Ok(Some(Notice::There(is_there)))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.mounts.changes().map(|table| (table, PollFlags::PRI)).into_iter().collect()
    }

    fn ready(&mut self, flags: PollFlags) {
        self.mounts_changed |= flags.contains(PollFlags::PRI);
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
