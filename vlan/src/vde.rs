//! Ports of VDE 2: a client asks at the stream socket `ctl` of a directory, names its datagram socket, and is told
//! ours. Frames are datagrams between the two; the first connection stays open for as long as the port is used.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::engine::{After, Bench, Source};
use crate::outlet::{PacketOutlet, Packets};
use crate::port::{Kind, Link, Malformed, PortHandle};
use crate::shared::Shared;

/// A request up to the client's address: magic, version, type, address. A description for people follows.
const REQUEST: usize = 12 + ADDRESS;
/// A `sockaddr_un`: the family and a path that ends with a zero.
const ADDRESS: usize = 2 + PATH;
const PATH: usize = 108;
const MAGIC: u32 = 0xfeed_face;
const VERSION: u32 = 3;
/// The types of requests: a port, and a port of a managed switch. The upper three bytes wish for a number.
const TYPES: [u32; 2] = [0, 1];
/// How many may be connected to one directory.
const CONNECTIONS: usize = 64;

/// Whose port it is that a client gets.
#[derive(Clone)]
pub(crate) enum Whose {
    /// A card of a machine. Whoever asks last has the port.
    Machine(PortHandle),
    /// Anybody's; each client has a port of its own.
    Host(Arc<Shared>),
}

impl Whose {
    fn port(&self) -> Option<PortHandle> {
        match self {
            Self::Machine(port) => Some(port.clone()),
            Self::Host(shared) => shared.host_port(),
        }
    }

    fn warn(&self, text: &str) {
        match self {
            Self::Machine(port) => port.warn(text),
            Self::Host(shared) => shared.warn(text),
        }
    }

    fn malformed(&self) {
        match self {
            Self::Machine(port) => port.malformed(Malformed::Protocol),
            Self::Host(shared) => shared.lock().stranger(),
        }
    }
}

/// The socket `ctl` of a directory.
pub(crate) struct VdeListener {
    listener: UnixListener,
    dir: Arc<Path>,
    whose: Whose,
    /// Names the sockets that are made.
    made: u64,
    /// As many as there are connections, and one.
    connections: Arc<()>,
    /// Whether it was said that there are too many.
    is_told: bool,
}

impl VdeListener {
    /// `listener` must not block.
    pub(crate) fn new(listener: UnixListener, dir: &Path, whose: Whose) -> Self {
        Self { listener, dir: dir.into(), whose, made: 0, connections: Arc::new(()), is_told: false }
    }

    fn turn_away(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.whose.warn(&format!(
                "VDE clients are turned away: {CONNECTIONS} are connected to `{}`",
                self.dir.display()
            ));
        }
    }
}

impl Source for VdeListener {
    fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let accepted = self.listener.accept().and_then(|(socket, _)| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match accepted {
            Ok(_) if Arc::strong_count(&self.connections) > CONNECTIONS => self.turn_away(),
            Ok(socket) => {
                self.made += 1;
                bench.add(Control {
                    socket,
                    request: Vec::new(),
                    whose: self.whose.clone(),
                    data: self.dir.join(format!("data{}", self.made)),
                    link: None,
                    _connection: Arc::clone(&self.connections),
                });
            }
            Err(error) => match &self.whose {
                Whose::Machine(port) => return port.not_accepted(&error),
                Whose::Host(shared) => return shared.not_accepted(&error),
            },
        }
        After::Stay
    }
}

/// A client's life line.
struct Control {
    socket: UnixStream,
    /// What has come of the request.
    request: Vec<u8>,
    whose: Whose,
    /// Where our datagram socket will be.
    data: PathBuf,
    link: Option<Arc<Link>>,
    _connection: Arc<()>,
}

impl Control {
    /// Answers the request; `None` when it makes no sense or its socket is not there.
    fn answer(&mut self) -> Option<Data> {
        let client = client(self.request.first_chunk()?)?;
        let socket = UnixDatagram::bind(&self.data).ok()?;
        let file = SocketFile(self.data.clone());
        socket.set_nonblocking(true).ok()?;
        socket.connect(client).ok()?;
        let reply = address(&self.data)?;
        let port = self.whose.port()?;
        let line = Line { data: socket.try_clone().ok()?, control: self.socket.try_clone().ok()? };
        let outlet = PacketOutlet::new(line, port.doorbell());
        let link = Arc::new(port.connect(Kind::Vde, Box::new(outlet)));
        self.link = Some(Arc::clone(&link));
        // Its buffer is empty, and this little fits.
        self.socket.write_all(&reply).ok()?;
        Some(Data { socket, link, _file: file })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The other connection would keep the port.
        if let Some(link) = &self.link {
            link.pull();
        }
    }
}

impl Source for Control {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let wanted = if self.link.is_some() { 4096 } else { REQUEST - self.request.len() };
        let bytes = match self.socket.read(&mut bench.buffer[..wanted]) {
            Ok(0) => return After::Remove,
            Ok(count) => &bench.buffer[..count],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return After::Stay;
            }
            Err(_) => return After::Remove,
        };
        if self.link.is_some() {
            // The description, or nothing that means anything.
            return After::Stay;
        }
        self.request.extend_from_slice(bytes);
        if self.request.len() < REQUEST {
            return After::Stay;
        }
        if let Some(data) = self.answer() {
            bench.add(data);
            After::Stay
        } else {
            self.whose.malformed();
            After::Remove
        }
    }
}

/// The client's path of a request, if all is as it should be.
fn client(request: &[u8; REQUEST]) -> Option<&Path> {
    let number =
        |at: usize| request[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).unwrap_or_default();
    let family = u16::from_ne_bytes([request[12], request[13]]);
    let is_known = number(0) == MAGIC
        && number(4) == VERSION
        && TYPES.contains(&(number(8) & 0xff))
        && i32::from(family) == libc::AF_UNIX;
    let path = &request[14..];
    let end = path.iter().position(|byte| *byte == 0)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(&path[..end]));
    (is_known && path.is_absolute()).then_some(path)
}

/// The address of our own socket, as it goes over the line.
fn address(path: &Path) -> Option<[u8; ADDRESS]> {
    let mut address = [0; ADDRESS];
    let family = u16::try_from(libc::AF_UNIX).ok()?;
    address[..2].copy_from_slice(&family.to_ne_bytes());
    let path = path.as_os_str().as_bytes();
    address[2..ADDRESS - 1].get_mut(..path.len())?.copy_from_slice(path);
    Some(address)
}

/// A file that goes with its socket.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have gone with its directory.
        let _ = fs::remove_file(&self.0);
    }
}

/// Frames from a client.
struct Data {
    socket: UnixDatagram,
    link: Arc<Link>,
    _file: SocketFile,
}

impl Source for Data {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, bench: &mut Bench) -> After {
        let count = bench.datagrams.receive(&self.socket).unwrap_or(0);
        let Some(mut batch) = self.link.enter() else { return After::Remove };
        (0..count).for_each(|index| batch.frame(bench.datagrams.get(index)));
        After::Stay
    }
}

/// Both connections with a client: one cannot be without the other.
struct Line {
    data: UnixDatagram,
    control: UnixStream,
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.data.as_fd()
    }
}

impl Packets for Line {
    fn send(&self, bytes: &[u8], lengths: &std::collections::VecDeque<usize>) -> io::Result<usize> {
        Packets::send(&self.data, bytes, lengths)
    }

    fn hang_up(&self) {
        // Fail only when the client has ended them.
        let _ = self.control.shutdown(Shutdown::Both);
        let _ = self.data.shutdown(Shutdown::Both);
    }
}
