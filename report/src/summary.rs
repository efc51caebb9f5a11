//! The run in a few lines: the verdict, the subtests, what went wrong, and where the results lie.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use driver_core::event::Outcome;

use crate::diagnosis::Diagnosis;
use crate::escape::visible;
use crate::paint::{self, paint};

/// What came out of a run, told from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The test's name.
    pub test: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub started_unix_ms: Option<u64>,
    /// The names of its machines.
    pub machines: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// One sentence on why, unless it passed.
    pub message: Option<String>,
    /// What kind of failure it was, unless it passed.
    pub diagnosis: Option<Diagnosis>,
    /// What the consoles show that is odd, a line for each machine and rule; escaped.
    pub findings: Vec<String>,
    /// How long it took; up to the last record when it was cut off.
    pub duration: Duration,
    /// The part of it that passed outside of all subtests.
    pub main_time: Duration,
    /// One entry per distinct name, in the order in which they began.
    pub subtests: Vec<Subtest>,
    /// Screenshots and copied files, as paths in the result directory.
    pub files: Vec<String>,
    /// The exit status that the program had; `None` when it was cut off.
    pub exit_status: Option<u8>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It came to its end, with this outcome.
    Ended(Outcome),
    /// The driver was killed, or the events end early for another reason.
    CutOff,
}

/// What came out of all runs of the subtests of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtest {
    /// The name.
    pub name: String,
    /// How many subtests it lies in.
    pub depth: usize,
    /// The time that it took, subtests inside it included.
    pub duration: Duration,
    /// The time that it took, subtests inside it left out.
    pub own_time: Duration,
    /// How it ended.
    pub outcome: SubtestOutcome,
}

/// How a subtest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubtestOutcome {
    /// Without an error.
    Passed,
    /// With an error.
    Failed {
        /// What was wrong.
        message: String,
    },
    /// With an error, after a machine had died in it.
    MachineFailed {
        /// What was wrong.
        message: String,
    },
    /// The run ended before it did.
    CutOff,
}

impl SubtestOutcome {
    /// What was wrong, if anything was.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed { message } | Self::MachineFailed { message } => Some(message),
            Self::CutOff => Some("cut off: the run ended in the middle of it"),
        }
    }

    /// How it ended, in a word or two.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::MachineFailed { .. } => "machine failed",
            Self::CutOff => "cut off",
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Passed => "PASS",
            Self::Failed { .. } => "FAIL",
            Self::MachineFailed { .. } => "DIED",
            Self::CutOff => "CUT OFF",
        }
    }
}

impl Verdict {
    /// Says whether all went as expected.
    #[must_use]
    pub fn passed(self) -> bool {
        self == Self::Ended(Outcome::Passed)
    }

    /// Says whether nothing was tried, for a reason that the test itself declares.
    #[must_use]
    pub fn skipped(self) -> bool {
        self == Self::Ended(Outcome::Skipped)
    }

    /// Says whether something went wrong.
    #[must_use]
    pub fn failed(self) -> bool {
        !self.passed() && !self.skipped()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended(Outcome::Passed) => "passed",
            Self::Ended(Outcome::Skipped) => "skipped",
            Self::Ended(Outcome::Failed) => "failed",
            Self::Ended(Outcome::ScriptError) => "script error",
            Self::Ended(Outcome::MachineFailed) => "machine failed",
            Self::Ended(Outcome::TimedOut) => "timed out",
            Self::Ended(Outcome::Interrupted) => "interrupted",
            Self::Ended(Outcome::Bug) => "failed by a bug of innkeeper",
            Self::CutOff => "cut off",
        })
    }
}

impl Summary {
    /// The summary as lines of text, escaped.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, colours);
        out
    }

    /// One more line, which says that the results lie in `dir`.
    #[must_use]
    pub fn render_results(&self, dir: &Path) -> String {
        let files = match self.files.as_slice() {
            [] => String::new(),
            [one] => format!(" ({})", visible(one)),
            [first, rest @ ..] => format!(" ({} and {} more)", visible(first), rest.len()),
        };
        format!("{:>12} {}{files}\n", "Results", visible(&dir.display().to_string()))
    }

    fn write(&self, out: &mut String, colours: bool) -> fmt::Result {
        let label = |good: bool, text: &str| {
            paint(if good { paint::GOOD } else { paint::BAD }, colours, format!("{text:>12}"))
        };
        let good = !self.verdict.failed();
        let (name, verdict) = (visible(&self.test), self.verdict);
        writeln!(out, "{:->12}", "")?;
        writeln!(
            out,
            "{} {} {name}: {verdict}{}",
            label(good, "Summary"),
            seconds(self.duration),
            self.counts()
        )?;
        for subtest in &self.subtests {
            let label = label(subtest.outcome == SubtestOutcome::Passed, subtest.outcome.label());
            let indent = "  ".repeat(subtest.depth);
            writeln!(out, "{label} {} {indent}{}", seconds(subtest.duration), visible(&subtest.name))?;
        }
        if let Some(diagnosis) = &self.diagnosis {
            let kind = diagnosis.kind.name();
            writeln!(out, "{} {kind}: {}", label(false, "Kind"), visible(&diagnosis.to_string()))?;
        }
        for (index, line) in self.message.iter().flat_map(|text| text.trim_end().split('\n')).enumerate() {
            writeln!(out, "{} {}", label(good, if index == 0 { "Reason" } else { "" }), visible(line))?;
        }
        for (index, line) in self.findings.iter().enumerate() {
            let label = if index == 0 { "Console" } else { "" };
            writeln!(out, "{} {line}", paint(paint::WARNING, colours, format!("{label:>12}")))?;
        }
        Ok(())
    }

    fn counts(&self) -> String {
        let passed = self.subtests.iter().filter(|subtest| subtest.outcome == SubtestOutcome::Passed).count();
        match (self.subtests.len(), passed) {
            (0, _) => String::new(),
            (1, 1) => ", 1 subtest passed".to_owned(),
            (all, passed) if all == passed => format!(", {all} subtests passed"),
            (all, passed) => format!(", {passed} of {all} subtests passed"),
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("[{:>9.3}s]", duration.as_secs_f64())
}
