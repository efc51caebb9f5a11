//! One page for many tests: what came out of each, those that failed first, with links to their own pages.

use std::path::{Path, PathBuf};

use askama::Template;

use crate::attempts;
use crate::error::ReportError;
use crate::escape::{visible, visible_lines};
use crate::files::{EVENTS, failed, remake, write_atomically};
use crate::html::{PAGE, STYLE, address, span};
use crate::read::EventFile;
use crate::summary::{Subtest, SubtestOutcome, Summary, Verdict};
use crate::tally::Tally;

/// What the template shows.
#[derive(Template)]
#[template(path = "merged.html")]
struct Merged {
    all_passed: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    tests: Vec<TestView>,
    style: &'static str,
}

struct TestView {
    name: String,
    dir: String,
    link: Option<String>,
    passed: bool,
    verdict: String,
    kind: Option<(String, &'static str)>,
    message: Option<String>,
    duration: String,
    machines: String,
    subtests: usize,
    subtests_passed: usize,
    findings: usize,
    /// Which attempt of its directory this is, if one was tried right before.
    attempt: Option<u32>,
}

/// Reads the result directories `dirs` and writes a page at `file` that has them all. A directory that has no
/// `report.html` gets one, unless its run still goes on. Returns what came out of each run, in the order of `dirs`.
///
/// # Errors
/// [`ReportError`]: a directory holds no events, or the page cannot be written.
pub fn merge(dirs: &[PathBuf], file: &Path) -> Result<Vec<Summary>, ReportError> {
    let beside = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut summaries = Vec::new();
    for dir in dirs {
        let remade = if dir.join(PAGE).exists() { None } else { Some(remake(dir)) };
        summaries.push(match remade {
            // A run that still goes on makes its page itself.
            None | Some(Err(ReportError::Busy { .. })) => summary_of(dir)?,
            Some(remade) => remade?.0,
        });
    }
    let mut tests: Vec<TestView> =
        dirs.iter().zip(&summaries).map(|(dir, summary)| TestView::of(dir, beside, summary)).collect();
    tests.sort_by(|one, other| {
        (one.passed, &one.name, &one.dir).cmp(&(other.passed, &other.name, &other.dir))
    });
    let count = |is: fn(Verdict) -> bool| summaries.iter().filter(|summary| is(summary.verdict)).count();
    let (passed, failed_tests, skipped) =
        (count(Verdict::passed), count(Verdict::failed), count(Verdict::skipped));
    let all_passed = failed_tests == 0;
    let page = Merged { all_passed, passed, failed: failed_tests, skipped, tests, style: STYLE };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let html = page.render().map_err(std::io::Error::other).map_err(failed("write", name.clone()))?;
    write_atomically(beside, &name, html.as_bytes()).map_err(failed("write", file.display().to_string()))?;
    Ok(summaries)
}

fn summary_of(dir: &Path) -> Result<Summary, ReportError> {
    let mut events = EventFile::open(&dir.join(EVENTS))?;
    let mut tally = Tally::default();
    while let Some(record) = events.next_record()? {
        tally.observe(&record);
    }
    Ok(tally.summary())
}

impl TestView {
    fn of(dir: &Path, beside: &Path, summary: &Summary) -> Self {
        let is_passed = |subtest: &&Subtest| subtest.outcome == SubtestOutcome::Passed;
        Self {
            name: visible(&summary.test).into_owned(),
            dir: visible(&dir.display().to_string()).into_owned(),
            link: link(&dir.join(PAGE), beside),
            passed: !summary.verdict.failed(),
            verdict: summary.verdict.to_string(),
            kind: summary
                .diagnosis
                .as_ref()
                .map(|diagnosis| (visible(&diagnosis.to_string()).into_owned(), diagnosis.kind.name())),
            message: summary.message.as_deref().map(visible_lines),
            duration: span(u64::try_from(summary.duration.as_micros()).unwrap_or(u64::MAX)),
            machines: summary.machines.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", "),
            subtests: summary.subtests.len(),
            subtests_passed: summary.subtests.iter().filter(is_passed).count(),
            findings: summary.findings.len(),
            attempt: attempts::tried_again(&attempts::kept_in(dir), summary)
                .last()
                .map(|last| last.number + 1),
        }
    }
}

/// The way from the page's directory to a file.
fn link(file: &Path, beside: &Path) -> Option<String> {
    let (file, beside) = (file.canonicalize().ok()?, beside.canonicalize().ok()?);
    let way = pathdiff::diff_paths(file, beside)?;
    Some(address(&way.to_string_lossy()))
}
