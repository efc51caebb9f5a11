//! From the description of a run to switches that run and machines that are plugged in.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use super::address::dhcp_server;
use super::{Nic, Station, SwitchLog, SwitchMaker, SwitchSetup, Vlan};
use crate::driver::{DriverConfig, VlanConfig};
use crate::error::DriverError;
use crate::event::{Event, Level, ScopeKind};
use crate::journal::{Journal, current_scope};

/// The VLANs of a run, and who is on them.
#[derive(Debug)]
pub(crate) struct Setup {
    maker: Option<Arc<dyn SwitchMaker>>,
    vlans: Vec<VlanConfig>,
    stations: Vec<Station>,
    seed: u64,
}

impl Setup {
    /// Finds what VLANs there are: those that a machine is on, and those that are described themselves. The
    /// machines are sorted by name.
    pub(crate) fn new(config: &DriverConfig) -> Result<Self, DriverError> {
        let mut vlans: BTreeMap<u32, VlanConfig> =
            config.vlans.iter().map(|vlan| (vlan.number, vlan.clone())).collect();
        let mut stations: Vec<Station> = Vec::new();
        for (machine, number) in config.machines.iter().zip(1..) {
            for &vlan in &machine.vlans {
                let station = Station::new(vlan, &machine.name, number)?;
                if stations.contains(&station) {
                    let message = format!("machine `{}` is on VLAN {vlan} more than once", machine.name);
                    return Err(DriverError::usage(message));
                }
                stations.push(station);
                vlans.entry(vlan).or_insert_with(|| VlanConfig::new(vlan));
            }
        }
        let vlans = vlans.into_values().collect();
        let seed = config.seed.unwrap_or_else(new_seed);
        Ok(Self { maker: config.switches.clone(), vlans, stations, seed })
    }

    /// All machines on all VLANs: by the machine's name, then in the order of its cards.
    pub(crate) fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// Starts the switches, below `run_dir`.
    pub(crate) fn start(
        &self,
        journal: &Journal,
        run_dir: &Path,
        out_dir: &Path,
    ) -> Result<Vec<Arc<Vlan>>, DriverError> {
        if self.vlans.is_empty() {
            return Ok(Vec::new());
        }
        let heading = "start all VLans";
        let scope = journal.open_scope(current_scope(), None, ScopeKind::Step, heading, None);
        let say = |text| journal.emit_in(scope.id(), None, Event::Log { level: Level::Info, text });
        say(format!("the seed of the networks' faults is {} (--seed repeats it)", self.seed));
        let mut started = Vec::new();
        let result = self.vlans.iter().try_for_each(|config| {
            say("start vlan".to_owned());
            if let Some(tap) = &config.tap {
                say(format!("creating tap interface {tap}"));
            }
            let vlan = self.start_one(config, journal, run_dir, out_dir)?;
            let (pid, dir) = (std::process::id(), vlan.socket_dir().display());
            say(format!("running vlan (pid {pid}; ctl {dir})"));
            started.push(vlan);
            Ok(())
        });
        journal.close_scope(&scope, result.as_ref().err().map(DriverError::chain));
        result.map(|()| started)
    }

    fn start_one(
        &self,
        config: &VlanConfig,
        journal: &Journal,
        run_dir: &Path,
        out_dir: &Path,
    ) -> Result<Arc<Vlan>, DriverError> {
        let maker = self.maker.as_ref().ok_or_else(|| {
            let message = "nobody makes switches for VLANs (set `DriverConfig::switches`)";
            DriverError::usage(message)
        })?;
        // Short: the path of a Unix socket has at most 107 bytes.
        let dir = run_dir.join(format!("v{}", config.number));
        DirBuilder::new().mode(0o700).create(&dir).map_err(|source| DriverError::File {
            operation: "make",
            path: dir.display().to_string(),
            source,
        })?;
        let stations: Vec<Station> =
            self.stations.iter().filter(|station| station.vlan == config.number).cloned().collect();
        let machines = stations.iter().map(|station| station.machine.clone()).collect();
        let seed = config.seed.unwrap_or_else(|| mixed(self.seed, u64::from(config.number)));
        let log = Arc::new(VlanLog { vlan: config.number, journal: journal.clone() });
        let dhcp = config.dhcp.then(|| dhcp_server(config.number)).transpose()?;
        let switch = maker.make(SwitchSetup { vlan: config.number, dir, stations, seed, dhcp, log })?;
        if let Some(tap) = &config.tap {
            switch.tap(tap)?;
        }
        let vlan = Vlan::new(config.clone(), switch, machines, seed, journal.clone(), out_dir.to_owned());
        if config.capture {
            vlan.start_capture(None, None)?;
        }
        Ok(Arc::new(vlan))
    }

    /// Plugs all cards of a machine in.
    pub(crate) fn plug(&self, machine: &str, vlans: &[Arc<Vlan>]) -> Result<Vec<Nic>, DriverError> {
        let mut nics = Vec::new();
        for station in self.stations.iter().filter(|station| station.machine == machine) {
            if let Some(vlan) = vlans.iter().find(|vlan| vlan.number() == station.vlan) {
                let plug = vlan.switch().plug(machine)?;
                nics.push(Nic { vlan: station.vlan, mac: station.mac, plug });
            }
        }
        Ok(nics)
    }
}

/// A seed that nobody chose; short enough to be typed.
fn new_seed() -> u64 {
    RandomState::new().hash_one(std::process::id()) & u64::from(u32::MAX)
}

/// The `number`-th seed that comes from `seed`, as short as [`new_seed`]; splitmix64. It is fixed for ever: what
/// a seed did once it does again.
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    let step = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bits = seed.wrapping_add(step);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) & u64::from(u32::MAX)
}

/// What a switch says goes into the run's log.
struct VlanLog {
    vlan: u32,
    journal: Journal,
}

impl SwitchLog for VlanLog {
    fn info(&self, text: &str) {
        self.journal.log(Level::Info, None, format!("vlan {}: {text}", self.vlan));
    }

    fn warning(&self, text: &str) {
        self.journal.log(Level::Warning, None, format!("vlan {}: {text}", self.vlan));
    }
}

impl fmt::Debug for VlanLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VlanLog").field("vlan", &self.vlan).finish_non_exhaustive()
    }
}
