//! A running QEMU as a machine, from the moment that its control channel answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use driver_core::{
    Deadline, DriverError, Exit, Forensics, GuestPort, GuestStream, Keyboard, Machine, MachineLog, Monitor,
    Network, Pointer, Power, Screen, Snapshots,
};
use qapi_spec::Command;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::control::{Control, ControlError, Event};
use crate::exit::{self, Farewell};
use crate::keyboard::Intake;
use crate::launch::Leftovers;
use backend_kit::console::Console;
use backend_kit::ending::{Ending, GRACE, Ordered};
use backend_kit::port::Once;
use backend_kit::process::{Group, Process};

/// A machine that runs in QEMU. Dropping it kills QEMU without waiting.
#[derive(Debug)]
pub(crate) struct QemuMachine {
    name: String,
    state_dir: PathBuf,
    /// How many disks it has; none that are known of a start script's.
    disks: usize,
    /// The `qemu-img` program.
    img_binary: PathBuf,
    /// Its cards on VLANs, as QEMU calls them.
    cards: Vec<String>,
    control: Control,
    process: Process,
    console: Once<Console>,
    shell: Once<UnixStream>,
    intake: Intake,
    bulk: Once<UnixStream>,
    ending: Ending,
}

/// The parts that a launch has put together.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) disks: usize,
    pub(crate) img_binary: PathBuf,
    pub(crate) cards: Vec<String>,
    pub(crate) start_script: bool,
    pub(crate) process: Process,
    pub(crate) console: Console,
    pub(crate) shell: UnixStream,
    pub(crate) bulk: UnixStream,
    pub(crate) control: Control,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) log: Arc<dyn MachineLog>,
    pub(crate) leftovers: Leftovers,
}

impl QemuMachine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            name,
            state_dir,
            disks,
            img_binary,
            cards,
            start_script,
            process,
            console,
            shell,
            bulk,
            control,
            events,
            log,
            leftovers,
        } = parts;
        process.group().words().leave_output_to_the_guest();
        let ordered = Ordered::default();
        let watcher = Watcher {
            group: Arc::clone(process.group()),
            control: control.clone(),
            events,
            ours: ordered.clone(),
            start_script,
            log: Arc::clone(&log),
            leftovers,
        };
        let ending = Ending::watch(name.clone(), ordered, watcher.watch());
        let (console, shell, bulk) = (Once::new(console), Once::new(shell), Once::new(bulk));
        let intake = Intake::new(log);
        Self {
            name,
            state_dir,
            disks,
            img_binary,
            cards,
            control,
            process,
            console,
            shell,
            bulk,
            intake,
            ending,
        }
    }

    /// The machine's own directory.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// How many disks it has.
    pub(crate) fn disks(&self) -> usize {
        self.disks
    }

    /// The `qemu-img` program.
    pub(crate) fn img_binary(&self) -> &Path {
        &self.img_binary
    }

    /// Its cards on VLANs, as QEMU calls them.
    pub(crate) fn cards(&self) -> &[String] {
        &self.cards
    }

    /// What the guest has taken of the keys.
    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The control channel.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Runs a QMP command; `operation` is a verb for the messages.
    pub(crate) async fn execute<C: Command>(
        &self,
        command: C,
        operation: &'static str,
        within: Deadline,
    ) -> Result<C::Ok, DriverError> {
        match self.control.execute(command, within).await {
            Ok(answer) => Ok(answer),
            Err(error @ ControlError::Closed) => Err(self.ending.gone(operation, error).await),
            Err(ControlError::TimedOut { command, limit }) => Err(DriverError::Timeout {
                machine: self.name.clone(),
                awaited: format!("QEMU's answer to `{command}`"),
                limit,
                seen: None,
            }),
            Err(error) => Err(DriverError::Control {
                machine: self.name.clone(),
                operation: operation.to_owned(),
                source: Box::new(error),
            }),
        }
    }
}

