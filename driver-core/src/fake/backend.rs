//! The backend itself: which machines play what, and what the host is said to be able to do.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::handle::{FakeHandle, Slot};
use super::machine::FakeMachine;
use super::play::Play;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::{Backend, Capabilities, Machine, MachineLog};
use crate::spec::{Boot, MachineSpec};

/// Launches machines that play. Clones share their machines.
#[derive(Debug, Clone)]
pub struct FakeBackend {
    capabilities: Capabilities,
    host_problem: Option<(String, String)>,
    slots: Arc<Mutex<HashMap<String, Arc<Slot>>>>,
}

impl Default for FakeBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeBackend {
    /// A backend with every facet, on a host that can run it. Machines boot to an empty shell unless
    /// [`FakeBackend::with_play`] says what they do.
    #[must_use]
    pub fn new() -> Self {
        let capabilities = Capabilities {
            screen: true,
            keyboard: true,
            pointer: true,
            monitor: true,
            power: true,
            ..Capabilities::default()
        };
        Self { capabilities, host_problem: None, slots: Arc::default() }
    }

    /// With other facets.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// On a host that cannot run it.
    #[must_use]
    pub fn with_host_problem(mut self, problem: &str, way_out: &str) -> Self {
        self.host_problem = Some((problem.to_owned(), way_out.to_owned()));
        self
    }

    /// What the machine `name` does from its next launch on.
    #[must_use]
    pub fn with_play(self, name: &str, play: Play) -> Self {
        *self.slot(name).play.lock().unwrap_or_else(PoisonError::into_inner) = play;
        self
    }

    /// The hand on the machine `name`, launched or not.
    #[must_use]
    pub fn handle(&self, name: &str) -> FakeHandle {
        FakeHandle { slot: self.slot(name) }
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(name.to_owned()).or_insert_with(|| Arc::new(Slot::new(name, Play::default())));
        Arc::clone(slot)
    }
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn probe(&self) -> Result<(), DriverError> {
        match &self.host_problem {
            None => Ok(()),
            Some((problem, way_out)) => Err(DriverError::Host {
                backend: self.name().to_owned(),
                problem: problem.clone(),
                way_out: way_out.clone(),
            }),
        }
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let mut files: Vec<(&str, &Path)> =
            spec.boot.disks().iter().map(|disk| ("disk", disk.path.as_path())).collect();
        if let Boot::Kernel { kernel, initrd, .. } = &spec.boot {
            files.push(("kernel", kernel));
            files.extend(initrd.as_ref().map(|initrd| ("initrd", initrd.as_path())));
        }
        match files.into_iter().find(|(_, path)| !path.exists()) {
            None => Ok(()),
            Some((what, path)) => Err(DriverError::Launch {
                machine: spec.name.clone(),
                problem: format!("its {what} `{}` is not there", path.display()),
                way_out: "correct the path, or make the file".to_owned(),
            }),
        }
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        _within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let slot = self.slot(&spec.name);
        slot.note(|record| record.launches += 1);
        let play = slot.play.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(exit) = play.refusal {
            let during = Some("starting it".to_owned());
            return Err(DriverError::Exited { machine: spec.name.clone(), exit, during });
        }
        Ok(Arc::new(FakeMachine::launch(spec, slot, play, self.capabilities, log)?))
    }
}
