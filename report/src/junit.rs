//! `junit.xml`, as continuous-integration servers read it: suite `NixOS integration test`, a test case
//! `main`, and one per distinct subtest name, as the NixOS test driver has them.
//!
//! `main` carries the verdict of the run. A subtest carries its own error, also one that the script
//! caught. A wrong result is a `failure`; everything that kept the test from having one is an `error`.
//! A test that was tried again has marks of the attempts that failed, as Surefire makes them.

mod attachments;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use driver_core::event::{Event, Outcome, Record};
use driver_core::{DriverError, Reporter};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString};

use self::attachments::Attachments;
use crate::attempts::{self, ATTEMPTS, Attempt};
use crate::escape::{visible, visible_lines};
use crate::files::{failed, write_atomically};
use crate::summary::{Subtest, SubtestOutcome, Summary, Verdict};
use crate::tally::{MAIN, Tally};
use crate::transcript::{Kind, Transcript};

/// The file's name in the result directory.
const NAME: &str = "junit.xml";

/// Bytes of log text that a case keeps, the last ones; JUnit readers load the whole file into memory.
const TEXT_LIMIT: usize = 1 << 20;

/// Columns of a message that the `message` attribute has.
const HEADLINE_WIDTH: usize = 300;

/// Writes `junit.xml` when the run has ended, in one go: a reader sees the old file or the new one.
pub struct JunitXml {
    dir: PathBuf,
    name: String,
    /// Whether files and attempts lie beside the report.
    has_results: bool,
    tally: Tally,
    transcript: Transcript,
    texts: Vec<CaseText>,
}

/// What the log said during a case.
#[derive(Debug, Default)]
struct CaseText {
    entries: VecDeque<String>,
    bytes: usize,
    left_out: usize,
    errors: String,
    attachments: Attachments,
}

impl JunitXml {
    /// Prepares the report of the result directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { has_results: true, ..Self::at(&dir.join(NAME)) }
    }

    /// Prepares the report that will be the file `path`, wherever the result lies.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let (tally, transcript) = (Tally::default(), Transcript::default());
        let dir = path.parent().unwrap_or(path).to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { dir, name, has_results: false, tally, transcript, texts: Vec::new() }
    }

    fn report(&self) -> Report {
        let summary = self.tally.summary();
        let kept = if self.has_results { attempts::kept_in(&self.dir) } else { Vec::new() };
        let tried = attempts::tried_again(&kept, &summary);
        let mut suite = TestSuite::new("NixOS integration test");
        suite.set_time(summary.duration);
        let started_ms = summary.started_unix_ms.and_then(|ms| i64::try_from(ms).ok());
        if let Some(started) = started_ms.and_then(DateTime::from_timestamp_millis) {
            suite.set_timestamp(started);
        }
        if let Some(diagnosis) = &summary.diagnosis {
            suite.add_property(("failure kind", diagnosis.kind.name()));
            suite.add_property(("failure", visible(&diagnosis.to_string()).as_ref()));
        }
        for finding in &summary.findings {
            suite.add_property(("console", finding.as_str()));
        }
        if let Some(last) = tried.last() {
            suite.add_property(("attempt", (last.number + 1).to_string().as_str()));
        }
        let mut status = main_status(&summary, self.errors(MAIN));
        status
            .add_reruns(tried.iter().filter_map(|earlier| rerun(main_status(&earlier.summary, ""), earlier)));
        let mut main = TestCase::new("main", status);
        main.set_time(summary.main_time);
        self.finish_case(main, MAIN, &summary, &mut suite);
        for (subtest, case) in summary.subtests.iter().zip(MAIN + 1..) {
            let mut status = subtest_status(subtest, self.errors(case));
            status.add_reruns(tried.iter().filter_map(|earlier| {
                let before = earlier.summary.subtests.iter().find(|before| before.name == subtest.name)?;
                rerun(subtest_status(before, ""), earlier)
            }));
            let mut test_case = TestCase::new(visible(&subtest.name), status);
            test_case.set_time(subtest.own_time);
            self.finish_case(test_case, case, &summary, &mut suite);
        }
        let mut report = Report::new(visible(&summary.test));
        report.set_time(summary.duration);
        report.add_test_suite(suite);
        report
    }

    fn finish_case(&self, mut case: TestCase, index: usize, summary: &Summary, suite: &mut TestSuite) {
        case.set_classname(visible(&summary.test));
        if let Some(text) = self.texts.get(index) {
            let mut out = text.to_string();
            if self.has_results {
                out.push_str(&text.attachments.lines(&attachments::place_of(&self.dir)));
            }
            if !out.is_empty() {
                case.set_system_out(out);
            }
        }
        suite.add_test_case(case);
    }

    fn errors(&self, case: usize) -> &str {
        self.texts.get(case).map_or("", |text| text.errors.as_str())
    }
}

