//! The segment itself: its ports, and where each frame goes. It does no I/O of its own.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use driver_core::vlan::{Fault, FaultId, SwitchLog};

use crate::delay::DelayLine;
use crate::dhcp::Dhcp;
use crate::fault::{Fate, Faults};
use crate::observer::{Lookout, Recorder};
use crate::port::{Kind, Malformed, Outlet, Plugged, Port};
use crate::shared::Alarm;
use crate::table::MacTable;

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// To one port, which may be the one that it came from.
    To(usize),
    /// To all others.
    All,
}

/// How many ports there can be that belong to no machine.
const HOST_PORTS: usize = 64;

/// A frame that a fault holds back.
#[derive(Debug)]
struct Held {
    to: usize,
    frame: Arc<[u8]>,
}

/// The ports of a VLAN.
pub(crate) struct Segment {
    pub(crate) log: Arc<dyn SwitchLog>,
    ports: Vec<Port>,
    /// The ports that somebody is plugged into.
    plugged: Vec<usize>,
    /// The ports with frames that are to be flushed.
    touched: Vec<usize>,
    table: MacTable,
    generations: u64,
    dhcp: Option<Dhcp>,
    faults: Faults,
    held: DelayLine<Held>,
    pub(crate) alarm: Alarm,
    /// The ports that belong to no machine, used or free.
    host_ports: Vec<usize>,
    /// Whether somebody without a port has been warned of.
    strangers: bool,
    pub(crate) recorders: Vec<Recorder>,
    pub(crate) lookouts: Vec<Lookout>,
}