#[async_trait]
impl Machine for QemuMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        Some(self.process.group().id())
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        let stream = match port {
            GuestPort::Console => return Ok(self.console.open(&self.name, port)?.open()),
            GuestPort::Shell => &self.shell,
            GuestPort::Bulk => &self.bulk,
        };
        Ok(Box::new(stream.open(&self.name, port)?))
    }

    async fn request_shutdown(&self, within: Deadline) -> Result<(), DriverError> {
        self.execute(qapi_qmp::system_powerdown {}, "press the power button", within).await.map(|_| ())
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        self.ending.wait(within).await
    }

    async fn destroy(&self) {
        // Scripts around QEMU get to clean up, too.
        let ask = async {
            match self.control.execute(qapi_qmp::quit {}, Deadline::after(GRACE)).await {
                Err(error @ (ControlError::Refused { .. } | ControlError::TimedOut { .. })) => Err(error),
                _ => Ok(()),
            }
        };
        self.ending.order(self.process.group(), "QEMU", ask).await;
    }

    fn screen(&self) -> Option<&dyn Screen> {
        Some(self)
    }

    fn keyboard(&self) -> Option<&dyn Keyboard> {
        Some(self)
    }

    fn pointer(&self) -> Option<&dyn Pointer> {
        Some(self)
    }

    fn monitor(&self) -> Option<&dyn Monitor> {
        Some(self)
    }

    fn power(&self) -> Option<&dyn Power> {
        Some(self)
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(self)
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn forensics(&self) -> Option<&dyn Forensics> {
        Some(self)
    }
}

#[async_trait]
impl Monitor for QemuMachine {
    async fn command(&self, line: &str, within: Deadline) -> Result<String, DriverError> {
        let command = qapi_qmp::human_monitor_command { command_line: line.to_owned(), cpu_index: None };
        self.execute(command, "run a monitor command", within).await
    }
}

#[async_trait]
impl Power for QemuMachine {
    async fn reset(&self, within: Deadline) -> Result<(), DriverError> {
        self.execute(qapi_qmp::system_reset {}, "reset the machine", within).await.map(|_| ())
    }
}

/// Stands by a machine until it has ended, and then knows how.
struct Watcher {
    group: Arc<Group>,
    control: Control,
    events: mpsc::UnboundedReceiver<Event>,
    ours: Ordered,
    start_script: bool,
    log: Arc<dyn MachineLog>,
    leftovers: Leftovers,
}

impl Watcher {
    async fn watch(mut self) -> Exit {
        let mut farewell = Farewell::default();
        let status = loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(Event::Stopped) => self.check_health().await,
                    Some(Event::Reset) => self.log.guest_reset(),
                    Some(event) => farewell.note(event),
                    // QEMU is gone. A script around it may have some tidying up to do.
                    None => break self.group.end_within(GRACE).await,
                },
                status = self.group.ended() => break status,
            }
        };
        // What QEMU said before it ended is on its way, unless somebody else holds the socket open.
        while let Ok(Some(event)) = timeout(GRACE, self.events.recv()).await {
            farewell.note(event);
        }
        drop(self.leftovers);
        let ours = self.ours.is_set();
        let reason = exit::reason(&farewell, status, ours, self.start_script);
        Exit { reason, last_words: self.group.final_words().await }
    }

    /// Ends a machine that KVM cannot go on with: QEMU would keep it, halted, for ever.
    async fn check_health(&self) {
        let state = self.control.execute(qapi_qmp::query_status {}, Deadline::after(GRACE)).await;
        if state.is_ok_and(|state| state.status == qapi_qmp::RunState::internal_error) {
            self.group.words().add(
                backend_kit::last_words::Source::Errors,
                "QEMU halted the machine with an internal error: KVM failed (try accel = \"tcg\")".to_owned(),
            );
            self.group.kill();
        }
    }
}
