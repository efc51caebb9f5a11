//! A VLAN as a test sees it, and its faults: each is imposed here, and told to the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recording::Recordings;
use super::setup::mixed;
use super::{Between, Fault, FaultId, FaultKind, PortStats, Switch};
use crate::driver::VlanConfig;
use crate::error::DriverError;
use crate::event::{Event, Level};
use crate::journal::Journal;

/// A VLAN of the run: a handle on its switch. Clones of the [`Arc`] around it are the same VLAN.
///
/// ```no_run
/// # async fn test(driver: &driver_core::Driver) -> driver_core::TestResult {
/// # use std::time::Duration;
/// use driver_core::vlan::Fault;
///
/// let (client, vlan) = (driver.node("client").expect("a client"), driver.vlan(1).expect("a VLAN"));
/// let slow = vlan.impose(Fault::delay(Duration::from_millis(200), Duration::ZERO))?;
/// client.succeed(&["ping -c 1 server"], None).await?;
/// slow.lift();
/// # Ok(())
/// # }
/// ```
pub struct Vlan {
    config: VlanConfig,
    switch: Arc<dyn Switch>,
    /// The machines that have a card here, by name.
    machines: Vec<String>,
    seed: u64,
    pub(super) journal: Journal,
    pub(super) out_dir: PathBuf,
    faults: Mutex<Faults>,
    pub(super) recordings: Recordings,
}

/// The faults that are on.
#[derive(Debug, Default)]
struct Faults {
    on: BTreeMap<FaultId, Fault>,
    /// How many have got a seed of the VLAN's.
    seeded: u64,
}

impl Vlan {
    pub(super) fn new(
        config: VlanConfig,
        switch: Arc<dyn Switch>,
        machines: Vec<String>,
        seed: u64,
        journal: Journal,
        out_dir: PathBuf,
    ) -> Self {
        let (faults, recordings) = (Mutex::default(), Recordings::default());
        Self { config, switch, machines, seed, journal, out_dir, faults, recordings }
    }

    /// The VLAN's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.config.number
    }

    /// A directory with the socket of a VDE switch, for `vde_plug` and the like.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.switch.vde_dir()
    }

    /// The tap device of the host that is connected, if there is one.
    #[must_use]
    pub fn tap_name(&self) -> Option<&str> {
        self.config.tap.as_deref()
    }

    /// The size in bytes that the file of a capture may reach unless the test says otherwise.
    #[must_use]
    pub fn capture_limit(&self) -> u64 {
        self.config.capture_limit
    }

    /// Puts a fault on the VLAN. It is lifted when what is returned is dropped.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a machine without a card here, or numbers that make no sense.
    pub fn impose(self: &Arc<Self>, fault: Fault) -> Result<Imposed, DriverError> {
        let (id, fault) = self.impose_for_good(fault)?;
        Ok(Imposed { vlan: Some(Arc::clone(self)), id, fault })
    }

    /// Puts a fault on the VLAN that stays until somebody lifts it.
    pub(crate) fn impose_for_good(&self, fault: Fault) -> Result<(FaultId, Fault), DriverError> {
        let mut faults = self.faults();
        let own_seed = fault.seed.is_some();
        let fault = Fault {
            seed: fault.seed.or_else(|| Some(mixed(self.seed, faults.seeded))),
            ..self.among_machines(fault)
        };
        let id = self.switch.impose(&fault)?;
        faults.seeded += u64::from(!own_seed);
        faults.on.insert(id, fault.clone());
        self.journal.emit(None, Event::FaultImposed { vlan: self.number(), id, fault: fault.clone() });
        Ok((id, fault))
    }

    /// Lifts a fault; `false` when it is gone already.
    pub fn lift(&self, id: FaultId) -> bool {
        let mut faults = self.faults();
        let lifted = self.switch.lift(id);
        self.forget(&mut faults, id);
        lifted
    }

    /// Lifts all faults.
    pub fn heal(&self) {
        let mut faults = self.faults();
        for id in self.switch.heal() {
            self.forget(&mut faults, id);
        }
    }

    /// What has passed so far, port by port.
    #[must_use]
    pub fn stats(&self) -> Vec<PortStats> {
        self.switch.stats()
    }

    pub(super) fn switch(&self) -> &Arc<dyn Switch> {
        &self.switch
    }

    pub(crate) async fn close(&self) {
        self.end_recordings();
        self.journal.log(Level::Info, None, format!("kill vlan (pid {})", std::process::id()));
        self.switch.close().await;
    }

    fn forget(&self, faults: &mut Faults, id: FaultId) {
        if let Some(fault) = faults.on.remove(&id) {
            self.journal.emit(None, Event::FaultLifted { vlan: self.number(), id, fault });
        }
    }

    /// Says for "all others" who they are.
    fn among_machines(&self, mut fault: Fault) -> Fault {
        let others = |some: &[String]| -> Vec<String> {
            self.machines.iter().filter(|machine| !some.contains(machine)).cloned().collect()
        };
        match &mut fault.between {
            Between::All => {}
            Between::OneWay(some, all) | Between::BothWays(some, all) if all.is_empty() => {
                *all = others(some)
            }
            Between::OneWay(all, some) | Between::BothWays(all, some) if all.is_empty() => {
                *all = others(some)
            }
            Between::OneWay(..) | Between::BothWays(..) => {}
        }
        if let FaultKind::Partition { groups } = &mut fault.kind
            && let [only] = groups.as_slice()
        {
            let rest = others(only);
            groups.push(rest);
        }
        fault
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vlan").field("number", &self.config.number).finish_non_exhaustive()
    }
}

/// A fault that is on. Dropping it lifts the fault.
#[derive(Debug)]
#[must_use = "the fault is lifted as soon as this is dropped"]
pub struct Imposed {
    /// `None` when it is not to be lifted.
    vlan: Option<Arc<Vlan>>,
    id: FaultId,
    fault: Fault,
}

impl Imposed {
    /// What it is, with the seed that it uses.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Lifts the fault; what it holds back is delivered.
    pub fn lift(self) {}

    /// Lets the fault stay on until [`Vlan::heal`], or until [`Vlan::lift`] with the number that is returned.
    pub fn keep(mut self) -> FaultId {
        self.vlan = None;
        self.id
    }
}

impl Drop for Imposed {
    fn drop(&mut self) {
        if let Some(vlan) = &self.vlan {
            vlan.lift(self.id);
        }
    }
}