impl Segment {
    pub(crate) fn new(seed: u64, dhcp: Option<Dhcp>, log: Arc<dyn SwitchLog>, alarm: Alarm) -> Self {
        Self {
            log,
            ports: Vec::new(),
            plugged: Vec::new(),
            touched: Vec::new(),
            table: MacTable::default(),
            generations: 0,
            dhcp,
            faults: Faults::new(seed),
            held: DelayLine::new(),
            alarm,
            host_ports: Vec::new(),
            strangers: false,
            recorders: Vec::new(),
            lookouts: Vec::new(),
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
        let number = self.ports.len();
        self.faults.set_port(number, machine);
        for recorder in &mut self.recorders {
            recorder.capture.add_port(number, &name);
        }
        self.ports.push(Port::new(name, machine.map(str::to_owned)));
        number
    }

    /// All ports, with their numbers.
    pub(crate) fn port_names(&self) -> Vec<(usize, String)> {
        self.ports.iter().enumerate().map(|(number, port)| (number, port.name.clone())).collect()
    }

    /// A port that belongs to no machine and that nobody is plugged into; `None` when there are too many.
    pub(crate) fn host_port(&mut self) -> Option<usize> {
        let free = self.host_ports.iter().find(|number| self.ports[**number].plugged.is_none());
        if free.is_some() || self.host_ports.len() == HOST_PORTS {
            return free.copied();
        }
        let number = self.add_port("host", None);
        self.host_ports.push(number);
        Some(number)
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

    /// Pulls all plugs, and forgets who looks on.
    pub(crate) fn close(&mut self) {
        (0..self.ports.len()).for_each(|number| self.unplug(number));
        self.lookouts.clear();
    }

    fn unplug(&mut self, number: usize) {
        self.ports[number].plugged = None;
        self.plugged.retain(|other| *other != number);
        self.table.forget(number);
    }

    /// Counts what was no frame, and warns of the first of its kind.
    pub(crate) fn malformed(&mut self, number: usize, what: Malformed) {
        if let Some(warning) = self.ports[number].malformed(what) {
            self.log.warning(&warning);
        }
    }

    /// Warns, once, of somebody without a port who breaks the protocol of the VDE socket that is for all.
    pub(crate) fn stranger(&mut self) {
        if !std::mem::replace(&mut self.strangers, true) {
            self.log.warning("a client of the VDE socket breaks its protocol (the connection is ended)");
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
        if self.is_observed() {
            return self.forward_observed(from, route, frame);
        }
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
                self.serve_addresses(from, frame);
            }
        }
    }

    fn is_observed(&self) -> bool {
        !(self.faults.is_idle() && self.recorders.is_empty() && self.lookouts.is_empty())
    }

    /// As [`Segment::forward`], with all that happens to frames and all who look on.
    fn forward_observed(&mut self, from: usize, route: Route, frame: &[u8]) {
        let port = &self.ports[from];
        self.lookouts.retain_mut(|lookout| lookout.look(port, frame));
        let receivers: Vec<usize> = match route {
            Route::To(to) => vec![to],
            Route::All => self.plugged.clone(),
        };
        let now = Instant::now();
        let mut told = Vec::new();
        let mut copy: Option<Arc<[u8]>> = None;
        for to in receivers.into_iter().filter(|to| *to != from) {
            if let Some(what) = self.forward_to(from, to, frame, &mut copy, now) {
                told.push(format!("{what} on the way to {}", self.ports[to].name));
            }
        }
        self.record(from, frame, &told.join("; "));
        if route == Route::All {
            self.serve_addresses(from, frame);
        }
    }

    /// Delivers to one port what faults let through, and says what became of a frame that was lost.
    fn forward_to(
        &mut self,
        from: usize,
        to: usize,
        frame: &[u8],
        copy: &mut Option<Arc<[u8]>>,
        now: Instant,
    ) -> Option<String> {
        match self.faults.judge(from, to, frame.len(), now) {
            Fate::Pass => (!self.deliver(to, frame)).then(|| "lost in a full queue".to_owned()),
            Fate::Lost(fault) => {
                self.ports[to].counts.dropped_by_fault += 1;
                Some(format!("lost by fault {}", fault.0))
            }
            Fate::At(first, second) => {
                let frame = copy.get_or_insert_with(|| frame.into());
                let mut lost = None;
                for due in std::iter::once(first).chain(second) {
                    let held = Held { to, frame: Arc::clone(frame) };
                    if !self.held.push(due, (from, to), frame.len(), held) {
                        self.ports[to].counts.dropped_full += 1;
                        lost = Some("lost, as too much is held back already,".to_owned());
                    }
                }
                self.deliver_due(now);
                lost
            }
        }
    }

    /// Answers a machine that asks for its address. Faults are between machines, and do not concern this.
    fn serve_addresses(&mut self, from: usize, frame: &[u8]) {
        if let Some(answer) = self.dhcp.as_ref().and_then(|dhcp| dhcp.answer(frame)) {
            self.deliver(from, &answer);
            self.record(from, &answer, "from the switch's DHCP server");
        }
    }

    /// Writes a frame to all captures.
    fn record(&mut self, port: usize, frame: &[u8], comment: &str) {
        let comment = Some(comment).filter(|comment| !comment.is_empty());
        for recorder in &mut self.recorders {
            recorder.capture.frame(port, SystemTime::now(), frame, comment);
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

    /// Delivers what has been held back long enough.
    pub(crate) fn deliver_due(&mut self, now: Instant) {
        while let Some(held) = self.held.pop_due(now) {
            self.deliver(held.to, &held.frame);
        }
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
        self.alarm.set(self.held.next_due());
    }

    /// The socket of a port's outlet has room again. That of a former one may be meant: no harm.
    pub(crate) fn writable(&mut self, number: usize) {
        let plugged = self.ports[number].plugged.as_mut();
        if plugged.is_some_and(|plugged| plugged.outlet.writable().is_err()) {
            self.unplug(number);
        }
    }

    /// Puts a fault on.
    ///
    /// # Errors
    /// What makes no sense about it.
    pub(crate) fn impose(&mut self, fault: &Fault) -> Result<FaultId, String> {
        let (id, seed) = self.faults.impose(fault)?;
        let fault = Fault { seed: Some(seed), ..fault.clone() };
        self.note(&format!("fault {} is on: {fault}", id.0));
        Ok(id)
    }

    /// Takes a fault away, and delivers what it held back.
    pub(crate) fn lift(&mut self, id: FaultId) -> bool {
        let Some(fault) = self.faults.lift(id) else { return false };
        self.note(&format!("fault {} is off", id.0));
        let now = Instant::now();
        self.held.release(now, |(from, to)| self.faults.frees(&fault, from, to));
        self.deliver_due(now);
        self.flush();
        true
    }

    /// Takes all faults away, and delivers what they held back.
    pub(crate) fn heal(&mut self) -> Vec<FaultId> {
        let healed = self.faults.heal();
        if !healed.is_empty() {
            self.note("all faults are off");
        }
        let now = Instant::now();
        self.held.release(now, |_| true);
        self.deliver_due(now);
        self.flush();
        healed
    }

    /// Brings captures up to date. To be called about once a second.
    pub(crate) fn tend(&mut self) {
        for recorder in &mut self.recorders {
            recorder.capture.flush();
            recorder.tell_error(|text| self.log.warning(text));
        }
    }

    fn note(&mut self, text: &str) {
        for recorder in &mut self.recorders {
            recorder.capture.note(text);
        }
    }
}
