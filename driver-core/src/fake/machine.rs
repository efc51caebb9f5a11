//! One launch of a machine that plays: a task that does what it is ordered to, by its play, by the test and
//! by its own guest, until it ends.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::guest::{Guest, Wish};
use super::handle::Slot;
use super::play::{Play, Step};
use super::process::Process;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::keys::Key;
use crate::machine::{
    Capabilities, Exit, ExitReason, Forensics, GuestPort, GuestStream, Keyboard, Machine, MachineLog,
    Monitor, Pointer, PointerAct, Power, Screen,
};
use crate::spec::MachineSpec;

/// Bytes that a port holds before its writer waits for a reader.
const PORT: usize = 64 << 10;

/// Keys that exist besides those of one character.
const KEYS: &[&str] = &[
    "alt",
    "backspace",
    "caps_lock",
    "ctrl",
    "delete",
    "down",
    "end",
    "esc",
    "f1",
    "f2",
    "f10",
    "f12",
    "home",
    "insert",
    "left",
    "meta_l",
    "pgdn",
    "pgup",
    "ret",
    "right",
    "shift",
    "spc",
    "tab",
    "up",
];

/// Something that a machine is to do.
#[derive(Debug)]
pub(super) enum Order {
    Print(Vec<u8>),
    Disturb(Vec<u8>),
    Greet,
    Show(Vec<u8>),
    Panic,
    Reboot,
    Exit(Exit),
}

/// A machine that plays.
pub(super) struct FakeMachine {
    slot: Arc<Slot>,
    play: Play,
    capabilities: Capabilities,
    process_id: Option<u32>,
    ports: Mutex<HashMap<GuestPort, DuplexStream>>,
    orders: mpsc::UnboundedSender<Order>,
    screen: watch::Receiver<Vec<u8>>,
    exit: watch::Receiver<Option<Exit>>,
    _task: AbortOnDropHandle<()>,
}

impl fmt::Debug for FakeMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeMachine").field("name", &self.slot.name).finish_non_exhaustive()
    }
}

impl FakeMachine {
    pub(super) fn launch(
        spec: &MachineSpec,
        slot: Arc<Slot>,
        play: Play,
        capabilities: Capabilities,
        log: Arc<dyn MachineLog>,
    ) -> Result<Self, DriverError> {
        let failed = |source: std::io::Error| DriverError::Control {
            machine: spec.name.clone(),
            operation: "start the process of a fake machine".to_owned(),
            source: Box::new(source),
        };
        let process =
            play.has_process.then(|| Process::start(Arc::clone(&log))).transpose().map_err(failed)?;
        let (console, console_far) = tokio::io::duplex(PORT);
        let (shell, shell_far) = tokio::io::duplex(PORT);
        let (orders, queue) = mpsc::unbounded_channel();
        let (screen, screen_seen) = watch::channel(play.screen.clone());
        let (exit, exit_seen) = watch::channel(None);
        let process_id = process.as_ref().map(|process| process.id);

        let (wishes, wished) = mpsc::unbounded_channel();
        let guest = Guest::new(shell_far, Arc::clone(&slot), play.clone(), &spec.state_dir, orders.clone());
        let (lines, printed) = mpsc::unbounded_channel();
        let board = Board {
            slot: Arc::clone(&slot),
            play: play.clone(),
            allow_reboot: spec.allow_reboot,
            orders: orders.clone(),
            lines,
            wishes,
            screen,
            process,
            log,
            players: JoinSet::new(),
            guest: AbortOnDropHandle::new(tokio::spawn(guest.serve(wished))),
        };
        // Reads the console to its end even when the board is gone; ends with the stream's other side.
        tokio::spawn(serve_console(console_far, printed, Arc::clone(&slot)));
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let reason = board.run(queue).await;
            exit.send_replace(Some(reason));
        }));
        *slot.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(orders.clone());
        let ports = HashMap::from([(GuestPort::Console, console), (GuestPort::Shell, shell)]);
        Ok(Self {
            slot,
            play,
            capabilities,
            process_id,
            ports: Mutex::new(ports),
            orders,
            screen: screen_seen,
            exit: exit_seen,
            _task: task,
        })
    }

    fn order(&self, order: Order) {
        // A machine that has ended takes no orders; whoever waits for it learns that.
        let _ = self.orders.send(order);
    }

    /// What a control channel says when there is nobody at its other end.
    fn must_run(&self, during: &str) -> Result<(), DriverError> {
        match &*self.exit.borrow() {
            None => Ok(()),
            Some(exit) => Err(DriverError::Exited {
                machine: self.slot.name.clone(),
                exit: exit.clone(),
                during: Some(during.to_owned()),
            }),
        }
    }
}

