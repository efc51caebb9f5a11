//! The segment itself: its ports, and where each frame goes. It does no I/O of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use driver_core::vlan::SwitchLog;

use crate::port::{Kind, Malformed, Outlet, Plugged, Port};
use crate::table::MacTable;

/// A segment that several threads bring frames to.
pub(crate) struct Shared {
    segment: Mutex<Segment>,
}

impl Shared {
    pub(crate) fn new(segment: Segment) -> Self {
        Self { segment: Mutex::new(segment) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Segment> {
        // Somebody's panic leaves counters that may be off by one frame: no reason to stop the others.
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one port, which may be the one that it came from.
    To(usize),
    /// To all others.
    All,
}

/// The ports of a VLAN.
pub(crate) struct Segment {
    vlan: u32,
    log: Arc<dyn SwitchLog>,
    ports: Vec<Port>,
    /// The ports that somebody is plugged into.
    plugged: Vec<usize>,
    /// The ports with frames that are to be flushed.
    touched: Vec<usize>,
    table: MacTable,
    generations: u64,
}

impl Segment {
    pub(crate) fn new(vlan: u32, log: Arc<dyn SwitchLog>) -> Self {
        Self {
            vlan,
            log,
            ports: Vec::new(),
            plugged: Vec::new(),
            touched: Vec::new(),
            table: MacTable::default(),
            generations: 0,
        }
    }

    /// Adds a port named `base`, or `base-2` and so on when there is one already.
    pub(crate) fn add_port(&mut self, base: &str, machine: Option<&str>) -> usize {
        let taken = |name: &String| self.ports.iter().any(|port| port.name == *name);
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.to_owned())
            .chain(numbered)
            .find(|name| !taken(name))
            .unwrap_or_else(|| base.to_owned());
        self.ports.push(Port::new(name, machine.map(str::to_owned)));
        self.ports.len() - 1
    }

    pub(crate) fn port(&self, number: usize) -> &Port {
        &self.ports[number]
    }

    pub(crate) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Plugs somebody in and returns what tells this connection from others.
    pub(crate) fn connect(&mut self, number: usize, kind: Kind, outlet: Box<dyn Outlet>) -> u64 {
        self.unplug(number);
        self.generations += 1;
        let generation = self.generations;
        self.ports[number].plugged = Some(Plugged { generation, kind, outlet });
        self.plugged.push(number);
        generation
    }

    /// Pulls the plug of a connection, unless somebody else has the port by now.
    pub(crate) fn disconnect(&mut self, number: usize, generation: u64) {
        let plugged = self.ports[number].plugged.as_ref();
        if plugged.is_some_and(|plugged| plugged.generation == generation) {
            self.unplug(number);
        }
    }

    fn unplug(&mut self, number: usize) {
        self.ports[number].plugged = None;
        self.plugged.retain(|other| *other != number);
        self.table.forget(number);
    }

    /// Counts what was no frame, and warns of the first of its kind.
    pub(crate) fn malformed(&mut self, number: usize, what: Malformed) {
        if let Some(warning) = self.ports[number].malformed(what) {
            self.log.warning(&format!("vlan {}: {warning}", self.vlan));
        }
    }

    /// Learns where a frame comes from, and looks up where it goes. `addresses` is how a frame begins.
    pub(crate) fn route(&mut self, from: usize, addresses: &[u8; 12]) -> Route {
        let now = Instant::now();
        let [a, b, c, d, e, f, source @ ..] = *addresses;
        self.table.learn(source, from, now);
        self.table.find([a, b, c, d, e, f], now).map_or(Route::All, Route::To)
    }

    /// Delivers a frame that came from a port.
    pub(crate) fn forward(&mut self, from: usize, route: Route, frame: &[u8]) {
        let counts = &mut self.ports[from].counts;
        counts.sent_frames += 1;
        counts.sent_bytes += frame.len() as u64;
        match route {
            Route::To(to) if to != from => {
                self.deliver(to, frame);
            }
            Route::To(_) => {}
            Route::All => {
                for index in 0..self.plugged.len() {
                    let to = self.plugged[index];
                    if to != from {
                        self.deliver(to, frame);
                    }
                }
            }
        }
    }

    /// Hands a frame to a port's outlet; `false` when it was lost for want of room.
    fn deliver(&mut self, to: usize, frame: &[u8]) -> bool {
        let port = &mut self.ports[to];
        let Some(plugged) = &mut port.plugged else { return true };
        if !port.touched {
            port.touched = true;
            self.touched.push(to);
        }
        let taken = plugged.outlet.deliver(frame);
        if taken {
            port.counts.received_frames += 1;
            port.counts.received_bytes += frame.len() as u64;
        } else {
            port.counts.dropped_full += 1;
        }
        taken
    }

    /// Lets all outlets send that have been given frames.
    pub(crate) fn flush(&mut self) {
        while let Some(number) = self.touched.pop() {
            let port = &mut self.ports[number];
            port.touched = false;
            if port.plugged.as_mut().is_some_and(|plugged| plugged.outlet.flush().is_err()) {
                self.unplug(number);
            }
        }
    }

    /// An outlet's socket has room again.
    pub(crate) fn writable(&mut self, number: usize, generation: u64) {
        let Some(plugged) = &mut self.ports[number].plugged else { return };
        if plugged.generation == generation && plugged.outlet.writable().is_err() {
            self.unplug(number);
        }
    }
}
