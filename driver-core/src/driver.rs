//! The driver: owns a run with its machines, its journal, its directory and its deadline, and ends all
//! that it started.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::sync::{OnceCell, watch};

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::Level;
use crate::evidence::EvidencePolicy;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::machine::Capabilities;
use crate::node::Node;
use crate::ocr::OcrEngine;
use crate::screen::Needles;
use crate::verbs::Expected;
use crate::vlan::{Setup, Station, Vlan};

mod config;
mod created;
mod doors;
mod state;
mod test;
pub use config::{DriverConfig, MachineConfig, StatePlace, VlanConfig};
use created::Created;
pub use doors::Door;
use doors::Doors;
use state::StateDirs;
pub use test::TestResult;

/// A run.
#[derive(Debug)]
pub struct Driver {
    nodes: Vec<Arc<Node>>,
    vlans: Vec<Arc<Vlan>>,
    created: Created,
    doors: Doors,
    states: StateDirs,
    /// The packets that the script looks out for.
    pub(crate) expected: Expected,
    context: Arc<Context>,
}

/// What the run and its machines share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) journal: Journal,
    pub(crate) guard: Arc<Guard>,
    pub(crate) out_dir: PathBuf,
    pub(crate) deadline: Deadline,
    pub(crate) agent: Option<&'static [u8]>,
    pub(crate) grace: Option<Duration>,
    /// All machines on all VLANs.
    pub(crate) stations: Vec<Station>,
    pub(crate) ocr: Option<Arc<dyn OcrEngine>>,
    pub(crate) needles_dir: Option<PathBuf>,
    /// Read when they are first looked for.
    pub(crate) needles: OnceCell<Arc<Needles>>,
    pub(crate) choice: Vec<(String, Capabilities)>,
    pub(crate) evidence: EvidencePolicy,
    pub(crate) video: bool,
    pub(crate) environment: created::Environment,
    run_dir: PathBuf,
    cancelled: watch::Sender<Option<String>>,
}

impl Driver {
    /// Sets a run up: a fresh directory for it, and its machines, all of them off.
    ///
    /// # Errors
    /// [`DriverError::File`] when the directory cannot be made, or the guard cannot be started;
    /// [`DriverError::Usage`] for VLANs that cannot be; what the switches return.
    pub fn new(mut config: DriverConfig) -> Result<Arc<Self>, DriverError> {
        config.machines.sort_by(|one, other| one.name.cmp(&other.name));
        let network = Setup::new(&config)?;
        let parent = std::env::temp_dir();
        let failed = |operation, path: &Path| {
            let path = path.display().to_string();
            move |source| DriverError::File { operation, path, source }
        };
        // Mode 0700 from the start: sockets to root shells live in it.
        let run_dir = tempfile::Builder::new()
            .prefix("innkeeper-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(failed("make a directory in", &parent))?;
        let states = StateDirs::new(config.state, run_dir.path())?;
        let guard = Arc::new(Guard::start(run_dir.path())?);
        let context = Arc::new(Context {
            journal: config.journal,
            guard,
            out_dir: config.out_dir,
            deadline: config.deadline,
            agent: config.agent,
            grace: config.grace,
            stations: network.stations().to_vec(),
            ocr: config.ocr,
            needles_dir: config.needles,
            needles: OnceCell::new(),
            choice: config.choice,
            evidence: config.evidence,
            video: config.video,
            environment: created::Environment::default(),
            // From here on the guard removes it.
            run_dir: TempDir::keep(run_dir),
            cancelled: watch::Sender::new(None),
        });
        let vlans = network.start(&context.journal, &context.run_dir, &context.out_dir)?;
        let mut nodes = Vec::new();
        for machine in config.machines {
            let nics = network.plug(&machine.name, &vlans)?;
            let state_dir = states.make(&machine.name, &context.journal)?;
            let (shared_dir, context) = (states.shared_dir().to_owned(), Arc::clone(&context));
            nodes.push(Node::new(machine, state_dir, shared_dir, nics, context));
        }
        let created = Created::new(config.start_scripts);
        let (doors, expected) = (Doors::default(), Expected::default());
        Ok(Arc::new(Self { nodes, vlans, created, doors, states, expected, context }))
    }

    /// The machines, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Those and the machines that the script has made.
    #[must_use]
    pub fn all_nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.iter().cloned().chain(self.created.all()).collect()
    }

