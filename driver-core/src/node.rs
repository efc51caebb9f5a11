//! A machine as a script sees it: on or off, with one name, one set of disks and one log over all its
//! launches. Its verbs are spread over the modules by what they are about.

mod addresses;
mod cables;
mod command;
mod connect;
mod console;
mod evidence;
mod files;
mod film;
mod input;
mod journal;
mod life;
mod needles;
mod network;
mod outside;
mod pointer;
mod reading;
mod sight;
mod snapshots;
mod stillness;
mod terminal;
mod units;
mod visit;
mod watch;
mod witness;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::channel::Line;
use crate::driver::{Context, MachineConfig};
use crate::error::DriverError;
use crate::event::{Event, Level, MachineState};
use crate::facet::Facet;
use crate::machine::MachineLog;
use crate::spec::{Boot, MachineSpec};
use crate::verbs::Verb;
use crate::vlan::Nic;

pub(crate) use command::Execute;
use console::ConsoleLog;
use film::Film;
use life::Running;
use sight::Sight;
use snapshots::{Album, Snapshot};
pub use units::UnitInfo;
pub use visit::TerminalSize;

/// A machine of the run.
pub struct Node {
    /// For what goes on behind a script's back.
    this: Weak<Self>,
    config: MachineConfig,
    state_dir: PathBuf,
    /// Where the next launch runs, if not there.
    moved_to: Mutex<Option<PathBuf>>,
    /// Whether a reboot restarts the next launch unless the call that starts it says so.
    reboots: AtomicBool,
    shared_dir: PathBuf,
    nics: Vec<Nic>,
    context: Arc<Context>,
    console: Arc<ConsoleLog>,
    /// The present launch, if there is one.
    running: Mutex<Option<Arc<Running>>>,
    album: Mutex<Album>,
    sight: Sight,
    film: Arc<Film>,
    /// Held while the machine is being started or ended: one at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Node {
    pub(crate) fn new(
        config: MachineConfig,
        state_dir: PathBuf,
        shared_dir: PathBuf,
        nics: Vec<Nic>,
        context: Arc<Context>,
    ) -> Arc<Self> {
        let console = Arc::new(ConsoleLog::new(&config.name, context.journal.clone()));
        let film = Arc::new(Film::new(&config.name, &state_dir, &context));
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            reboots: AtomicBool::new(config.allow_reboot),
            config,
            state_dir,
            moved_to: Mutex::default(),
            shared_dir,
            nics,
            context,
            console,
            running: Mutex::new(None),
            album: Mutex::default(),
            sight: Sight::default(),
            film,
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// The machine's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The name of the backend that launches it.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.config.backend.name()
    }

    /// The machine's own directory on the host.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Adds a line to the log, with the machine's name.
    pub fn log(&self, text: impl Into<String>) {
        self.context.journal.log(Level::Info, Some(self.name()), text);
    }

    /// Runs `work` as a step of the log, with the machine's name.
    async fn step<T>(
        &self,
        text: impl Into<String>,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        self.context.journal.step(Some(self.name()), text, None, work).await
    }

    /// Runs `work` as a step that waits for `limit` at most.
    async fn wait_step<T>(
        &self,
        text: impl Into<String>,
        limit: Duration,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        self.context.journal.wait_step(Some(self.name()), text, limit, work).await
    }

    pub(crate) async fn check(&self) -> Result<(), DriverError> {
        if !self.nics.is_empty() {
            self.must_have(Facet::Nics)?;
        }
        // A start script brings its own hypervisor.
        if !matches!(self.config.boot, Boot::StartScript { .. }) {
            self.config.backend.probe().await?;
        }
        self.config.backend.check(&self.spec(false, None)).await
    }

    fn spec(&self, allow_reboot: bool, from: Option<&Snapshot>) -> MachineSpec {
        MachineSpec {
            name: self.config.name.clone(),
            boot: self.boot(),
            memory_mib: self.config.memory_mib,
            cores: self.config.cores,
            state_dir: self.present_state_dir(),
            shared_dir: self.shared_dir.clone(),
            shares: self.config.shares.clone(),
            nics: self.nics.clone(),
            snapshot: from.map(|snapshot| snapshot.dir.clone()),
            allow_reboot,
            options: self.config.options.clone(),
        }
    }

    /// How the machine boots: as it was described, with its name where the kernel can hand that on.
    fn boot(&self) -> Boot {
        let mut boot = self.config.boot.clone();
        if let Boot::StartScript { command } = &mut boot {
            *command = self.context.environment.around(command);
        }
        if let Boot::Kernel { cmdline, .. } = &mut boot
            && self.gives_addresses()
        {
            // For what starts before the shell. Others than systemd do not mind.
            cmdline.push_str(" systemd.hostname=");
            cmdline.push_str(self.name());
        }
        boot
    }

    fn running(&self) -> Option<Arc<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_running(&self, running: Arc<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// Takes note of a launch's end. The next launch may have begun already: that one stays.
    fn forget(&self, ended: &Arc<Running>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.take_if(|present| Arc::ptr_eq(present, ended));
    }

    fn entered(&self, state: MachineState) {
        self.context.journal.emit(Some(self.name()), Event::MachineState { state });
    }

    /// The present launch, for verbs that make no sense on a machine that is off.
    fn must_run(&self, operation: &str) -> Result<Arc<Running>, DriverError> {
        self.running().ok_or_else(|| {
            DriverError::usage(format!(
                "machine `{}` is off: it cannot {operation} (call start() first)",
                self.name()
            ))
        })
    }

    fn must_have(&self, facet: Facet) -> Result<(), DriverError> {
        if self.config.backend.capabilities().has(facet) { Ok(()) } else { Err(self.lacks(facet)) }
    }

    fn lacks(&self, facet: Facet) -> DriverError {
        self.lacks_for(facet, format!("machine `{}`", self.name()))
    }

    fn lacks_for(&self, facet: Facet, needed_by: String) -> DriverError {
        let choice = self.context.choice.iter();
        let having = choice.filter(|(_, can)| can.has(facet)).map(|(name, _)| name.clone()).collect();
        DriverError::LacksFacet { backend: self.backend().to_owned(), facet, needed_by, having }
    }

    /// Why `verb` cannot work on this machine, if its backend lacks what the verb needs.
    #[must_use]
    pub fn refusal(&self, verb: &Verb) -> Option<DriverError> {
        let facet = verb.needs.filter(|facet| !self.config.backend.capabilities().has(*facet))?;
        Some(self.lacks_for(facet, format!("{}() of machine `{}`", verb.name, self.name())))
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.config.name).finish_non_exhaustive()
    }
}

/// What a backend says about one machine goes into the run's log, and its processes to the run's guard.
#[derive(Debug)]
struct NodeLog {
    machine: String,
    context: Arc<Context>,
    /// What commands of this launch go through, once it is open.
    line: OnceLock<Arc<Line>>,
}

impl MachineLog for NodeLog {
    fn info(&self, text: &str) {
        self.context.journal.log(Level::Info, Some(&self.machine), text);
    }

    fn warning(&self, text: &str) {
        self.context.journal.log(Level::Warning, Some(&self.machine), text);
    }

    fn guard_group(&self, pgid: u32) {
        self.context.guard.group(pgid);
    }

    fn release_group(&self, pgid: u32) {
        self.context.guard.release(pgid);
    }

    fn guest_reset(&self) {
        self.context.journal.log(Level::Debug, Some(&self.machine), "the guest reboots");
        // Before there is a shell there is none to be reset: the firmware may restart as it likes.
        if let Some(line) = self.line.get() {
            line.channel().reset();
        }
    }
}
