//! Records made by hand, and places that remember what was written to them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use driver_core::Reporter;
use driver_core::event::{
    ConsoleRules, Event, FORMAT, Outcome, Record, RunEnded, RunStarted, ScopeId, ScopeKind,
};
use report::{ATTEMPTS, EVENTS, Terminal, Verbosity, remake};
use tempfile::TempDir;

/// A writer that others can look into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("everything that is written is UTF-8")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows records on a terminal, and returns what appears on standard error and on standard output.
pub(crate) fn show(records: &[Record], colours: bool, verbosity: Verbosity) -> (String, String) {
    let (log, script) = (Written::default(), Written::default());
    let mut terminal = terminal(&log, &script, colours, verbosity);
    feed(&mut terminal, records);
    (log.text(), script.text())
}

pub(crate) fn terminal(log: &Written, script: &Written, colours: bool, verbosity: Verbosity) -> Terminal {
    let (log, script) = (Box::new(log.clone()), Box::new(script.clone()));
    Terminal::new(log, script, colours, verbosity, Path::new("result"))
}

/// Gives all records to a reporter, and ends the stream.
pub(crate) fn feed(reporter: &mut dyn Reporter, records: &[Record]) {
    for record in records {
        reporter.record(record).expect("the reporter takes the record");
    }
    reporter.finish().expect("the reporter finishes");
}

/// Makes records, ten milliseconds apart, between the start and the end of a passed run.
pub(crate) fn run(events: impl IntoIterator<Item = (ScopeId, Option<&'static str>, Event)>) -> Vec<Record> {
    let started = RunStarted {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        test: "example".to_owned(),
        machines: vec!["server".to_owned()],
        script: "test.py".to_owned(),
        timeout_s: 60.0,
        started_unix_ms: 0,
        console: ConsoleRules::default(),
    };
    let ended = RunEnded {
        outcome: Outcome::Passed,
        kind: None,
        message: None,
        duration_us: 60_000_000,
        exit_status: 0,
    };
    let first = std::iter::once((0, None, Event::RunStarted(started)));
    let last = std::iter::once((0, None, Event::RunEnded(ended)));
    let all = first.chain(events).chain(last);
    (0..)
        .zip(all)
        .map(|(seq, (scope, machine, event))| Record {
            seq,
            t_us: seq * 10_000,
            scope,
            machine: machine.map(str::to_owned),
            event,
        })
        .collect()
}

/// A run of a test that began at this second, took one second, and ended like that; its subtest `shop` with this error.
pub(crate) fn attempt(second: u64, outcome: Outcome, subtest: Option<&str>) -> Vec<Record> {
    let start = Event::ScopeStarted { id: 1, kind: ScopeKind::Subtest, text: "shop".to_owned(), file: None };
    let end = Event::ScopeEnded { id: 1, duration_us: 5, error: subtest.map(str::to_owned) };
    let mut records = run([(0, None, start), (0, None, end)]);
    for record in &mut records {
        match &mut record.event {
            Event::RunStarted(run) => run.started_unix_ms = second * 1_000,
            Event::RunEnded(end) => {
                (end.outcome, end.duration_us) = (outcome, 1_000_000);
                end.message = (outcome != Outcome::Passed).then(|| "it broke".to_owned());
            }
            _ => {}
        }
    }
    records
}

/// A result directory with the views of the last of these attempts, in which the others lie in their folders.
pub(crate) fn tried_again(attempts: &[Vec<Record>]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let (last, before) = attempts.split_last().expect("an attempt");
    let folders = (1..).map(|number: u32| dir.path().join(ATTEMPTS).join(number.to_string()));
    for (folder, records) in folders.zip(before).chain([(dir.path().to_owned(), last)]) {
        fs::create_dir_all(&folder).expect("a directory");
        let lines: Vec<String> =
            records.iter().map(|record| serde_json::to_string(record).expect("JSON") + "\n").collect();
        fs::write(folder.join(EVENTS), lines.concat()).expect("the events");
        remake(&folder).expect("the views");
    }
    dir
}

/// A console line of the machine `server`.
pub(crate) fn console(line: &str) -> (ScopeId, Option<&'static str>, Event) {
    (0, Some("server"), Event::Console { line: line.to_owned() })
}

/// The text of a file in a result directory.
pub(crate) fn text_of(dir: &Path, name: &str) -> String {
    let path = dir.join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads event lines that are all records of kinds that are known.
pub(crate) fn records(lines: &str) -> Vec<Record> {
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