#[async_trait]
impl Machine for FakeMachine {
    fn name(&self) -> &str {
        &self.slot.name
    }

    fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        let stream = self.ports.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
        match stream {
            Some(stream) => Ok(Box::new(stream)),
            None => Err(DriverError::usage(format!(
                "machine `{}`: its {port:?} port is open already (each can be opened once in a launch)",
                self.slot.name
            ))),
        }
    }

    async fn request_shutdown(&self, _within: Deadline) -> Result<(), DriverError> {
        self.must_run("pressing its power button")?;
        if self.play.heeds_power_button {
            self.order(Order::Exit(Exit::new(ExitReason::GuestShutdown)));
        }
        Ok(())
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some);
        if let Ok(Ok(exit)) = tokio::time::timeout_at(within.instant(), ended).await
            && let Some(exit) = exit.clone()
        {
            return Ok(exit);
        }
        Err(DriverError::Timeout {
            machine: self.slot.name.clone(),
            awaited: "the end of the machine".to_owned(),
            limit: within.limit(),
            seen: None,
        })
    }

    async fn destroy(&self) {
        self.order(Order::Exit(Exit::new(ExitReason::Destroyed)));
        let mut exit = self.exit.clone();
        // An error means that the task has ended, which is as good.
        let _ = exit.wait_for(Option::is_some).await;
    }

    fn screen(&self) -> Option<&dyn Screen> {
        self.capabilities.screen.then_some(self)
    }

    fn keyboard(&self) -> Option<&dyn Keyboard> {
        self.capabilities.keyboard.then_some(self)
    }

    fn pointer(&self) -> Option<&dyn Pointer> {
        self.capabilities.pointer.then_some(self)
    }

    fn monitor(&self) -> Option<&dyn Monitor> {
        self.capabilities.monitor.then_some(self)
    }

    fn power(&self) -> Option<&dyn Power> {
        self.capabilities.power.then_some(self)
    }

    fn forensics(&self) -> Option<&dyn Forensics> {
        Some(self)
    }
}

#[async_trait]
impl Screen for FakeMachine {
    async fn capture(&self, file: &Path, _within: Deadline) -> Result<(), DriverError> {
        self.must_run("taking a picture of its screen")?;
        self.slot.note(|record| record.captures += 1);
        let frame = self.screen.borrow().clone();
        std::fs::write(file, frame).map_err(|source| DriverError::File {
            operation: "write",
            path: file.display().to_string(),
            source,
        })
    }
}

#[async_trait]
impl Keyboard for FakeMachine {
    async fn press(&self, chord: &[Key], _hold: Duration, _within: Deadline) -> Result<(), DriverError> {
        self.must_run("pressing keys")?;
        for key in chord {
            if let Key::Name(name) = key
                && name.len() > 1
                && !KEYS.contains(&name.as_str())
            {
                return Err(DriverError::usage(format!(
                    "`{name}` is not a key that a fake machine knows (it knows {})",
                    KEYS.join(", ")
                )));
            }
        }
        self.slot.note(|record| record.keys.push(chord.to_vec()));
        Ok(())
    }
}

#[async_trait]
impl Pointer for FakeMachine {
    async fn act(&self, act: PointerAct, _within: Deadline) -> Result<(), DriverError> {
        self.must_run("moving its pointer")?;
        self.slot.note(|record| record.pointer.push(act));
        Ok(())
    }
}

#[async_trait]
impl Monitor for FakeMachine {
    async fn command(&self, line: &str, _within: Deadline) -> Result<String, DriverError> {
        self.must_run("running a monitor command")?;
        self.slot.note(|record| record.monitor.push(line.to_owned()));
        let known = self.play.monitor.iter().find(|(known, _)| known == line);
        Ok(known.map_or_else(|| format!("unknown command: '{line}'\r\n"), |(_, answer)| answer.clone()))
    }
}

