//! Switches that carry nothing: they keep what they are told, and see the packets that a test lets pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::vlan::{
    Between, CaptureEnd, CaptureId, Fault, FaultId, FaultKind, Packet, PacketWatch, Plug, PortStats, Switch,
    SwitchMaker, SwitchSetup,
};

/// Makes switches that carry nothing. Clones share their switches.
#[derive(Debug, Clone, Default)]
pub struct FakeSwitches {
    made: Arc<Mutex<BTreeMap<u32, Arc<FakeSwitch>>>>,
}

impl FakeSwitches {
    /// The switch of a VLAN, once a driver has had it made.
    #[must_use]
    pub fn switch(&self, vlan: u32) -> Option<Arc<FakeSwitch>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&vlan).cloned()
    }
}

impl SwitchMaker for FakeSwitches {
    fn make(&self, setup: SwitchSetup) -> Result<Arc<dyn Switch>, DriverError> {
        let vlan = setup.vlan;
        let switch =
            Arc::new(FakeSwitch { setup, state: Mutex::default(), packets: watch::Sender::default() });
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(vlan, Arc::clone(&switch));
        Ok(switch)
    }
}

/// A switch that carries nothing. A filter fits the packets whose summary it is part of; an empty one is refused.
#[derive(Debug)]
pub struct FakeSwitch {
    setup: SwitchSetup,
    state: Mutex<State>,
    packets: watch::Sender<Vec<Packet>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    machines: Vec<String>,
    taps: Vec<String>,
    faults: BTreeMap<FaultId, Fault>,
    captures: BTreeMap<CaptureId, (PathBuf, u64)>,
    all_fit: bool,
    closed: bool,
}

impl FakeSwitch {
    /// What it was made of.
    #[must_use]
    pub fn setup(&self) -> &SwitchSetup {
        &self.setup
    }

    /// The machines whose cards are plugged in, in that order.
    #[must_use]
    pub fn machines(&self) -> Vec<String> {
        self.state().machines.clone()
    }

    /// The tap devices that are connected.
    #[must_use]
    pub fn taps(&self) -> Vec<String> {
        self.state().taps.clone()
    }

    /// The faults that are on.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.state().faults.values().cloned().collect()
    }

    /// Whether it has been ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Lets a frame of a hundred bytes pass.
    pub fn pass(&self, port: &str, summary: &str) {
        let packet = Packet {
            after: Duration::ZERO,
            port: port.to_owned(),
            length: 100,
            summary: summary.to_owned(),
            head: summary.as_bytes().to_vec(),
        };
        self.packets.send_modify(|packets| packets.push(packet));
    }

    /// From now on, whoever looks out for a packet sees one that fits at once.
    pub fn let_all_fit(&self) {
        self.state().all_fit = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn check(&self, fault: &Fault) -> Result<(), DriverError> {
        let groups: Vec<&Vec<String>> = match (&fault.kind, &fault.between) {
            (FaultKind::Partition { groups }, _) => groups.iter().collect(),
            (_, Between::All) => Vec::new(),
            (_, Between::OneWay(some, others) | Between::BothWays(some, others)) => vec![some, others],
        };
        match groups.into_iter().flatten().find(|machine| !self.machines.contains(machine)) {
            None => Ok(()),
            Some(unknown) => Err(DriverError::usage(format!("machine `{unknown}` has no port here"))),
        }
    }
}

#[async_trait]
impl Switch for FakeSwitch {
    fn vlan(&self) -> u32 {
        self.setup.vlan
    }

    fn vde_dir(&self) -> &Path {
        &self.setup.dir
    }

    fn plug(&self, machine: &str) -> Result<Plug, DriverError> {
        self.state().machines.push(machine.to_owned());
        let path = |kind: &str| self.setup.dir.join(format!("{machine}.{kind}"));
        Ok(Plug {
            stream: path("stream"),
            dgram: path("dgram"),
            dgram_peer: path("peer"),
            vde: path("vde"),
            vhost_user: path("vhost"),
        })
    }

    fn tap(&self, name: &str) -> Result<(), DriverError> {
        self.state().taps.push(name.to_owned());
        Ok(())
    }

    fn impose(&self, fault: &Fault) -> Result<FaultId, DriverError> {
        let mut state = self.state();
        state.check(fault)?;
        let id = FaultId(state.number());
        state.faults.insert(id, fault.clone());
        Ok(id)
    }

    fn lift(&self, fault: FaultId) -> bool {
        self.state().faults.remove(&fault).is_some()
    }

    fn heal(&self) -> Vec<FaultId> {
        std::mem::take(&mut self.state().faults).into_keys().collect()
    }

    fn capture(&self, file: &Path, limit: u64) -> Result<CaptureId, DriverError> {
        std::fs::write(file, []).map_err(|source| DriverError::File {
            operation: "create",
            path: file.display().to_string(),
            source,
        })?;
        let mut state = self.state();
        let id = CaptureId(state.number());
        state.captures.insert(id, (file.to_owned(), limit));
        Ok(id)
    }

    fn end_capture(&self, capture: CaptureId) -> Option<CaptureEnd> {
        let (_, limit) = self.state().captures.remove(&capture)?;
        let frames = u64::try_from(self.packets.borrow().len()).unwrap_or(u64::MAX);
        let fitting = frames.min(limit / 100);
        Some(CaptureEnd { frames: fitting, left_out: frames - fitting, bytes: 100 * fitting })
    }

    fn stats(&self) -> Vec<PortStats> {
        let packets = self.packets.borrow();
        let sent = |machine: &String| {
            let frames = packets.iter().filter(|packet| packet.port == *machine).count();
            u64::try_from(frames).unwrap_or(u64::MAX)
        };
        let machines = self.machines();
        let stats = machines.iter().map(|machine| PortStats {
            port: machine.clone(),
            machine: Some(machine.clone()),
            kind: None,
            sent_frames: sent(machine),
            sent_bytes: 100 * sent(machine),
            received_frames: 0,
            received_bytes: 0,
            dropped_full: 0,
            dropped_by_fault: 0,
            malformed: 0,
        });
        stats.collect()
    }

    fn watch(&self, filter: &str) -> Result<Box<dyn PacketWatch>, DriverError> {
        if filter.is_empty() {
            return Err(DriverError::usage("the filter is empty"));
        }
        let packets = self.packets.subscribe();
        let from = packets.borrow().len();
        if self.state().all_fit {
            self.pass(self.machines().first().map_or("host", String::as_str), filter);
        }
        Ok(Box::new(FakeWatch { filter: filter.to_owned(), packets, from }))
    }

    async fn close(&self) {
        self.state().closed = true;
    }
}

#[derive(Debug)]
struct FakeWatch {
    filter: String,
    packets: watch::Receiver<Vec<Packet>>,
    /// How many had passed before.
    from: usize,
}

#[async_trait]
impl PacketWatch for FakeWatch {
    async fn seen(&mut self, within: Deadline) -> Option<Packet> {
        let fits = |packet: &&Packet| packet.summary.contains(&self.filter);
        let found = |packets: &Vec<Packet>| packets.iter().skip(self.from).find(fits).cloned();
        let waited = self.packets.wait_for(|packets| found(packets).is_some());
        let packets = tokio::time::timeout_at(within.instant(), waited).await.ok()?.ok()?;
        found(&packets)
    }

    fn missed(&self) -> Option<Packet> {
        self.packets.borrow().iter().skip(self.from).last().cloned()
    }
}
