//! A switch in a fresh directory, and machines that are nothing but sockets.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use driver_core::DriverError;
use driver_core::vlan::{Plug, PortStats, Switch, SwitchLog, SwitchMaker, SwitchSetup};
use vlan::Switches;

/// How long a test waits for what has to come.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Keeps what a switch says.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<String>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("the host plays along").clone()
    }
}

impl SwitchLog for Log {
    fn info(&self, text: &str) {
        self.0.lock().expect("the host plays along").push(text.to_owned());
    }

    fn warning(&self, text: &str) {
        self.0.lock().expect("the host plays along").push(format!("warning: {text}"));
    }
}

/// A switch and where it lives.
pub(crate) struct Bed {
    pub(crate) switch: Arc<dyn Switch>,
    pub(crate) log: Arc<Log>,
    pub(crate) dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("the host plays along");
        let (switch, log) = Self::try_in(dir.path()).expect("a switch starts");
        Self { switch, log, dir }
    }

    /// A switch that lives in a directory.
    pub(crate) fn try_in(dir: &Path) -> Result<(Arc<dyn Switch>, Arc<Log>), DriverError> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let log = Arc::new(Log::default());
        let setup = SwitchSetup {
            // Tests know by it the thread that is theirs.
            vlan: NUMBER.fetch_add(1, Ordering::Relaxed),
            dir: dir.to_owned(),
            stations: Vec::new(),
            seed: 1,
            dhcp: None,
            log: log.clone(),
        };
        Ok((Switches.make(setup)?, log))
    }

    /// Plugs a machine in by a stream socket.
    pub(crate) fn stream(&self, machine: &str) -> Stream {
        Stream::connect(&self.switch.plug(machine).expect("the host plays along"), self)
    }

    pub(crate) fn stats(&self, port: &str) -> PortStats {
        self.switch.stats().into_iter().find(|stats| stats.port == port).expect("there is such a port")
    }

    /// Waits until the statistics of a port are as they should be.
    pub(crate) fn until(&self, port: &str, what: impl Fn(&PortStats) -> bool) -> PortStats {
        let start = Instant::now();
        loop {
            let stats = self.switch.stats().into_iter().find(|stats| stats.port == port);
            if let Some(stats) = stats.as_ref().filter(|stats| what(stats)) {
                return stats.clone();
            }
            assert!(start.elapsed() < LONG, "it never came to that: {stats:?}");
            std::thread::yield_now();
        }
    }
}

/// The address of a machine's card.
pub(crate) fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0x12, 1, number]
}

/// Everybody's address.
pub(crate) const ALL: [u8; 6] = [0xff; 6];

/// A frame with a text in it.
pub(crate) fn frame(to: [u8; 6], from: [u8; 6], text: &str) -> Vec<u8> {
    [&to[..], &from, &[0x88, 0xb5], text.as_bytes()].concat()
}

/// What is common to machines of all kinds.
pub(crate) trait Machine {
    fn send(&self, frame: &[u8]);
    /// The next frame; `None` when none has come for so long.
    fn next_within(&mut self, time: Duration) -> Option<Vec<u8>>;

    /// The text of the next frame.
    fn text(&mut self) -> String {
        let frame = self.next_within(LONG).expect("a frame comes");
        String::from_utf8_lossy(&frame[14..]).into_owned()
    }
}

/// A machine at a stream socket.
pub(crate) struct Stream {
    pub(crate) socket: UnixStream,
    received: Vec<u8>,
}

impl Stream {
    pub(crate) fn connect(plug: &Plug, bed: &Bed) -> Self {
        let connected = |bed: &Bed| -> u64 {
            bed.switch.stats().iter().filter(|port| port.kind.is_some()).count() as u64
        };
        let before = connected(bed);
        let socket = UnixStream::connect(&plug.stream).expect("the host plays along");
        let start = Instant::now();
        while connected(bed) == before {
            assert!(start.elapsed() < LONG, "the connection is not taken");
            std::thread::yield_now();
        }
        Self::from(socket)
    }

    /// Sends bytes that need not be a frame.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        (&self.socket).write_all(bytes).expect("the host plays along");
    }

    /// Waits until the switch has hung up.
    pub(crate) fn is_hung_up(&mut self) -> bool {
        self.socket.set_read_timeout(Some(LONG)).expect("the host plays along");
        // Reset, when it has not read all that was sent.
        let read = (&self.socket).read(&mut [0; 1]);
        read.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |count| count == 0)
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self { socket, received: Vec::new() }
    }
}

impl Machine for Stream {
    fn send(&self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("the host plays along").to_be_bytes();
        self.raw(&[&length[..], frame].concat());
    }

    fn next_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(time)).expect("the host plays along");
        loop {
            if let Some(length) = self.received.first_chunk::<4>() {
                let end = 4 + u32::from_be_bytes(*length) as usize;
                if self.received.len() >= end {
                    return Some(self.received.drain(..end).skip(4).collect());
                }
            }
            let mut buffer = [0; 70_000];
            match (&self.socket).read(&mut buffer) {
                Ok(0) => panic!("the switch has hung up"),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A machine at a datagram socket, which it never connects: QEMU does not either.
pub(crate) struct Dgram {
    pub(crate) socket: UnixDatagram,
    switch: PathBuf,
}

impl Dgram {
    pub(crate) fn connect(plug: &Plug) -> Self {
        let socket = UnixDatagram::bind(&plug.dgram_peer).expect("the host plays along");
        Self { socket, switch: plug.dgram.clone() }
    }
}

impl Machine for Dgram {
    fn send(&self, frame: &[u8]) {
        self.socket.send_to(frame, &self.switch).expect("the host plays along");
    }

    fn next_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(time)).expect("the host plays along");
        let mut buffer = [0; 70_000];
        match self.socket.recv(&mut buffer) {
            Ok(count) => Some(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A request of the VDE protocol.
pub(crate) fn vde_request(magic: u32, version: u32, kind: u32, path: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    for number in [magic, version, kind] {
        request.extend(number.to_ne_bytes());
    }
    request.extend(1_u16.to_ne_bytes());
    let mut address = path.to_vec();
    address.resize(108, 0);
    request.extend(address);
    request.extend(b"a test");
    request
}

/// A machine at a VDE socket.
pub(crate) struct Vde {
    _control: UnixStream,
    data: UnixDatagram,
}

impl Vde {
    pub(crate) fn connect(dir: &Path, name: &str) -> Self {
        let control = UnixStream::connect(dir.join("ctl")).expect("the host plays along");
        control.set_read_timeout(Some(LONG)).expect("the host plays along");
        let path = dir.join(name);
        let data = UnixDatagram::bind(&path).expect("the host plays along");
        let request = vde_request(0xfeed_face, 3, 0, path.as_os_str().as_encoded_bytes());
        (&control).write_all(&request).expect("the host plays along");
        let mut reply = [0; 110];
        (&control).read_exact(&mut reply).expect("the host plays along");
        let end = reply[2..].iter().position(|byte| *byte == 0).expect("the host plays along");
        let switch = std::str::from_utf8(&reply[2..2 + end]).expect("a path in the reply");
        data.connect(switch).expect("the host plays along");
        Self { _control: control, data }
    }
}

impl Machine for Vde {
    fn send(&self, frame: &[u8]) {
        self.data.send(frame).expect("the host plays along");
    }

    fn next_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.data.set_read_timeout(Some(time)).expect("the host plays along");
        let mut buffer = [0; 70_000];
        match self.data.recv(&mut buffer) {
            Ok(count) => Some(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}
