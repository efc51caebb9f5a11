//! Ports of QEMU's `-netdev dgram`: a frame a datagram, between two sockets with names.
//!
//! Frames come in by one socket and go out by another. A socket that is connected takes datagrams from its peer
//! alone, and would refuse a machine that was started again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::engine::{After, Bench, Source};
use crate::outlet::PacketOutlet;
use crate::port::{Kind, Link, PortHandle};

/// How often a peer is tried that has its name already, but no socket behind it yet: a bind that is under way.
const TRIES: u32 = 100;

/// The way to a machine.
#[derive(Debug)]
pub(crate) struct Peer {
    port: PortHandle,
    /// Where the machine binds its socket.
    path: PathBuf,
    link: Mutex<Option<Link>>,
}

impl Peer {
    pub(crate) fn new(port: PortHandle, path: PathBuf) -> Self {
        Self { port, path, link: Mutex::new(None) }
    }

    /// Connects to the machine's socket, in the place of a former one.
    fn connect(&self) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        let outlet = PacketOutlet::new(socket, self.port.doorbell());
        let link = self.port.connect(Kind::Dgram, Box::new(outlet));
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(())
    }
}

/// The socket that a machine sends to.
#[derive(Debug)]
pub(crate) struct DgramSource {
    socket: UnixDatagram,
    peer: Arc<Peer>,
}

impl DgramSource {
    /// `socket` must not block.
    pub(crate) fn new(socket: UnixDatagram, peer: Arc<Peer>) -> Self {
        Self { socket, peer }
    }
}

impl Source for DgramSource {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let Ok(count) = bench.datagrams.receive(&self.socket) else { return After::Stay };
        // Whoever sends is there, and may have been started anew.
        let is_linked = {
            let link = self.peer.link.lock().unwrap_or_else(PoisonError::into_inner);
            link.as_ref().is_some_and(|link| link.enter().is_some())
        };
        if !is_linked && self.peer.connect().is_err() {
            // Nobody can be answered: not a machine that was plugged in.
            return After::Stay;
        }
        let link = self.peer.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut batch) = link.as_ref().and_then(Link::enter) {
            (0..count).for_each(|index| batch.frame(bench.datagrams.get(index)));
        }
        After::Stay
    }
}

/// The peers of a switch, by the names of their sockets' files.
pub(crate) type Peers = Arc<Mutex<HashMap<OsString, Arc<Peer>>>>;

/// Sees when a machine makes its socket: it may listen long before it speaks.
#[derive(Debug)]
pub(crate) struct PeerWatch {
    notices: OwnedFd,
    peers: Peers,
}

impl PeerWatch {
    /// Watches the directory that the machines' sockets are in.
    ///
    /// # Errors
    /// When the host has no more watches to give; a machine is found then by its first frame.
    pub(crate) fn new(dir: &Path, peers: Peers) -> io::Result<Self> {
        let notices = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&notices, dir, WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
        Ok(Self { notices, peers })
    }
}

impl Source for PeerWatch {
    fn fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }

    fn ready(&mut self, _: &mut Bench) -> After {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.notices, &mut buffer);
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| std::ffi::OsStr::from_bytes(name.to_bytes()));
            let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(peer) = name.and_then(|name| peers.get(name)) else { continue };
            for _ in 0..TRIES {
                match peer.connect() {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::yield_now(),
                    _ => break,
                }
            }
        }
        After::Stay
    }
}
