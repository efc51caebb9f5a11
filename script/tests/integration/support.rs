//! Machines whose guest is a bash of this host, with its standard error as the console; and a run of one
//! script against them.

use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::event::{Event, Level, Record, ScopeId};
use driver_core::{
    Backend, Boot, Capabilities, Deadline, Driver, DriverConfig, DriverError, Exit, ExitReason, GREETING,
    GuestPort, GuestStream, Journal, Machine, MachineConfig, MachineLog, MachineSpec, Reporter,
};
use script::{Script, ScriptError, ScriptFailure, ScriptOutcome};
use tokio::io::{join, sink};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, watch};

/// What a script left behind.
pub(crate) struct Ran {
    pub(crate) outcome: Result<ScriptOutcome, ScriptError>,
    pub(crate) records: Vec<Record>,
    /// The directory that the script lay in; taken out of messages.
    pub(crate) folder: String,
}

impl Ran {
    pub(crate) fn passed(&self) {
        assert!(
            matches!(self.outcome, Ok(ScriptOutcome::Passed)),
            "{:?}\n{:#?}",
            self.outcome,
            self.printed()
        );
    }

    pub(crate) fn failure(&self) -> &ScriptFailure {
        match &self.outcome {
            Ok(ScriptOutcome::Failed(failure)) => failure,
            other => panic!("{other:?}\n{:#?}", self.printed()),
        }
    }

    /// The traceback as a test author sees it, with the file's name alone.
    pub(crate) fn traceback(&self) -> String {
        self.failure().traceback.join("\n").replace(&self.folder, "")
    }

    /// What the script printed.
    pub(crate) fn printed(&self) -> Vec<&str> {
        let lines = self.records.iter().filter_map(|record| match &record.event {
            Event::ScriptOutput { line, .. } => Some(line.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// The log lines of a level.
    pub(crate) fn logged(&self, wanted: Level) -> Vec<&str> {
        let lines = self.records.iter().filter_map(|record| match &record.event {
            Event::Log { level, text } if *level == wanted => Some(text.as_str()),
            _ => None,
        });
        lines.collect()
    }

    /// The headings of the scopes around the first record that `wanted` finds, outermost first.
    pub(crate) fn scopes_around(&self, wanted: impl Fn(&Event) -> bool) -> Vec<&str> {
        let record = self.records.iter().find(|record| wanted(&record.event)).expect("such a record");
        let mut headings = Vec::new();
        let mut scope = record.scope;
        while let Some((heading, parent)) = self.scope(scope) {
            headings.insert(0, heading);
            scope = parent;
        }
        headings
    }

    fn scope(&self, wanted: ScopeId) -> Option<(&str, ScopeId)> {
        self.records.iter().find_map(|record| match &record.event {
            Event::ScopeStarted { id, text, .. } if *id == wanted => Some((text.as_str(), record.scope)),
            _ => None,
        })
    }
}

/// A run that a script can be put into.
pub(crate) struct Bench {
    pub(crate) driver: Arc<Driver>,
    folder: tempfile::TempDir,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Bench {
    pub(crate) fn new(machines: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let records = Arc::default();
        let journal = Journal::in_memory(vec![Box::new(Recorder(Arc::clone(&records)))]);
        let config = DriverConfig {
            journal,
            out_dir: folder.path().to_owned(),
            deadline: Deadline::after(Duration::from_secs(120)),
            machines: machines.iter().map(|name| machine(name)).collect(),
        };
        Self { driver: Driver::new(config).expect("a driver"), folder, records }
    }

    /// Runs a script to its end, and ends the run.
    pub(crate) async fn run(self, name: &str, text: &str) -> Ran {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the script is written");
        let script = Script::new(path, None).expect("a script");
        let outcome = script::run(&self.driver, &script).await;
        self.driver.shut_down().await;
        self.driver.journal().close().expect("the journal is whole");
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ran { outcome, records, folder: format!("{}/", self.folder.path().display()) }
    }

    /// Waits until a line is in the log.
    pub(crate) async fn logged(records: Arc<Mutex<Vec<Record>>>, wanted: &str) {
        loop {
            let found = records
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .any(|record| matches!(&record.event, Event::Log { text, .. } if text == wanted));
            if found {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn records(&self) -> Arc<Mutex<Vec<Record>>> {
        Arc::clone(&self.records)
    }
}

/// Runs a script against one machine, `server`.
pub(crate) async fn run(name: &str, text: &str) -> Ran {
    Bench::new(&["server"]).run(name, text).await
}

struct Recorder(Arc<Mutex<Vec<Record>>>);

impl Reporter for Recorder {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        Ok(())
    }
}

fn machine(name: &str) -> MachineConfig {
    MachineConfig {
        name: name.to_owned(),
        backend: Arc::new(Bash),
        boot: Boot::Firmware { disks: Vec::new() },
        memory_mib: 1,
        cores: 1,
        shares: Vec::new(),
        boot_timeout: Duration::from_secs(30),
        allow_reboot: false,
        options: serde_json::Value::Null,
    }
}

/// The backend whose machines are a bash.
#[derive(Debug)]
struct Bash;

#[async_trait]
impl Backend for Bash {
    fn name(&self) -> &str {
        "bash"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn probe(&self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn check(&self, _spec: &MachineSpec) -> Result<(), DriverError> {
        Ok(())
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        _log: Arc<dyn MachineLog>,
        _within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let mut child = Command::new("bash")
            .args(["-c", &format!("echo '{GREETING}'; exec bash --norc")])
            .current_dir(&spec.state_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash starts");
        let shell = child.stdout.take().zip(child.stdin.take());
        let console = child.stderr.take();
        let (exit, _) = watch::channel(None);
        let ended = exit.clone();
        let kill = Arc::new(Notify::new());
        let killed = Arc::clone(&kill);
        tokio::spawn(async move {
            tokio::select! {
                _ = child.wait() => {}
                () = killed.notified() => child.kill().await.expect("bash ends"),
            }
            ended.send_replace(Some(Exit::new(ExitReason::Destroyed)));
        });
        let ports = Mutex::new((shell, console));
        Ok(Arc::new(BashMachine { name: spec.name.clone(), ports, exit, kill }))
    }
}

type Ports = (Option<(ChildStdout, ChildStdin)>, Option<ChildStderr>);

struct BashMachine {
    name: String,
    ports: Mutex<Ports>,
    exit: watch::Sender<Option<Exit>>,
    kill: Arc<Notify>,
}

impl fmt::Debug for BashMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl Machine for BashMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        None
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match port {
            GuestPort::Shell => {
                let (stdout, stdin) = ports.0.take().expect("opened once");
                Box::new(join(stdout, stdin))
            }
            GuestPort::Console => Box::new(join(ports.1.take().expect("opened once"), sink())),
        })
    }

    async fn request_shutdown(&self, _within: Deadline) -> Result<(), DriverError> {
        self.kill.notify_one();
        Ok(())
    }

    async fn wait_exit(&self, _within: Deadline) -> Result<Exit, DriverError> {
        let mut exit = self.exit.subscribe();
        let exit = exit.wait_for(Option::is_some).await.expect("the sender is ours").clone();
        Ok(exit.expect("waited for"))
    }

    async fn destroy(&self) {
        self.kill.notify_one();
        let _ = self.exit.subscribe().wait_for(Option::is_some).await;
    }
}
