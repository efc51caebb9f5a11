//! A running Cloud Hypervisor as a machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use backend_kit::console::Console;
use backend_kit::ending::{Ending, Ordered};
use backend_kit::port::Once;
use backend_kit::process::Process;
use driver_core::{
    Deadline, DriverError, Exit, GuestPort, GuestStream, Machine, MachineLog, Power, Snapshots,
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::NAME;
use crate::control::{Control, ControlError, Ping};
use crate::events::Event;
use crate::files::Files;
use crate::terminal::Terminal;
use crate::watcher::{PROGRAM, Watcher, ask_to_end};

/// A machine that runs in Cloud Hypervisor. Dropping it kills the program without waiting.
pub(crate) struct CloudHypervisorMachine {
    name: String,
    state_dir: PathBuf,
    /// How many disks it has.
    disks: usize,
    program: Ping,
    control: Control,
    process: Process,
    console: Once<Console>,
    shell: Once<Terminal>,
    ending: Ending,
}

impl std::fmt::Debug for CloudHypervisorMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudHypervisorMachine").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The parts that a launch has put together.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) disks: usize,
    pub(crate) program: Ping,
    pub(crate) allow_reboot: bool,
    pub(crate) stays: bool,
    pub(crate) process: Process,
    pub(crate) console: Console,
    pub(crate) shell: Terminal,
    pub(crate) control: Control,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) files: Files,
    pub(crate) log: Arc<dyn MachineLog>,
}

impl CloudHypervisorMachine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            name,
            state_dir,
            disks,
            program,
            allow_reboot,
            stays,
            process,
            console,
            shell,
            control,
            events,
            files,
            log,
        } = parts;
        let ordered = Ordered::default();
        let watcher = Watcher {
            group: Arc::clone(process.group()),
            control: control.clone(),
            events,
            ours: ordered.clone(),
            allow_reboot,
            stays,
            log,
            files,
        };
        let ending = Ending::watch(name.clone(), ordered, watcher.watch());
        let (console, shell) = (Once::new(console), Once::new(shell));
        Self { name, state_dir, disks, program, control, process, console, shell, ending }
    }

    /// The machine's own directory.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// How many disks it has.
    pub(crate) fn disks(&self) -> usize {
        self.disks
    }

    /// The program that it runs in.
    pub(crate) fn program(&self) -> &Ping {
        &self.program
    }

    /// The API.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Orders something; `operation` is a verb for the messages.
    pub(crate) async fn order(
        &self,
        endpoint: &'static str,
        body: Option<&Value>,
        operation: &'static str,
        within: Deadline,
    ) -> Result<(), DriverError> {
        match self.control.put(endpoint, body, within).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(error, operation).await),
        }
    }

    /// The error for an order that came to nothing.
    pub(crate) async fn failed(&self, error: ControlError, operation: &'static str) -> DriverError {
        match error {
            error @ ControlError::Closed { .. } => self.ending.gone(operation, error).await,
            ControlError::TimedOut { endpoint, limit } => DriverError::Timeout {
                machine: self.name.clone(),
                awaited: format!("Cloud Hypervisor's answer to `{endpoint}`"),
                limit,
                seen: None,
            },
            error => DriverError::Control {
                machine: self.name.clone(),
                operation: operation.to_owned(),
                source: Box::new(error),
            },
        }
    }
}

#[async_trait]
impl Machine for CloudHypervisorMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        Some(self.process.group().id())
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        match port {
            GuestPort::Console => Ok(self.console.open(&self.name, port)?.open()),
            GuestPort::Shell => Ok(Box::new(self.shell.open(&self.name, port)?)),
            GuestPort::Bulk => Err(DriverError::Unsupported {
                backend: NAME.to_owned(),
                operation: "carry files by a port of their own",
                instead: "they take the shell's",
            }),
        }
    }

    async fn request_shutdown(&self, within: Deadline) -> Result<(), DriverError> {
        self.order("vm.power-button", None, "press the power button", within).await
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        self.ending.wait(within).await
    }

    async fn destroy(&self) {
        self.ending.order(self.process.group(), PROGRAM, ask_to_end(&self.control)).await;
    }

    fn power(&self) -> Option<&dyn Power> {
        Some(self)
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }
}

#[async_trait]
impl Power for CloudHypervisorMachine {
    async fn reset(&self, within: Deadline) -> Result<(), DriverError> {
        self.order("vm.reboot", None, "reset the machine", within).await
    }
}
