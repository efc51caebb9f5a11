//! A plugin's backend as a [`Backend`].

use std::ptr;
use std::sync::Arc;

use async_trait::async_trait;
use driver_core::{Backend, Capabilities, Deadline, DriverError, Exit, Machine, MachineLog, MachineSpec};
use plugin_abi::{
    BackendTable, Buf, KeyboardTable, MonitorTable, PointerTable, PowerTable, ScreenTable, Status, Str,
};
use serde::Deserialize;
use serde_json::Value;

use crate::gate::{Fault, SharedGate, milliseconds};
use crate::log::Desk;
use crate::machine::{Handle, PluginMachine};
use crate::opened::{Opaque, Opened};
use crate::outgoing::Outgoing;
use crate::table::{self, invoke};

/// Bytes of JSON that anybody reads.
pub(crate) const JSON_LIMIT: usize = 16 << 20;

/// The facets of a backend's machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facets {
    pub(crate) screen: Option<ScreenTable>,
    pub(crate) keyboard: Option<KeyboardTable>,
    pub(crate) monitor: Option<MonitorTable>,
    pub(crate) power: Option<PowerTable>,
    pub(crate) pointer: Option<PointerTable>,
}

impl Facets {
    pub(crate) fn read(table: &BackendTable) -> Result<Self, String> {
        Ok(Self {
            // SAFETY: the plugin answers for its tables being where it says; the same below.
            screen: unsafe { table::read(table.screen) }?,
            // SAFETY: as above.
            keyboard: unsafe { table::read(table.keyboard) }?,
            // SAFETY: as above.
            monitor: unsafe { table::read(table.monitor) }?,
            // SAFETY: as above.
            power: unsafe { table::read(table.power) }?,
            // SAFETY: as above.
            pointer: unsafe { table::read(table.pointer) }?,
        })
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities {
            screen: self.screen.is_some(),
            keyboard: self.keyboard.is_some(),
            monitor: self.monitor.is_some(),
            power: self.power.is_some(),
            pointer: self.pointer.is_some(),
            // The table has no place for these yet.
            ..Capabilities::default()
        }
    }
}

/// An opened backend.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) opened: Opened,
    pub(crate) table: BackendTable,
}

impl Instance {
    pub(crate) fn gate(&self) -> &SharedGate {
        &self.opened.gate
    }
}

/// A backend that lives in a plugin.
#[derive(Debug)]
pub(crate) struct PluginBackend {
    name: String,
    facets: Facets,
    instance: Arc<Instance>,
}

impl PluginBackend {
    /// Makes the backend, with the plugin's settings.
    pub(crate) fn open(
        name: &str,
        table: BackendTable,
        facets: Facets,
        gate: SharedGate,
        settings: &Value,
    ) -> Result<Self, Fault> {
        let settings = settings.to_string();
        let opened = Opened::new(gate, table.close, move |backend, message| {
            invoke!(table.open, Str::new(&settings), backend, message)
        })?;
        Ok(Self { name: name.to_owned(), facets, instance: Arc::new(Instance { opened, table }) })
    }

    /// Calls a function of the backend.
    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        within: Deadline,
        work: impl FnOnce(&Instance, *mut Buf) -> (Status, T) + Send + 'static,
    ) -> Result<T, Fault> {
        let instance = Arc::clone(&self.instance);
        self.instance.gate().call(function, within, move |message| work(&instance, message)).await
    }

    /// What went wrong with the host, which is also what a probe may complain about.
    fn host_error(&self, fault: &Fault) -> DriverError {
        let (problem, way_out) = match fault {
            Fault::Said { status: Status::HOST, message, .. } => two_lines(message),
            other => (other.to_string(), String::new()),
        };
        DriverError::Host { backend: self.name.clone(), problem, way_out }
    }

    /// What went wrong with a machine, or with the host when it was tried.
    fn error(&self, fault: Fault, machine: &str, operation: &str, within: Deadline) -> DriverError {
        match &fault {
            Fault::Said { status: Status::HOST, .. } => self.host_error(&fault),
            _ => machine_error(fault, machine, operation, within),
        }
    }
}

