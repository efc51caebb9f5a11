//! The summary of a job on GitHub: a few lines of Markdown, appended to the file that the runner names.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};

use crate::attempts::{self, Attempt};
use crate::escape::{visible, visible_lines};
use crate::files::failed;
use crate::html::span;
use crate::summary::{SubtestOutcome, Summary};
use crate::tails::Tails;
use crate::tally::Tally;

/// Bytes of a message that are shown; GitHub takes one MiB of all steps together.
const MESSAGE: usize = 16 << 10;
/// Rows of a table.
const ROWS: usize = 200;
/// Machines whose consoles are shown.
const MACHINES: usize = 8;

/// Appends the summary when the run has ended. GitHub's runner names the file in `GITHUB_STEP_SUMMARY`.
#[derive(Debug, Default)]
pub struct JobSummary {
    file: PathBuf,
    results: PathBuf,
    tally: Tally,
    tails: Tails,
}

impl JobSummary {
    /// A summary of the result directory `results` that is appended to `file`.
    #[must_use]
    pub fn new(file: &Path, results: &Path) -> Self {
        Self { file: file.to_owned(), results: results.to_owned(), ..Self::default() }
    }
}

impl Reporter for JobSummary {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.tally.observe(record);
        self.tails.observe(record);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let summary = self.tally.summary();
        let kept = attempts::kept_in(&self.results);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write(&mut text, &summary, attempts::tried_again(&kept, &summary));
        if summary.verdict.failed() {
            let _ = consoles(&mut text, &summary.machines, &self.tails);
        }
        let file = File::options().append(true).create(true).open(&self.file);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(failed("write", self.file.display().to_string()))
    }
}

fn write(out: &mut String, summary: &Summary, tried: &[Attempt]) -> fmt::Result {
    let sign = match summary.verdict {
        verdict if verdict.passed() => "✅",
        verdict if verdict.skipped() => "⏭️",
        _ => "❌",
    };
    let took = span(u64::try_from(summary.duration.as_micros()).unwrap_or(u64::MAX));
    writeln!(out, "### {sign} {}: {}, {took}\n", plain(&summary.test), summary.verdict)?;
    if let Some(diagnosis) = &summary.diagnosis {
        writeln!(out, "**{}** (`{}`)\n", plain(&diagnosis.to_string()), diagnosis.kind)?;
    }
    for Attempt { number, summary: before } in tried {
        let kind =
            before.diagnosis.as_ref().map(|diagnosis| format!(" (`{}`)", diagnosis.kind)).unwrap_or_default();
        writeln!(out, "Attempt {number}: {}{kind}\n", before.verdict)?;
    }
    if let Some(message) = &summary.message {
        fenced(out, message)?;
    }
    if !summary.subtests.is_empty() {
        writeln!(out, "| | Subtest | Took |\n|---|---|---:|")?;
        for subtest in summary.subtests.iter().take(ROWS) {
            let sign = if subtest.outcome == SubtestOutcome::Passed { "✅" } else { "❌" };
            let took = span(u64::try_from(subtest.duration.as_micros()).unwrap_or(u64::MAX));
            writeln!(out, "| {sign} | {} | {took} |", plain(&subtest.name))?;
        }
        writeln!(out)?;
    }
    if !summary.findings.is_empty() {
        writeln!(out, "On the consoles:\n")?;
        fenced(out, &summary.findings.join("\n"))?;
    }
    Ok(())
}

/// The last lines of consoles, folded.
fn consoles(out: &mut String, machines: &[String], tails: &Tails) -> fmt::Result {
    for machine in machines.iter().take(MACHINES) {
        let lines = tails.of(machine);
        if !lines.is_empty() {
            writeln!(out, "<details><summary>The console of {}, at its end</summary>\n", plain(machine))?;
            fenced(out, &lines.join("\n"))?;
            writeln!(out, "</details>\n")?;
        }
    }
    Ok(())
}

/// A text as Markdown that shows just it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in visible(text).chars() {
        // Each character of ASCII punctuation may be escaped, and `<` has to be for HTML, too.
        match character {
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            // Names of people and numbers of issues would become links.
            '@' => plain.push_str("&#64;"),
            '#' => plain.push_str("&#35;"),
            character if character.is_ascii_punctuation() => plain.extend(['\\', character]),
            character => plain.push(character),
        }
    }
    plain
}

/// A text in a fence that nothing in it can close.
fn fenced(out: &mut String, text: &str) -> fmt::Result {
    let text = visible_lines(text.trim_end());
    let text = (0..=MESSAGE.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "{fence}text\n{text}\n{fence}\n")
}
