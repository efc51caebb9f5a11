//! A run on fake machines, and all that its journal was told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_core::event::{Event, Level, Record};
use driver_core::fake::{FakeBackend, Play};
use driver_core::verbs::Subject;
use driver_core::{
    Boot, Driver, DriverConfig, DriverError, Journal, MachineConfig, Node, OcrEngine, Reporter, RustPatterns,
};
use serde_json::Value;
use tempfile::TempDir;

/// A run with one machine, `server`.
pub(crate) struct Stage {
    pub(crate) driver: Arc<Driver>,
    pub(crate) server: Arc<Node>,
    pub(crate) out_dir: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
}

struct Recorder(Arc<Mutex<Vec<Record>>>);

impl Reporter for Recorder {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.0.lock().expect("no reporter panics").push(record.clone());
        Ok(())
    }
}

impl Stage {
    /// Sets the run up; nothing is started yet.
    pub(crate) fn new(backend: &FakeBackend) -> Self {
        Self::with_ocr(backend, None)
    }

    /// A run with an OCR engine.
    pub(crate) fn with_ocr(backend: &FakeBackend, ocr: Option<Arc<dyn OcrEngine>>) -> Self {
        let records = Arc::new(Mutex::new(Vec::new()));
        let out_dir = tempfile::tempdir().expect("a result directory");
        let server = MachineConfig {
            name: "server".to_owned(),
            backend: Arc::new(backend.clone()),
            boot: Boot::Firmware { disks: Vec::new() },
            memory_mib: 512,
            cores: 1,
            shares: Vec::new(),
            vlans: Vec::new(),
            boot_timeout: Duration::from_secs(60),
            allow_reboot: false,
            options: Value::Null,
        };
        let journal = Journal::in_memory(vec![Box::new(Recorder(Arc::clone(&records)))]);
        let driver = Driver::new(DriverConfig {
            machines: vec![server],
            grace: None,
            ocr,
            ..DriverConfig::new(out_dir.path(), journal)
        })
        .expect("a run");
        let server = driver.node("server").expect("the machine");
        Self { driver, server, out_dir, records }
    }

    /// One machine that plays.
    pub(crate) fn playing(play: Play) -> (Self, FakeBackend) {
        let backend = FakeBackend::new().with_play("server", play);
        (Self::new(&backend), backend)
    }

    /// Calls a verb of the machine as a script does.
    pub(crate) async fn call(&self, verb: &str, params: Value) -> Result<Value, DriverError> {
        self.driver.call(verb, Subject::Machine("server"), params, Arc::new(RustPatterns)).await
    }

    /// Ends the run and returns all its records.
    pub(crate) async fn end(self) -> Vec<Record> {
        self.driver.shut_down().await;
        self.driver.journal().close().expect("a journal without errors");
        let records = self.records.lock().expect("no reporter panics");
        records.clone()
    }
}

/// The log's lines and the headings of its steps, with the machine's name before them.
pub(crate) fn log_of(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        let text = match &record.event {
            Event::Log { level: Level::Info, text } | Event::ScopeStarted { text, .. } => text.clone(),
            Event::ScopeEnded { error: Some(error), .. } => format!("(failed: {error})"),
            _ => return None,
        };
        Some(record.machine.as_ref().map_or_else(|| text.clone(), |machine| format!("{machine}: {text}")))
    };
    records.iter().filter_map(line).collect()
}