#[async_trait]
impl Backend for PluginBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.facets.capabilities()
    }

    async fn probe(&self) -> Result<(), DriverError> {
        let within = self.instance.gate().call_limit();
        let probe = move |instance: &Instance, message| {
            (invoke!(instance.table.probe, instance.opened.pointer.0, milliseconds(within), message), ())
        };
        self.call("probe", within, probe).await.map_err(|fault| self.host_error(&fault))
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let text = describe(spec)?;
        let check = move |instance: &Instance, message| {
            (invoke!(instance.table.check, instance.opened.pointer.0, Str::new(&text), message), ())
        };
        let checked = self.call("check", self.instance.gate().call_limit(), check).await;
        checked.map_err(|fault| self.error(fault, &spec.name, "check its description", Deadline::far()))
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let (name, text) = (spec.name.clone(), describe(spec)?);
        let (instance, desk) = (Arc::clone(&self.instance), Desk::new(log));
        let launch = {
            let desk = Arc::clone(&desk);
            move |_: &Instance, message: *mut Buf| {
                let (mut machine, mut about) = (ptr::null_mut(), Outgoing::new());
                let log = Box::new(desk.table());
                let status = invoke!(
                    instance.table.launch,
                    instance.opened.pointer.0,
                    Str::new(&text),
                    &raw const *log,
                    milliseconds(within),
                    &raw mut machine,
                    about.place(),
                    message
                );
                // From here on the handle sees to it that the machine ends, whoever still wants it.
                let launched = (status == Status::OK).then(|| {
                    let handle = Handle::new(Opaque(machine), Arc::clone(&instance), desk, log);
                    (Arc::new(handle), about.bytes(JSON_LIMIT))
                });
                (status, launched)
            }
        };
        let failed = |fault| self.error(fault, &name, "launch it", within);
        let launched = self.call("launch", within, launch).await;
        if launched.is_err() {
            // A plugin that fails in the middle, or hangs, may have started something.
            desk.kill_groups();
        }
        let nonsense = |problem: String| failed(self.instance.gate().nonsense(problem));
        let (handle, about) =
            launched.map_err(failed)?.ok_or_else(|| nonsense("launched nothing".to_owned()))?;
        let about = about.map_err(nonsense)?;
        let about: About = match about.as_slice() {
            [] => About::default(),
            json => serde_json::from_slice(json)
                .map_err(|error| nonsense(format!("says no proper JSON about its machine: {error}")))?,
        };
        Ok(Arc::new(PluginMachine::new(name, about.process_id, self.facets, handle)))
    }
}

/// What a plugin says about a machine that it has launched.
#[derive(Debug, Default, Deserialize)]
struct About {
    #[serde(default)]
    process_id: Option<u32>,
}

fn describe(spec: &MachineSpec) -> Result<String, DriverError> {
    serde_json::to_string(spec).map_err(|error| DriverError::Launch {
        machine: spec.name.clone(),
        problem: format!("its description cannot be handed to a plugin: {error}"),
        way_out: "give it paths in UTF-8".to_owned(),
    })
}

/// What is wrong, and what to do about it, as the contract puts them into a message.
pub(crate) fn two_lines(message: &str) -> (String, String) {
    let (problem, way_out) = message.split_once('\n').unwrap_or((message, ""));
    (problem.to_owned(), way_out.replace('\n', " "))
}

/// What went wrong with a machine.
pub(crate) fn machine_error(fault: Fault, machine: &str, operation: &str, within: Deadline) -> DriverError {
    let machine = machine.to_owned();
    let Fault::Said { status, message, .. } = &fault else {
        return DriverError::Control { machine, operation: operation.to_owned(), source: Box::new(fault) };
    };
    match *status {
        Status::TIMED_OUT => {
            DriverError::Timeout { machine, awaited: message.clone(), limit: within.limit(), seen: None }
        }
        Status::USAGE => DriverError::usage(message.clone()),
        Status::REFUSED => {
            let (problem, way_out) = two_lines(message);
            DriverError::Launch { machine, problem, way_out }
        }
        Status::EXITED if let Ok(exit) = read_exit(message.as_bytes()) => {
            DriverError::Exited { machine, exit, during: Some(format!("trying to {operation}")) }
        }
        _ => DriverError::Control { machine, operation: operation.to_owned(), source: Box::new(fault) },
    }
}

/// Reads how a machine ended.
pub(crate) fn read_exit(json: &[u8]) -> Result<Exit, serde_json::Error> {
    /// Lines that anybody reads, and bytes of each.
    const LAST_WORDS: (usize, usize) = (20, 1000);
    let mut exit: Exit = serde_json::from_slice(json)?;
    let surplus = exit.last_words.len().saturating_sub(LAST_WORDS.0);
    exit.last_words.drain(..surplus);
    for words in &mut exit.last_words {
        *words = crate::outgoing::printable(&words.as_bytes()[..words.len().min(LAST_WORDS.1)]);
    }
    Ok(exit)
}