#[async_trait]
impl Power for FakeMachine {
    async fn reset(&self, _within: Deadline) -> Result<(), DriverError> {
        self.must_run("resetting it")?;
        self.order(Order::Reboot);
        Ok(())
    }
}

/// The task's state.
struct Board {
    slot: Arc<Slot>,
    play: Play,
    allow_reboot: bool,
    orders: mpsc::UnboundedSender<Order>,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    wishes: mpsc::UnboundedSender<Wish>,
    screen: watch::Sender<Vec<u8>>,
    process: Option<Process>,
    log: Arc<dyn MachineLog>,
    players: JoinSet<()>,
    guest: AbortOnDropHandle<()>,
}

impl Board {
    /// Plays until the machine ends, and leaves nothing of it.
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Order>) -> Exit {
        self.play(self.play.steps.clone());
        let exit = loop {
            let order = tokio::select! {
                order = queue.recv() => order,
                reason = ended(&mut self.process) => Some(Order::Exit(Exit::new(reason))),
            };
            // The board itself holds a sender, so there is always another order.
            let Some(order) = order else { continue };
            if let Some(exit) = self.obey(order) {
                break exit;
            }
        };
        self.players.shutdown().await;
        self.guest.abort();
        // Ends with an error, as it was told to; what counts is that it has ended, and its bash with it.
        let _ = self.guest.await;
        if let Some(process) = self.process {
            process.finish().await;
        }
        exit
    }

    fn obey(&mut self, order: Order) -> Option<Exit> {
        match order {
            Order::Print(bytes) => drop(self.lines.send(bytes)),
            Order::Disturb(bytes) => drop(self.wishes.send(Wish::Disturb(bytes))),
            Order::Greet => drop(self.wishes.send(Wish::Up)),
            Order::Show(frame) => drop(self.screen.send_replace(frame)),
            Order::Panic => {
                let line = b"Kernel panic - not syncing: the test wants it\r\n".to_vec();
                drop(self.lines.send(line));
                return Some(Exit::new(ExitReason::GuestPanic));
            }
            Order::Reboot if !self.allow_reboot => return Some(Exit::new(ExitReason::GuestReset)),
            Order::Reboot => {
                self.log.guest_reset();
                drop(self.wishes.send(Wish::Down));
                self.play(self.play.boot());
            }
            Order::Exit(exit) => return Some(exit),
        }
        None
    }

    /// Gives the orders of `steps`, each when its time has come.
    fn play(&mut self, steps: Vec<Step>) {
        let (orders, slot) = (self.orders.clone(), Arc::clone(&self.slot));
        self.players.spawn(async move {
            let (mut triggers, mut record) = (slot.triggers.subscribe(), slot.record.subscribe());
            for step in steps {
                let order = match step {
                    Step::AwaitTrigger(name) => {
                        // The slot, which this task holds, keeps the sender; so it is below.
                        let _ = triggers.wait_for(|pulled| pulled.contains(&name)).await;
                        continue;
                    }
                    Step::AwaitCommands(count) => {
                        let _ = record.wait_for(|record| record.commands.len() >= count).await;
                        continue;
                    }
                    Step::Print(bytes) => Order::Print(bytes),
                    Step::Greet => Order::Greet,
                    Step::Show(frame) => Order::Show(frame),
                    Step::Exit(exit) => Order::Exit(exit),
                    Step::Reboot => Order::Reboot,
                };
                let _ = orders.send(order);
            }
        });
    }
}

/// Waits for the end of the process, or for ever when there is none.
async fn ended(process: &mut Option<Process>) -> ExitReason {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

/// Prints lines until there are no more, and notes what is typed.
async fn serve_console(mut port: DuplexStream, mut lines: mpsc::UnboundedReceiver<Vec<u8>>, slot: Arc<Slot>) {
    let mut typed = [0; 1024];
    loop {
        tokio::select! {
            biased;
            line = lines.recv() => match line {
                // Nobody may be listening; then there is nothing to do.
                Some(line) => if port.write_all(&line).await.is_err() { return },
                None => return,
            },
            count = port.read(&mut typed) => match count {
                Ok(count @ 1..) => slot.note(|record| record.typed.extend_from_slice(&typed[..count])),
                _ => return,
            },
        }
    }
}
