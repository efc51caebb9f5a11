//! Starting and ending a machine, and noticing at once when it ends by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::console::Typist;
use super::snapshots::Snapshot;
use super::{Node, NodeLog};
use crate::agent::{Agent, Streams};
use crate::channel::{Channel, Line};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::{Event, Level, MachineState};
use crate::journal::{current_scope, in_scope};
use crate::machine::{Exit, ExitReason, GuestPort, GuestStream, Machine};
use crate::shell::Shell;
use crate::wait::within;

/// How long a hypervisor may take from its start to an answering control channel. Start scripts may build
/// disk images first.
const LAUNCH_LIMIT: Duration = Duration::from_secs(300);
/// How long the end of a machine may lag behind its first sign: a shell that closes, a panic on the
/// console.
const EXIT_LAG: Duration = Duration::from_secs(2);

/// One launch of a machine.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) machine: Arc<dyn Machine>,
    /// What commands go through; another one after the guest has rebooted.
    pub(super) line: Arc<Line>,
    /// The port for what is large, while no agent has it.
    pub(super) bulk: Mutex<Option<Box<dyn GuestStream>>>,
    pub(super) typist: Typist,
    /// Whether a reboot of the guest restarts the machine.
    pub(super) allow_reboot: bool,
    /// Whether the shell has greeted since it was last expected to.
    pub(super) connected: AtomicBool,
    /// The boot in which the guest was given its addresses.
    addressed: Mutex<String>,
    /// Whether somebody has asked for the machine's end.
    pub(super) ending: Arc<AtomicBool>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Node {
    /// Starts the machine, and returns when the hypervisor runs; the guest boots on its own time. One that is given
    /// addresses on VLANs is connected with as soon as its shell greets, in the background. Does
    /// nothing when the machine is on. `allow_reboot`: whether a reboot of the guest restarts it instead
    /// of ending it; `None` takes what the machine's description says.
    ///
    /// # Errors
    /// Whatever [`crate::Backend::launch`] returns.
    pub async fn start(&self, allow_reboot: Option<bool>) -> Result<(), DriverError> {
        if self.is_on() {
            // Somebody else may be waiting for its shell, and is not to be waited for.
            return Ok(());
        }
        let changing = self.changing.lock().await;
        self.start_unless_on(allow_reboot).await?;
        drop(changing);
        self.connect_meanwhile();
        Ok(())
    }

    /// Connects with a guest that gets its addresses from us, once its shell greets, in a task of its own: the others
    /// may look for it long before the script calls one of its verbs. What goes wrong, that verb will find again.
    fn connect_meanwhile(&self) {
        let Some(node) = self.this.upgrade().filter(|node| node.gives_addresses()) else { return };
        let Some(running) = self.running() else { return };
        tokio::spawn(in_scope(0, async move {
            let connected = async {
                let (channel, mut exit) = (running.line.channel(), running.exit.clone());
                if let Channel::Shell(shell) = channel.as_ref() {
                    // Without the lock, and not as a step: a verb that waits for the shell has all of its own time.
                    tokio::select! {
                        _ = ended(&mut exit) => return Ok(()),
                        ready = shell.ready(Deadline::after(node.config.boot_timeout)) => ready?,
                    }
                }
                drop(channel);
                node.connect_launch(&running).await
            };
            tokio::select! {
                _ = node.context.cancelled() => {}
                connected = connected => if let Err(error) = connected {
                    tracing::debug!(machine = node.name(), %error, "not connected yet");
                }
            }
        }));
    }

    pub(super) async fn start_unless_on(&self, allow_reboot: Option<bool>) -> Result<(), DriverError> {
        if self.is_on() {
            return Ok(());
        }
        self.log("starting vm");
        self.launch(allow_reboot.unwrap_or_else(|| self.reboots.load(Ordering::SeqCst)), None).await
    }

    /// Starts the hypervisor; the guest boots, or goes on from a snapshot.
    pub(super) async fn launch(
        &self,
        allow_reboot: bool,
        from: Option<&Snapshot>,
    ) -> Result<(), DriverError> {
        self.entered(MachineState::Starting);
        let launched = self.try_to_launch(allow_reboot, from).await;
        if launched.is_err() {
            self.entered(MachineState::Off);
        }
        launched
    }

    async fn try_to_launch(&self, allow_reboot: bool, from: Option<&Snapshot>) -> Result<(), DriverError> {
        let (machine, context) = (self.name().to_owned(), Arc::clone(&self.context));
        let log = Arc::new(NodeLog { machine, context, line: OnceLock::new() });
        let limit = self.context.deadline.at_most(LAUNCH_LIMIT);
        self.console.restarted();
        let machine = self.config.backend.launch(&self.spec(allow_reboot, from), log.clone(), limit).await?;
        if let Some(pid) = machine.process_id() {
            self.log(format!("{} running (pid {pid})", self.backend().to_uppercase()));
        }
        self.entered(MachineState::Running);
        let connected = async {
            let console = machine.connect(GuestPort::Console, limit).await?;
            Ok::<_, DriverError>((console, machine.connect(GuestPort::Shell, limit).await?))
        };
        let (console, shell) = match connected.await {
            Ok(streams) => streams,
            Err(error) => {
                machine.destroy().await;
                return Err(error);
            }
        };
        // Not every backend has it.
        let mut bulk = machine.connect(GuestPort::Bulk, limit).await.ok();
        let typist = self.console.attach(console);
        let heard = self.shell_listener();
        let channel = if from.is_some_and(|snapshot| snapshot.has_agent) {
            Channel::Agent(Agent::open(self.name(), Streams { shell, bulk: bulk.take() }, heard))
        } else {
            Channel::Shell(Shell::open(self.name(), shell, heard))
        };
        let line = Arc::clone(log.line.get_or_init(|| Arc::new(Line::new(channel))));
        let ending = Arc::new(AtomicBool::new(false));
        let exit = self.watch(Arc::clone(&machine), Arc::clone(&ending));
        self.film(Arc::clone(&machine), exit.clone());
        self.set_running(Arc::new(Running {
            machine,
            line,
            bulk: Mutex::new(bulk),
            typist,
            allow_reboot,
            connected: AtomicBool::new(false),
            addressed: Mutex::default(),
            ending,
            exit,
        }));
        Ok(())
    }

    /// Follows a launch to its end, in a task of its own.
    fn watch(&self, machine: Arc<dyn Machine>, ending: Arc<AtomicBool>) -> watch::Receiver<Option<Exit>> {
        let (sender, receiver) = watch::channel(None);
        let (context, console, name) =
            (Arc::clone(&self.context), Arc::clone(&self.console), self.name().to_owned());
        tokio::spawn(async move {
            // The end comes one day; the deadline of one wait is no reason to stop waiting.
            let mut exit = loop {
                match machine.wait_exit(Deadline::far()).await {
                    Ok(exit) => break exit,
                    Err(DriverError::Timeout { .. }) => {}
                    // A backend that cannot say how its machine ended has lost it.
                    Err(error) => {
                        let reason = ExitReason::Status { code: -1 };
                        break Exit { reason, last_words: vec![error.chain()] };
                    }
                }
            };
            console.drained().await;
            if let Some(line) = console.panic()
                && !matches!(exit.reason, ExitReason::Destroyed | ExitReason::GuestShutdown)
            {
                exit.reason = ExitReason::GuestPanic;
                exit.last_words.push(line);
            }
            let expected = ending.load(Ordering::SeqCst) || exit.reason == ExitReason::GuestShutdown;
            let event = Event::MachineExited { exit: exit.clone(), expected };
            context.journal.emit(Some(&name), event);
            context.journal.emit(Some(&name), Event::MachineState { state: MachineState::Off });
            sender.send_replace(Some(exit));
        });
        receiver
    }

    /// Runs `work` for as long as the machine runs: a machine that ends, or a kernel that panics, ends
    /// the work at once, and is a better answer than a shell that has fallen silent.
    pub(super) async fn while_it_runs<T>(
        &self,
        running: &Running,
        during: impl Fn() -> String,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let mut exit = running.exit.clone();
        let result = tokio::select! {
            biased;
            result = work => result,
            ended = ended(&mut exit) => return Err(self.exited(ended, Some(during()))),
            line = self.console.panicked() => {
                // The hypervisor may know more; a guest that hangs after its panic never tells.
                let exit = within(Deadline::after(EXIT_LAG), ended(&mut exit)).await;
                let told = exit.unwrap_or_else(|| Exit {
                    reason: ExitReason::GuestPanic,
                    last_words: vec![line],
                });
                return Err(self.exited(told, Some(during())));
            }
        };
        match result {
            Err(error @ DriverError::Shell { .. }) => {
                match within(Deadline::after(EXIT_LAG), ended(&mut exit)).await {
                    Some(exit) => Err(self.exited(exit, Some(during()))),
                    None => {
                        running.connected.store(false, Ordering::SeqCst);
                        Err(error)
                    }
                }
            }
            other => other,
        }
    }

    pub(super) fn exited(&self, exit: Exit, during: Option<String>) -> DriverError {
        DriverError::Exited { machine: self.name().to_owned(), exit, during }
    }

    /// Powers the guest off from inside, and waits until it is off. Does nothing when it is off.
    ///
    /// # Errors
    /// As [`Node::wait_for_shutdown`].
    pub async fn shutdown(&self) -> Result<(), DriverError> {
        let Some(running) = self.running() else { return Ok(()) };
        running.ending.store(true, Ordering::SeqCst);
        match self.ask_for_poweroff(&running).await {
            // What was asked for, if not what it came from.
            Ok(()) | Err(DriverError::Exited { .. }) => self.wait_for_shutdown(None).await,
            Err(error) => Err(error),
        }
    }

    async fn ask_for_poweroff(&self, running: &Running) -> Result<(), DriverError> {
        let during = || "powering off".to_owned();
        // After a reboot the shell comes where the agent was, unless somebody waits for it already.
        if let Ok(_changing) = self.changing.try_lock()
            && self.recover_shell(running).unwrap_or(false)
        {
            // What is wrong with it, the order will find out.
            drop(self.clear_line(running, self.soon()).await);
        }
        let channel = running.line.channel();
        let order = channel.power_off(self.context.deadline);
        if running.is_connected() {
            return self.while_it_runs(running, during, order).await;
        }
        // Without a shell there is the power button. A guest that still boots may not have heard it, but
        // finds the command when its shell comes up.
        self.while_it_runs(running, during, running.machine.request_shutdown(self.soon())).await?;
        match self.while_it_runs(running, during, order).await {
            Err(DriverError::Shell { .. }) => {
                // The agent may have taken the shell's place just now, and not have heard it.
                let present = running.line.channel();
                if !Arc::ptr_eq(&present, &channel) {
                    drop(present.power_off(self.soon()).await);
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Ends the machine as a power failure does. Does nothing when it is off.
    ///
    /// # Errors
    /// As [`Node::wait_for_shutdown`].
    pub async fn crash(&self) -> Result<(), DriverError> {
        let Some(running) = self.running() else { return Ok(()) };
        self.log("forced crash");
        running.ending.store(true, Ordering::SeqCst);
        running.machine.destroy().await;
        self.wait_for_shutdown(None).await
    }

    /// Waits until the machine is off, however that comes about. Does nothing when it is off.
    ///
    /// # Errors
    /// [`DriverError::StillOn`] when it is not off in time.
    pub async fn wait_for_shutdown(&self, timeout: Option<Duration>) -> Result<(), DriverError> {
        let Some(running) = self.running() else { return Ok(()) };
        running.ending.store(true, Ordering::SeqCst);
        let limit = timeout.unwrap_or(self.context.deadline.remaining());
        self.wait_step("waiting for the VM to power off", limit, async {
            let mut exit = running.exit.clone();
            match within(Deadline::after(limit), ended(&mut exit)).await {
                Some(_) => {
                    self.forget(&running);
                    Ok(())
                }
                None => Err(DriverError::StillOn {
                    machine: self.name().to_owned(),
                    limit,
                    progress: self.console.progress(),
                }),
            }
        })
        .await
    }

    /// Whether the machine is on and its shell has answered.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running().is_some_and(|running| running.is_connected())
    }

    /// Whether the machine is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.running().is_some_and(|running| running.exit().is_none())
    }

    /// Ends the machine at the end of the run.
    pub(crate) async fn release(&self) {
        // A start that is being cancelled is waited for, or it would finish behind our back.
        let _changing = within(Deadline::after(EXIT_LAG), self.changing.lock()).await;
        let Some(running) = self.running() else { return };
        if running.exit().is_none() {
            let pid = running.machine.process_id().map_or_else(String::new, |pid| format!(" (pid {pid})"));
            self.context.journal.log(Level::Info, None, format!("kill machine {}{pid}", self.name()));
        }
        running.ending.store(true, Ordering::SeqCst);
        running.machine.destroy().await;
        // The watcher has the last word on how the machine ended; the journal must have it.
        let mut exit = running.exit.clone();
        let told = in_scope(current_scope(), ended(&mut exit));
        if within(Deadline::after(EXIT_LAG), told).await.is_none() {
            tracing::error!(machine = self.name(), "a destroyed machine did not tell its end");
        }
        self.forget(&running);
    }
}

impl Running {
    /// How the machine ended, if it has.
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// The id of the boot in which the guest was given its addresses; empty before.
    pub(super) fn boot_id(&self) -> String {
        self.addressed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_boot_id(&self, id: &str) {
        id.clone_into(&mut self.addressed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn is_connected(&self) -> bool {
        // A guest that reboots has to greet again.
        self.connected.load(Ordering::SeqCst)
            && self.exit.borrow().is_none()
            && self.line.channel().is_ready()
    }
}

pub(super) async fn ended(exit: &mut watch::Receiver<Option<Exit>>) -> Exit {
    loop {
        if let Some(exit) = exit.borrow_and_update().clone() {
            return exit;
        }
        // The task that follows the machine sends before it ends.
        if exit.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