    /// The machine of that name, or the one that the script has made and knows by it.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        let described = self.nodes.iter().find(|node| node.name() == name).cloned();
        described.or_else(|| self.created.node(name))
    }

    /// The VLANs, by number.
    #[must_use]
    pub fn vlans(&self) -> &[Arc<Vlan>] {
        &self.vlans
    }

    /// The VLAN of that number.
    #[must_use]
    pub fn vlan(&self, number: u32) -> Option<Arc<Vlan>> {
        self.vlans.iter().find(|vlan| vlan.number() == number).cloned()
    }

    /// All machines on all VLANs with their addresses: by name, then in the order of their cards.
    #[must_use]
    pub fn stations(&self) -> &[Station] {
        &self.context.stations
    }

    /// Where all events of the run go.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.context.journal
    }

    /// A directory that lives as long as the run, for sockets and the like; mode 0700.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.context.run_dir
    }

    /// The directory of the machines' directories.
    #[must_use]
    pub fn state_base(&self) -> &Path {
        self.states.base()
    }

    /// The directory that machines and host share.
    #[must_use]
    pub fn shared_dir(&self) -> &Path {
        self.states.shared_dir()
    }

    pub(crate) fn evidence(&self) -> EvidencePolicy {
        self.context.evidence
    }

    /// The result directory.
    #[must_use]
    pub fn out_dir(&self) -> &Path {
        &self.context.out_dir
    }

    /// When the run must be over.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// Where processes are registered that must not outlive the driver.
    #[must_use]
    pub fn guard(&self) -> &Arc<Guard> {
        &self.context.guard
    }

    /// Checks what can be checked before anything is started: the host, and each machine's description.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub async fn check(&self) -> Result<(), DriverError> {
        for node in &self.nodes {
            node.check().await?;
        }
        Ok(())
    }

    /// Makes every call in flight, and every later one, fail with [`DriverError::Cancelled`].
    pub fn cancel(&self, reason: &str) {
        self.context.cancelled.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Waits until the run has to end early, and says why.
    pub async fn cancelled(&self) -> String {
        self.context.cancelled().await
    }

    /// Starts all machines at once, and waits until each runs (not until it has booted).
    ///
    /// # Errors
    /// [`DriverError::Launch`] or whatever a single machine's start returns; of several, a list.
    pub async fn start_all(&self) -> Result<(), DriverError> {
        let journal = self.journal();
        journal
            .step(None, "start all VMs", None, async {
                let starts = join_all(self.nodes.iter().map(|node| node.start(None))).await;
                let mut failed: Vec<(&str, DriverError)> = self
                    .nodes
                    .iter()
                    .zip(starts)
                    .filter_map(|(node, result)| Some((node.name(), result.err()?)))
                    .collect();
                if failed.len() < 2 {
                    return failed.pop().map_or(Ok(()), |(_, error)| Err(error));
                }
                let list: Vec<String> =
                    failed.iter().map(|(name, error)| format!("{name}: {}", error.chain())).collect();
                Err(DriverError::Launch {
                    machine: failed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
                    problem: format!("Failed to start the following machines:\n{}", list.join("\n")),
                    way_out: String::new(),
                })
            })
            .await
    }

    /// Waits until all machines are off.
    ///
    /// # Errors
    /// As [`Node::wait_for_shutdown`].
    pub async fn join_all(&self) -> Result<(), DriverError> {
        let journal = self.journal();
        journal
            .step(None, "wait for all VMs to finish", None, async {
                for result in join_all(self.nodes.iter().map(|node| node.wait_for_shutdown(None))).await {
                    result?;
                }
                Ok(())
            })
            .await
    }

    /// Ends all machines and removes the run's directory. Nothing of the run is left when it returns.
    pub async fn shut_down(&self) {
        self.cancel("the run is over");
        self.doors.close();
        let cleanup = self.journal().step(None, "cleanup", None, async {
            join_all(self.all_nodes().iter().map(|node| node.release())).await;
            join_all(self.vlans.iter().map(|vlan| vlan.close())).await;
            Ok(())
        });
        if let Err(error) = cleanup.await {
            self.journal().log(Level::Warning, None, error.chain());
        }
        let guard = Arc::clone(&self.context.guard);
        if let Err(error) = tokio::task::spawn_blocking(move || guard.finish()).await {
            tracing::error!(%error, "the guard could not be waited for");
        }
    }

    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        tokio::select! {
            biased;
            reason = self.cancelled() => Err(DriverError::Cancelled { reason }),
            result = work => result,
        }
    }
}

impl Context {
    pub(crate) async fn cancelled(&self) -> String {
        let mut receiver = self.cancelled.subscribe();
        loop {
            if let Some(reason) = receiver.borrow_and_update().clone() {
                return reason;
            }
            // The sender lives in this very context, so that there is always a next time.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
