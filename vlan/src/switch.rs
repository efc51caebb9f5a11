//! The switch as the driver holds it: makes sockets and tells the segment; the engine does the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use driver_core::DriverError;
use driver_core::vlan::{
    CaptureEnd, CaptureId, Fault, FaultId, PacketWatch, Plug, PortStats, Station, Switch, SwitchLog,
    SwitchMaker, SwitchSetup,
};

use crate::capture::Capture;
use crate::dgram::{DgramSource, Peer, PeerWatch, Peers};
use crate::dhcp::Dhcp;
use crate::engine::Engine;
use crate::filter::{Filter, Names};
use crate::observer::{Lookout, Recorder};
use crate::port::PortHandle;
use crate::shared::Shared;
use crate::stream::StreamListener;
use crate::tap::Tap;
use crate::vde::{VdeListener, Whose};
use crate::vhost_user::VhostUser;

/// The longest path of a Unix socket.
const SOCKET_PATH: usize = 107;
/// What the longest name adds that a client gives to its socket in a VDE directory: `/.PID-NUMBER`.
const CLIENT_NAME: usize = 16;

/// Makes switches in this process, each with a thread of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches;

impl SwitchMaker for Switches {
    fn make(&self, setup: SwitchSetup) -> Result<Arc<dyn Switch>, DriverError> {
        Ok(Arc::new(UserspaceSwitch::start(setup)?))
    }
}

/// A switch in this process.
struct UserspaceSwitch {
    vlan: u32,
    dir: PathBuf,
    stations: Vec<Station>,
    log: Arc<dyn SwitchLog>,
    shared: Arc<Shared>,
    engine: Engine,
    peers: Peers,
    state: Mutex<State>,
}

/// What it has handed out.
#[derive(Debug, Default)]
struct State {
    /// Sockets and directories to be removed.
    made: Vec<PathBuf>,
    captures: u64,
    /// The threads of ports that share memory.
    vhost_user: Vec<VhostUser>,
}

