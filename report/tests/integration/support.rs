//! Records made by hand, and places that remember what was written to them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use driver_core::Reporter;
use driver_core::event::{ConsoleRules, Event, FORMAT, Outcome, Record, RunEnded, RunStarted, ScopeId};
use report::{Terminal, Verbosity};

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