impl Reporter for JunitXml {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let case = self.tally.observe(record);
        let entry = self.transcript.entry(record);
        if self.texts.len() <= case {
            self.texts.resize_with(case + 1, CaseText::default);
        }
        if let Event::FileSaved { kind, path } = &record.event {
            self.texts[case].attachments.add(*kind, path);
        }
        if let Some(entry) = entry {
            self.texts[case].add(entry.kind, attachments::without(entry.render(false)));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let xml = self.report().to_string().map_err(std::io::Error::other);
        let xml = xml.map_err(failed("write", self.name.as_str()))?;
        // Jenkins' schema has another name for it. In texts the quotes are escaped.
        let xml = xml.replace(" disabled=\"", " skipped=\"");
        write_atomically(&self.dir, &self.name, xml.as_bytes()).map_err(failed("write", self.name.as_str()))
    }
}

impl fmt::Debug for JunitXml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JunitXml").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn main_status(summary: &Summary, log: &str) -> TestCaseStatus {
    let kind = match summary.verdict {
        Verdict::Ended(Outcome::Passed) => return TestCaseStatus::success(),
        Verdict::Ended(Outcome::Skipped) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(headline(&visible_lines(summary.message.as_deref().unwrap_or_default())));
            return status;
        }
        Verdict::Ended(Outcome::Failed) => NonSuccessKind::Failure,
        Verdict::Ended(_) | Verdict::CutOff => NonSuccessKind::Error,
    };
    let verdict = summary.verdict.to_string();
    let word = summary.diagnosis.as_ref().map_or(verdict.as_str(), |diagnosis| diagnosis.kind.name());
    not_passed(kind, word, summary.message.as_deref().unwrap_or(&verdict), log)
}

fn subtest_status(subtest: &Subtest, log: &str) -> TestCaseStatus {
    let kind = match &subtest.outcome {
        SubtestOutcome::Passed => return TestCaseStatus::success(),
        SubtestOutcome::Failed { .. } => NonSuccessKind::Failure,
        SubtestOutcome::MachineFailed { .. } | SubtestOutcome::CutOff => NonSuccessKind::Error,
    };
    let word = subtest.outcome.word();
    not_passed(kind, word, subtest.outcome.message().unwrap_or(word), log)
}

/// The message's beginning goes into the attribute, all of it and the log's errors into the body.
fn not_passed(kind: NonSuccessKind, word: &str, message: &str, log: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    let message = visible_lines(message.trim_end());
    let body = format!("{message}\n\n{log}");
    status.set_type(word).set_message(headline(&message)).set_description(body.trim_end());
    status
}

/// What an earlier attempt adds to a case that it left with this status, if it did not pass.
fn rerun(status: TestCaseStatus, attempt: &Attempt) -> Option<TestRerun> {
    let TestCaseStatus::NonSuccess { kind, message, ty, description, .. } = status else { return None };
    let text = |part: Option<XmlString>| part.map(XmlString::into_string).unwrap_or_default();
    let number = attempt.number;
    let mut rerun = TestRerun::new(kind);
    rerun.set_type(text(ty)).set_message(format!("attempt {number}: {}", text(message)));
    rerun.set_stack_trace(format!("{}\n\nSee {ATTEMPTS}/{number}/report.html.", text(description)));
    Some(rerun)
}

/// A message as one line that fits into a table of results.
fn headline(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    console::truncate_str(&line, HEADLINE_WIDTH, "…").into_owned()
}

impl CaseText {
    fn add(&mut self, kind: Kind, text: String) {
        if kind == Kind::Error && self.errors.len() < TEXT_LIMIT {
            self.errors.push_str(&text);
        }
        self.bytes += text.len();
        self.entries.push_back(text);
        while self.bytes > TEXT_LIMIT && self.entries.len() > 1 {
            self.bytes -= self.entries.pop_front().map_or(0, |text| text.len());
            self.left_out += 1;
        }
    }
}

impl fmt::Display for CaseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(f, "[{} earlier entries are left out here; see log.txt]", self.left_out)?;
        }
        self.entries.iter().try_for_each(|text| f.write_str(text))
    }
}
