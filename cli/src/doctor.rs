//! `innkeeper doctor`: what this host can do, and the way out for each thing that is missing.

mod checks;

use std::io;

use serde::Serialize;

use crate::args::{DoctorArgs, When};
use crate::{console, exit};

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at: "qemu".
    name: &'static str,
    /// How it is.
    state: State,
    /// What is there, with figures.
    found: String,
    /// What to do about it, when it is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    way_out: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// As it should be.
    Good,
    /// Tests run without it, but slower or not all of them.
    Limited,
    /// No test runs without it.
    Missing,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Good, found: found.into(), way_out: None }
    }

    fn limited(name: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { name, state: State::Limited, found: found.into(), way_out: Some(way_out.into()) }
    }

    fn missing(name: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { name, state: State::Missing, found: found.into(), way_out: Some(way_out.into()) }
    }
}

/// The whole report, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    /// The version of innkeeper.
    version: &'static str,
    /// Whether tests can run here.
    fit: bool,
    /// All that was looked at.
    findings: Vec<Finding>,
}

/// Looks, prints, and returns the exit status.
pub(crate) fn run(args: &DoctorArgs, color: When) -> anyhow::Result<u8> {
    let findings = checks::all();
    let fit = findings.iter().all(|finding| finding.state != State::Missing);
    let report = Report { version: env!("CARGO_PKG_VERSION"), fit, findings };
    if args.json {
        console::out(&serde_json::to_string_pretty(&report)?);
    } else {
        console::out(&as_text(&report, color.look(&io::stdout()).colours));
    }
    Ok(if fit { exit::PASSED } else { exit::MACHINES })
}

fn as_text(report: &Report, colours: bool) -> String {
    let width = report.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in &report.findings {
        let (word, colour) = match finding.state {
            State::Good => ("ok     ", "32"),
            State::Limited => ("limited", "33"),
            State::Missing => ("MISSING", "31"),
        };
        let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        lines.push(format!("{word}  {:width$}  {}", finding.name, finding.found));
        if let Some(way_out) = &finding.way_out {
            lines.push(format!("{:9}{:width$}  -> {way_out}", "", ""));
        }
    }
    lines.push(String::new());
    lines.push(if report.fit {
        "Tests can run here.".to_owned()
    } else {
        "Tests cannot run here until what is MISSING is there.".to_owned()
    });
    lines.join("\n")
}
