//! The driver: owns a run with its machines, its journal, its directory and its deadline, and ends all
//! that it started.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::Level;
use crate::guard::Guard;
use crate::image::Image;
use crate::journal::Journal;
use crate::machine::Backend;
use crate::node::Node;
use crate::ocr::OcrEngine;
use crate::spec::{Boot, Share};

mod test;
pub use test::TestResult;

/// How long a child of a command may hold its output unless the user says otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// What a run, and a machine's boot, may take unless the user says otherwise.
const RUN_LIMIT: Duration = Duration::from_secs(60 * 60);
const BOOT_LIMIT: Duration = Duration::from_secs(5 * 60);
/// The memory of a machine of which nobody says any, in MiB.
const MEMORY_MIB: u64 = 1024;

/// What a run is made of.
#[derive(Debug)]
pub struct DriverConfig {
    /// Where all events go.
    pub journal: Journal,
    /// The result directory.
    pub out_dir: PathBuf,
    /// When the run must be over.
    pub deadline: Deadline,
    /// The machines; their names differ.
    pub machines: Vec<MachineConfig>,
    /// The agent for the guests, packed by gzip; without it, the plain shell serves.
    pub agent: Option<&'static [u8]>,
    /// How long a child of a command may hold its standard output after the command itself has ended; the
    /// call then returns with a warning. `None` waits for ever, and so does the plain shell.
    pub grace: Option<Duration>,
    /// Who reads the text on screens; without it, the verbs that look for text there are refused.
    pub ocr: Option<Arc<dyn OcrEngine>>,
}

/// What a machine is made of, before the run has given it directories.
#[derive(Debug, Clone)]
pub struct MachineConfig {
    /// The name that scripts, logs and host names use.
    pub name: String,
    /// Who launches it.
    pub backend: Arc<dyn Backend>,
    /// How it boots.
    pub boot: Boot,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Virtual processors.
    pub cores: u32,
    /// Directories of the host that the guest can mount.
    pub shares: Vec<Share>,
    /// How long it may take from the launch to a shell that answers.
    pub boot_timeout: Duration,
    /// Whether a reboot of the guest restarts the machine even when the script does not say so.
    pub allow_reboot: bool,
    /// The backend's own settings, or null.
    pub options: serde_json::Value,
}

impl DriverConfig {
    /// A run without machines that leaves its results in `out_dir`: an hour at most, ten seconds of grace
    /// for outputs, no agent, no OCR engine.
    #[must_use]
    pub fn new(out_dir: impl Into<PathBuf>, journal: Journal) -> Self {
        Self {
            journal,
            out_dir: out_dir.into(),
            deadline: Deadline::after(RUN_LIMIT),
            machines: Vec::new(),
            agent: None,
            grace: Some(GRACE),
            ocr: None,
        }
    }
}

impl MachineConfig {
    /// A machine with one processor, the memory that its image wants or else 1 GiB, and five minutes to boot.
    #[must_use]
    pub fn new(name: impl Into<String>, backend: Arc<dyn Backend>, image: Image) -> Self {
        Self {
            name: name.into(),
            backend,
            boot: image.boot,
            memory_mib: image.memory_mib.unwrap_or(MEMORY_MIB),
            cores: 1,
            shares: Vec::new(),
            boot_timeout: BOOT_LIMIT,
            allow_reboot: false,
            options: serde_json::Value::Null,
        }
    }
}

/// A run.
#[derive(Debug)]
pub struct Driver {
    nodes: Vec<Arc<Node>>,
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
    pub(crate) ocr: Option<Arc<dyn OcrEngine>>,
    run_dir: PathBuf,
    cancelled: watch::Sender<Option<String>>,
}

impl Driver {
    /// Sets a run up: a fresh directory for it, and its machines, all of them off.
    ///
    /// # Errors
    /// [`DriverError::File`] when the directory cannot be made, or the guard cannot be started.
    pub fn new(config: DriverConfig) -> Result<Arc<Self>, DriverError> {
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
        let shared_dir = run_dir.path().join("shared-xchg");
        std::fs::create_dir(&shared_dir).map_err(failed("make", &shared_dir))?;
        let guard = Arc::new(Guard::start(run_dir.path())?);
        let context = Arc::new(Context {
            journal: config.journal,
            guard,
            out_dir: config.out_dir,
            deadline: config.deadline,
            agent: config.agent,
            grace: config.grace,
            ocr: config.ocr,
            // From here on the guard removes it.
            run_dir: TempDir::keep(run_dir),
            cancelled: watch::Sender::new(None),
        });
        let mut nodes = Vec::new();
        for machine in config.machines {
            let state_dir = context.run_dir.join(format!("vm-state-{}", machine.name));
            std::fs::create_dir(&state_dir).map_err(failed("make", &state_dir))?;
            nodes.push(Arc::new(Node::new(machine, state_dir, shared_dir.clone(), Arc::clone(&context))));
        }
        nodes.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(Arc::new(Self { nodes, context }))
    }

    /// The machines, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The machine of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.iter().find(|node| node.name() == name).cloned()
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
        let cleanup = self.journal().step(None, "cleanup", None, async {
            join_all(self.nodes.iter().map(|node| node.release())).await;
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
    async fn cancelled(&self) -> String {
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
