//! `results.tap`: the test cases of `junit.xml` in the Test Anything Protocol, version 14.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};

use crate::escape::{visible, visible_lines};
use crate::files::{failed, write_atomically};
use crate::summary::Summary;
use crate::tally::Tally;

/// The file's name in the result directory.
const NAME: &str = "results.tap";

/// Writes `results.tap` when the run has ended, in one go.
#[derive(Debug)]
pub struct Tap {
    dir: PathBuf,
    tally: Tally,
}

impl Tap {
    /// Prepares the report of the result directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), tally: Tally::default() }
    }
}

impl Reporter for Tap {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.tally.observe(record);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = write(&mut out, &self.tally.summary());
        write_atomically(&self.dir, NAME, out.as_bytes()).map_err(failed("write", NAME))
    }
}

fn write(out: &mut String, summary: &Summary) -> fmt::Result {
    writeln!(out, "TAP version 14\n1..{}", summary.subtests.len() + 1)?;
    let message = summary.message.as_deref().unwrap_or_default();
    if summary.verdict.skipped() {
        return writeln!(out, "ok 1 - main # SKIP {}", visible(message.trim_end()));
    }
    let passed = summary.verdict.passed();
    case(out, 1, "main", passed, summary.main_time)?;
    if !passed {
        let kind = summary.diagnosis.as_ref().map(|diagnosis| diagnosis.kind.name());
        details(out, kind, message)?;
    }
    for (subtest, number) in summary.subtests.iter().zip(2..) {
        let message = subtest.outcome.message();
        case(out, number, &subtest.name, message.is_none(), subtest.own_time)?;
        if let Some(message) = message {
            details(out, None, message)?;
        }
    }
    Ok(())
}

fn case(out: &mut String, number: usize, name: &str, passed: bool, time: Duration) -> fmt::Result {
    let result = if passed { "ok" } else { "not ok" };
    // A number sign would begin a directive, such as one to skip.
    let name = visible(name).replace('\\', "\\\\").replace('#', "\\#");
    writeln!(out, "{result} {number} - {name} # time={}ms", time.as_millis())
}

/// The block below a failure, in YAML. A text in JSON is one in YAML, too.
fn details(out: &mut String, kind: Option<&str>, message: &str) -> fmt::Result {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    writeln!(out, "  ---\n  message: {}", quoted(visible_lines(message.trim_end()).as_str()))?;
    if let Some(kind) = kind {
        writeln!(out, "  kind: {}", quoted(kind))?;
    }
    writeln!(out, "  ...")
}
