//! Connecting with a guest: its shell greets, and the agent takes the shell's place; after a reboot, or when the
//! agent was killed, the shell is found again where the agent was.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Node;
use super::life::Running;
use crate::agent;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::{BootPhase, Level, MachineState};
use crate::journal::Journal;
use crate::shell::Shell;
use crate::text::python_bytes_repr;
use crate::wait::within;

/// How often a boot that takes long is mentioned in the log.
const STILL_BOOTING: Duration = Duration::from_secs(30);
/// How long the agent may take to answer when it has been started: as its link does without a word.
const AGENT_LIMIT: Duration = Duration::from_secs(60);
/// How long the initrd may take: NixOS's default for waits.
const SWITCH_LIMIT: Duration = Duration::from_secs(900);

impl Node {
    pub(super) fn shell_listener(&self) -> impl Fn(&[u8]) + Send + use<> {
        let journal: Journal = self.context.journal.clone();
        let name = self.name().to_owned();
        move |bytes| {
            let text = format!("Guest shell says: {}", python_bytes_repr(bytes));
            journal.log(Level::Info, Some(&name), text);
        }
    }

    /// As [`Node::shell_listener`], where the agent was: what it has left behind is not told.
    fn shell_listener_after_agent(&self) -> impl FnMut(&[u8]) + Send + use<> {
        let listener = self.shell_listener();
        let mut remains = agent::Remains::default();
        move |bytes| {
            let told = remains.taken_out_of(bytes);
            if !told.is_empty() {
                listener(&told);
            }
        }
    }

    /// Waits until the guest's root shell answers; starts the machine if it is off.
    ///
    /// # Errors
    /// [`DriverError::NeverBooted`] when the shell does not come within the machine's boot timeout;
    /// [`DriverError::Exited`] when the machine ends instead.
    pub async fn connect(&self) -> Result<(), DriverError> {
        self.connected().await.map(drop)
    }

    /// The present launch with a shell that answers.
    pub(super) async fn connected(&self) -> Result<Arc<Running>, DriverError> {
        if let Some(running) = self.running().filter(|running| running.is_connected()) {
            return Ok(running);
        }
        let _changing = self.changing.lock().await;
        // What ended by itself stays ended until somebody has taken note of it with wait_for_shutdown()
        // or start(): booting it again behind a test's back would hide the crash.
        if let Some(running) = self.running() {
            if let Some(exit) = running.exit() {
                return Err(self.exited(exit, None));
            }
            if running.is_connected() {
                return Ok(running);
            }
        }
        // Boxed, or the future of every verb would have to hold all of a boot.
        Box::pin(self.wait_step("waiting for the VM to finish booting", self.config.boot_timeout, async {
            self.start_unless_on(None).await?;
            let running = self.must_run("be connected to")?;
            self.bring_up(&running).await?;
            Ok(running)
        }))
        .await
    }

    /// As [`Node::connect`], for one launch whose shell has greeted: what has ended meanwhile is not started again.
    pub(super) async fn connect_launch(&self, running: &Arc<Running>) -> Result<(), DriverError> {
        let _changing = self.changing.lock().await;
        let is_present = self.running().is_some_and(|present| Arc::ptr_eq(&present, running));
        if !is_present || running.exit().is_some() || running.is_connected() {
            return Ok(());
        }
        let limit = self.config.boot_timeout;
        Box::pin(self.wait_step("waiting for the VM to finish booting", limit, self.bring_up(running))).await
    }