impl UserspaceSwitch {
    fn start(setup: SwitchSetup) -> Result<Self, DriverError> {
        let SwitchSetup { vlan, dir, stations, seed, dhcp, log } = setup;
        let dhcp = dhcp.map(|dhcp| {
            let leases = stations.iter().map(|station| (station.mac, station.ipv4, station.machine.clone()));
            Dhcp::new(dhcp.mac, dhcp.server, Station::IPV4_PREFIX, leases.collect())
        });
        let failed = |operation, path: &Path| {
            let path = path.display().to_string();
            move |source| DriverError::File { operation, path, source }
        };
        let shared = Shared::new(seed, dhcp, Arc::clone(&log)).map_err(failed("start a switch in", &dir))?;
        let shared = Arc::new(shared);
        let engine = Engine::start(vlan, &shared).map_err(failed("start a switch in", &dir))?;
        let peers = Peers::default();
        match PeerWatch::new(&dir, Arc::clone(&peers)) {
            Ok(watch) => engine.add(watch),
            Err(error) => log.warning(&format!(
                "machines on datagram sockets get frames only once they have sent one: the host lends no \
                 file watches ({error})"
            )),
        }
        let switch =
            Self { vlan, dir, stations, log, shared, engine, peers, state: Mutex::new(State::default()) };
        let ctl = switch.listen(&switch.dir.join("ctl"))?;
        let whose = Whose::Host(Arc::clone(&switch.shared));
        switch.engine.add(VdeListener::new(ctl, &switch.dir, whose));
        Ok(switch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a socket of any kind at a path, and notes it.
    fn bind<S>(&self, path: &Path, bind: impl FnOnce(&Path) -> io::Result<S>) -> Result<S, DriverError> {
        let file = |source| DriverError::File {
            operation: "make the socket",
            path: path.display().to_string(),
            source,
        };
        if path.as_os_str().len() > SOCKET_PATH - CLIENT_NAME {
            let too_long = "its path is too long for sockets (choose a shorter temporary directory)";
            return Err(file(io::Error::new(io::ErrorKind::InvalidInput, too_long)));
        }
        let socket = bind(path).map_err(file)?;
        self.state().made.push(path.to_owned());
        Ok(socket)
    }

    fn listen(&self, path: &Path) -> Result<UnixListener, DriverError> {
        self.bind(path, |path| {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
    }

    /// Ends threads, sockets and captures. Can be called again.
    fn end(&self) {
        self.engine.stop();
        let vhost_user = std::mem::take(&mut self.state().vhost_user);
        drop(vhost_user);
        let mut segment = self.shared.lock();
        segment.close();
        let mut recorders = std::mem::take(&mut segment.recorders);
        drop(segment);
        for recorder in &mut recorders {
            recorder.end(|text| self.log.warning(text));
        }
        let mut state = self.state();
        // The newest first: what is in a directory before the directory. What is gone already is as it should be.
        for path in state.made.drain(..).rev() {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }

    /// Whom filters can name.
    fn names(&self) -> Names {
        let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for station in &self.stations {
            let addresses = names.entry(station.machine.clone()).or_default();
            addresses.extend([IpAddr::from(station.ipv4), IpAddr::from(station.ipv6)]);
        }
        for port in self.shared.lock().ports() {
            names.entry(port.name.clone()).or_default();
        }
        names
    }
}

#[async_trait]
impl Switch for UserspaceSwitch {
    fn vlan(&self) -> u32 {
        self.vlan
    }

    fn vde_dir(&self) -> &Path {
        &self.dir
    }

    fn plug(&self, machine: &str) -> Result<Plug, DriverError> {
        let number = self.shared.lock().add_port(machine, Some(machine));
        let port = PortHandle::new(Arc::clone(&self.shared), number);
        let path = |ending: &str| self.dir.join(format!("{number}{ending}"));
        let plug = Plug {
            stream: path(".stream"),
            dgram: path(".dgram"),
            dgram_peer: path(".peer"),
            vde: path(""),
            vhost_user: path(".vhost"),
        };

        self.bind(&plug.vde, |dir| DirBuilder::new().mode(0o700).create(dir))?;
        let vde = self.listen(&plug.vde.join("ctl"))?;
        let stream = self.listen(&plug.stream)?;
        let dgram = self.bind(&plug.dgram, |path| {
            let socket = UnixDatagram::bind(path)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let vhost_user = self.listen(&plug.vhost_user)?;
        let vhost_user = VhostUser::serve(vhost_user, port.clone()).map_err(|source| DriverError::File {
            operation: "serve the socket",
            path: plug.vhost_user.display().to_string(),
            source,
        })?;
        self.state().vhost_user.push(vhost_user);
        // The machine makes it, and leaves it behind when it is killed.
        self.state().made.push(plug.dgram_peer.clone());
        let peer = Arc::new(Peer::new(port.clone(), plug.dgram_peer.clone()));
        if let Some(name) = plug.dgram_peer.file_name() {
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            peers.insert(name.to_owned(), Arc::clone(&peer));
        }
        self.engine.add(VdeListener::new(vde, &plug.vde, Whose::Machine(port.clone())));
        self.engine.add(StreamListener::new(stream, port));
        self.engine.add(DgramSource::new(dgram, peer));
        Ok(plug)
    }

    fn tap(&self, name: &str) -> Result<(), DriverError> {
        let tap = Tap::new(name, || {
            let number = self.shared.lock().add_port(name, None);
            PortHandle::new(Arc::clone(&self.shared), number)
        });
        let tap = tap.map_err(|error| DriverError::Host {
            backend: "vlan".to_owned(),
            problem: format!("the tap device `{name}` cannot be made: {error}"),
            way_out: "run as root or with CAP_NET_ADMIN where /dev/net/tun is, or do without it".to_owned(),
        })?;
        self.engine.add(tap);
        Ok(())
    }

    fn impose(&self, fault: &Fault) -> Result<FaultId, DriverError> {
        self.shared.lock().impose(fault).map_err(DriverError::usage)
    }

    fn lift(&self, fault: FaultId) -> bool {
        self.shared.lock().lift(fault)
    }

    fn heal(&self) -> Vec<FaultId> {
        self.shared.lock().heal()
    }

    fn capture(&self, file: &Path, limit: u64) -> Result<CaptureId, DriverError> {
        let ports = self.shared.lock().port_names();
        let path = file.display().to_string();
        // Frames pass meanwhile: the disk may be slow.
        let mut capture = Capture::create(file, limit, &ports).map_err(|source| DriverError::File {
            operation: "begin the capture",
            path: path.clone(),
            source,
        })?;
        let id = {
            let mut state = self.state();
            state.captures += 1;
            CaptureId(state.captures)
        };
        let mut segment = self.shared.lock();
        for (number, name) in &segment.port_names()[ports.len()..] {
            capture.add_port(*number, name);
        }
        segment.recorders.push(Recorder { id, path, capture });
        Ok(id)
    }

    fn end_capture(&self, capture: CaptureId) -> Option<CaptureEnd> {
        let mut segment = self.shared.lock();
        let index = segment.recorders.iter().position(|recorder| recorder.id == capture)?;
        let mut recorder = segment.recorders.remove(index);
        drop(segment);
        Some(recorder.end(|text| self.log.warning(text)))
    }

    fn stats(&self) -> Vec<PortStats> {
        self.shared.lock().ports().iter().map(|port| port.stats()).collect()
    }

    fn watch(&self, filter: &str) -> Result<Box<dyn PacketWatch>, DriverError> {
        let filter = Filter::parse(filter, &self.names()).map_err(DriverError::usage)?;
        let (lookout, watch) = Lookout::new(filter);
        self.shared.lock().lookouts.push(lookout);
        Ok(Box::new(watch))
    }

    async fn close(&self) {
        // Threads of our own that wait for nothing end within one batch of frames.
        self.end();
    }
}

impl Drop for UserspaceSwitch {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for UserspaceSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserspaceSwitch")
            .field("vlan", &self.vlan)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
