//! A run of one script against fake machines, whose shell is a bash of this host with its standard error as
//! the console.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driver_core::event::{Event, Level, Record, ScopeId};
use driver_core::fake::{FakeBackend, FakeSwitches, Play, Reply};
use driver_core::{
    Boot, Deadline, Driver, DriverConfig, DriverError, Frame, Journal, MachineConfig, OcrEngine, OcrError,
    Reading, Reporter, TextLine, Word,
};
use script::{Script, ScriptError, ScriptFailure, ScriptOutcome};
use tokio::sync::watch;

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

/// Reads a prompt on every screen.
#[derive(Debug)]
struct Prompt;

impl OcrEngine for Prompt {
    fn name(&self) -> &'static str {
        "prompt"
    }

    fn read(&self, _frame: &Frame, _within: Deadline) -> Result<Reading, OcrError> {
        let word = Word { text: "login:".to_owned(), rect: None, confidence: None };
        Ok(Reading { engine: self.name().to_owned(), lines: vec![TextLine { words: vec![word] }] })
    }
}

/// A run that a script can be put into.
pub(crate) struct Bench {
    pub(crate) driver: Arc<Driver>,
    /// What is in the journal by now.
    pub(crate) records: watch::Receiver<Vec<Record>>,
    /// The switches of VLANs 1 and 2, which all machines are on.
    pub(crate) switches: FakeSwitches,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(machines: &[&str]) -> Self {
        Self::with_programs(machines, None)
    }

    /// The machines find the programs in a directory before those of the host.
    pub(crate) fn with_programs(machines: &[&str], programs: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let (sender, records) = watch::channel(Vec::new());
        let switches = FakeSwitches::default();
        let config = DriverConfig {
            journal: Journal::in_memory(vec![Box::new(Recorder(sender))]),
            out_dir: folder.path().to_owned(),
            deadline: Deadline::after(Duration::from_secs(120)),
            machines: machines.iter().map(|name| machine(name, programs.clone())).collect(),
            agent: None,
            grace: None,
            switches: Some(Arc::new(switches.clone())),
            vlans: Vec::new(),
            seed: Some(1),
            ocr: Some(Arc::new(Prompt)),
            evidence: driver_core::EvidencePolicy::default(),
            video: false,
        };
        Self { driver: Driver::new(config).expect("a driver"), records, switches, folder }
    }

    /// Runs a script to its end, and ends the run.
    pub(crate) async fn run(self, name: &str, text: &str) -> Ran {
        self.run_bytes(name, text.as_bytes()).await
    }

    /// As [`Bench::run`], with a script that need not be text.
    pub(crate) async fn run_bytes(self, name: &str, text: &[u8]) -> Ran {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the script is written");
        let script = Script::new(path, None).expect("a script");
        let outcome = script::run(&self.driver, &script).await;
        self.driver.shut_down().await;
        self.driver.journal().close().expect("the journal is whole");
        let records = self.records.borrow().clone();
        Ran { outcome, records, folder: format!("{}/", self.folder.path().display()) }
    }
}

/// Runs a script against one machine, `server`.
pub(crate) async fn run(name: &str, text: &str) -> Ran {
    Bench::new(&["server"]).run(name, text).await
}

struct Recorder(watch::Sender<Vec<Record>>);

impl Reporter for Recorder {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.0.send_modify(|records| records.push(record.clone()));
        Ok(())
    }
}

fn machine(name: &str, programs: Option<PathBuf>) -> MachineConfig {
    let play = Play::default().bash(programs).answer("panic", Reply::Panics);
    MachineConfig {
        name: name.to_owned(),
        backend: Arc::new(FakeBackend::new().with_play(name, play)),
        boot: Boot::Firmware { disks: Vec::new() },
        memory_mib: 1,
        cores: 1,
        shares: Vec::new(),
        vlans: vec![1, 2],
        boot_timeout: Duration::from_secs(30),
        allow_reboot: false,
        options: serde_json::Value::Null,
    }
}