    /// Waits for the shell of a launch, and makes it ready for commands.
    async fn bring_up(&self, running: &Running) -> Result<(), DriverError> {
        let began = Deadline::after(self.config.boot_timeout);
        let is_back = self.recover_shell(running)?;
        self.greeted(running, began).await?;
        if is_back {
            self.clear_line(running, began).await?;
        }
        self.start_agent(running, began).await?;
        self.give_addresses(running, began).await?;
        self.reached_shell(running);
        self.log("connected to guest root shell");
        self.log(format!("(connecting took {:.2} seconds)", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// From now on commands are run.
    pub(super) fn reached_shell(&self, running: &Running) {
        if let Channel::Shell(shell) = running.line.channel().as_ref() {
            shell.acknowledge();
        }
        running.connected.store(true, Ordering::SeqCst);
        self.console.reached(BootPhase::Shell);
        self.entered(MachineState::Connected);
    }

    /// After a reboot the guest has its shell again, where the agent was. Says whether it is so.
    pub(super) fn recover_shell(&self, running: &Running) -> Result<bool, DriverError> {
        let channel = running.line.channel();
        let Channel::Agent(agent) = channel.as_ref() else { return Ok(false) };
        if !agent.is_gone() {
            return Ok(false);
        }
        let lost = || DriverError::Shell {
            machine: self.name().to_owned(),
            problem: "was lost with the agent in its place".to_owned(),
            during: None,
        };
        let streams = agent.take_streams().ok_or_else(lost)?;
        *running.bulk.lock().unwrap_or_else(PoisonError::into_inner) = streams.bulk;
        let shell = Shell::open(self.name(), streams.shell, self.shell_listener_after_agent());
        running.line.set(Channel::Shell(shell));
        Ok(true)
    }

    /// Ends the line that the shell may be reading: what the agent was sent when it was gone already.
    pub(super) async fn clear_line(&self, running: &Running, limit: Deadline) -> Result<(), DriverError> {
        match running.line.channel().as_ref() {
            Channel::Shell(shell) => shell.send_raw("\n", limit).await,
            Channel::Agent(_) => Ok(()),
        }
    }

    /// Puts the agent into the shell's place, if this run has one for the guest.
    async fn start_agent(&self, running: &Running, limit: Deadline) -> Result<(), DriverError> {
        let channel = running.line.channel();
        let (Channel::Shell(shell), Some(packed)) = (channel.as_ref(), self.context.agent) else {
            return Ok(());
        };
        let starting = agent::start(self.name(), shell, packed, &running.bulk, limit, self.shell_listener());
        match self.while_it_runs(running, || "starting the agent".to_owned(), starting).await? {
            // From now on the stream is its own: if it is lost before it answers, the shell can be found again.
            Ok(agent) => {
                running.line.set(Channel::Agent(agent));
                self.greeted(running, limit.at_most(AGENT_LIMIT)).await?;
            }
            Err(reason) => self.log(format!("the plain shell serves, without the agent: {reason}")),
        }
        Ok(())
    }

    pub(super) async fn greeted(&self, running: &Running, limit: Deadline) -> Result<(), DriverError> {
        let channel = running.line.channel();
        let shell = match channel.as_ref() {
            Channel::Shell(shell) => shell,
            // One that has not answered in the time of an earlier call.
            Channel::Agent(agent) => {
                let during = || "waiting for the agent".to_owned();
                return self.while_it_runs(running, during, agent.ready(limit)).await;
            }
        };
        let shell_comes = async {
            loop {
                let step = limit.at_most(STILL_BOOTING);
                if let Some(result) = within(step, shell.ready(limit)).await {
                    return result;
                }
                if limit.is_over() {
                    return Ok(());
                }
                self.log(format!(
                    "Guest root shell did not produce any data yet... ({})",
                    self.console.progress()
                ));
            }
        };
        let came = self.while_it_runs(running, || "waiting for its shell".to_owned(), shell_comes).await;
        let timed_out =
            matches!(&came, Err(DriverError::Timeout { .. })) || (came.is_ok() && limit.is_over());
        if !timed_out {
            return came;
        }
        Err(DriverError::NeverBooted {
            machine: self.name().to_owned(),
            limit: self.config.boot_timeout,
            progress: self.console.progress(),
        })
    }

    /// Leaves the initrd for the guest's real system, and waits for the shell there. For guests whose shell
    /// answers in the initrd, such as NixOS's with `testing.initrdBackdoor`.
    ///
    /// # Errors
    /// As [`Node::wait_for_unit`], for `initrd.target`, and [`Node::connect`].
    pub async fn switch_root(&self) -> Result<(), DriverError> {
        self.wait_for_unit("initrd.target", None, SWITCH_LIMIT).await?;
        let running = self.connected().await?;
        let channel = running.line.channel();
        let order = channel.leave_initrd(self.context.deadline);
        match self.while_it_runs(&running, || "leaving the initrd".to_owned(), order).await {
            // It may be gone before it can say that it has obeyed.
            Ok(()) | Err(DriverError::Shell { .. }) => {}
            Err(error) => return Err(error),
        }
        channel.reset();
        if let Channel::Agent(agent) = channel.as_ref() {
            // Or it would be taken for the answer to the next call.
            agent.gone().await;
        }
        running.connected.store(false, Ordering::SeqCst);
        self.connect().await
    }
}
