//! The page itself: what the template shows, in the order in which it shows it. All text is escaped twice:
//! here what a reader's eye would be misled by, and by the template what a browser would obey.

use std::io;
use std::path::Path;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use driver_core::event::FileKind;
use sha2::{Digest as _, Sha256};

use crate::attempts::{self, ATTEMPTS, Attempt};
use crate::diagnosis::FailureKind;
use crate::escape::{visible, visible_lines};
use crate::html::log::Blocks;
use crate::html::pictures::{Pictures, address_inside};
use crate::html::{PAGE, SavedFile, Story, moment, span};
use crate::lint::Finding;
use crate::summary::{Subtest, SubtestOutcome, Summary};

mod film;
mod lanes;
use film::Film;
use lanes::{Boot, FaultView, LaneView, Slow, Tick};

/// Findings on the consoles that the first screen lists.
const FINDINGS: usize = 20;

/// How pages of ours look.
pub(crate) const STYLE: &str = include_str!("../../templates/report.css");
/// One program in several files, in this order.
const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("../../templates/script/data.js"),
    include_str!("../../templates/script/list.js"),
    include_str!("../../templates/script/log.js"),
    include_str!("../../templates/script/page.js"),
    include_str!("../../templates/script/film.js"),
    "}\n"
);

/// What the template shows.
#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page {
    test: String,
    passed: bool,
    verdict: String,
    /// The kind of failure, in a sentence and as its name.
    kind: Option<(String, &'static str)>,
    findings: Vec<FindingView>,
    /// The line of the log that failed the test, where no error in the log does.
    problem: Option<u64>,
    /// How many further findings there were.
    more_findings: usize,
    message: Option<String>,
    /// The script's line that failed, with its place.
    place: Option<String>,
    started: Option<String>,
    duration: String,
    version: String,
    script_name: String,
    attempts: Vec<AttemptView>,
    machines: Vec<MachineView>,
    subtests: Vec<SubtestView>,
    ticks: Vec<Tick>,
    lanes: Vec<LaneView>,
    slowest: Vec<Slow>,
    faults: Vec<FaultView>,
    boots: Vec<Boot>,
    legend: &'static [(&'static str, &'static str)],
    pictures: Vec<Picture>,
    files: Vec<Link>,
    films: Vec<Film>,
    names: String,
    /// The log's rows, of the test and of the guests.
    streams: [(&'static str, Blocks); 2],
    style: &'static str,
    script: &'static str,
    script_hash: String,
}

struct MachineView {
    name: String,
    number: usize,
    end: Option<String>,
    died: bool,
    tail: Vec<String>,
    /// The last picture of its screen.
    picture: Option<Picture>,
    /// What was gathered of it after the failure.
    evidence: Vec<Link>,
}

/// An earlier result of the directory.
struct AttemptView {
    number: u32,
    passed: bool,
    verdict: String,
    link: Option<String>,
}

struct SubtestView {
    name: String,
    depth: usize,
    class: &'static str,
    word: &'static str,
    duration: String,
    message: Option<String>,
}

struct FindingView {
    machine: String,
    title: &'static str,
    rule: &'static str,
    line: String,
    at: String,
    seq: u64,
    fails: bool,
}

#[derive(Clone)]
struct Picture {
    name: String,
    machine: String,
    at: String,
    seq: u64,
    /// Where a browser finds the picture: inside the page, or beside it.
    source: String,
    link: String,
}

struct Link {
    name: String,
    link: Option<String>,
    seq: u64,
    at: String,
}

impl Page {
    /// The page of a run whose results lie in `dir`.
    pub(super) fn of(story: &mut Story, dir: &Path) -> Self {
        story.timeline.finish();
        let summary = story.tally.summary();
        let (message, place) = message_and_place(&summary, &story.script);
        let mut inside = Pictures::of(dir);
        let (pictures, files) = saved(&story.files, &mut inside);
        let films = film::of(story, &mut inside);
        let found = story.tally.findings();
        let is_console =
            summary.diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.kind == FailureKind::Console);
        let findings: Vec<FindingView> =
            found.by_weight().into_iter().take(FINDINGS).map(FindingView::of).collect();
        let started_ms = summary.started_unix_ms.and_then(|ms| i64::try_from(ms).ok());
        let started = started_ms.and_then(DateTime::from_timestamp_millis);
        let [steps, guests] = story.log.take();
        let names: Vec<&str> = story.log.machines().iter().map(String::as_str).collect();
        let script_hash = STANDARD.encode(Sha256::digest(SCRIPT));
        Self {
            test: visible(&summary.test).into_owned(),
            passed: !summary.verdict.failed(),
            verdict: summary.verdict.to_string(),
            kind: summary
                .diagnosis
                .as_ref()
                .map(|diagnosis| (visible(&diagnosis.to_string()).into_owned(), diagnosis.kind.name())),
            more_findings: found.counts.values().sum::<usize>().saturating_sub(findings.len()),
            problem: found.kept.iter().find(|finding| finding.fails && is_console).map(|finding| finding.seq),
            findings,
            message,
            place,
            started: started.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            duration: span(u64::try_from(summary.duration.as_micros()).unwrap_or(u64::MAX)),
            version: visible(&story.version).into_owned(),
            script_name: visible(&story.script).into_owned(),
            attempts: attempts::kept_in(dir).iter().map(|attempt| AttemptView::of(attempt, dir)).collect(),
            machines: machines(story, &pictures),
            subtests: SubtestView::all_of(&summary.subtests),
            ticks: lanes::ticks(story.timeline.end_us),
            lanes: lanes::of(&story.timeline),
            slowest: lanes::slowest(&story.timeline),
            faults: lanes::faults(&story.timeline),
            boots: lanes::boots(&story.timeline),
            legend: lanes::LEGEND,
            pictures,
            files,
            films,
            // The template escapes it as the value of an attribute.
            names: serde_json::to_string(&names.iter().map(|name| visible(name)).collect::<Vec<_>>())
                .unwrap_or_default(),
            streams: [("steps", steps), ("guests", guests)],
            style: STYLE,
            script: SCRIPT,
            script_hash,
        }
    }

    /// The page as text.
    pub(super) fn render(&self) -> io::Result<String> {
        Template::render(self).map_err(io::Error::other)
    }
}

/// The message of a failed run, and apart from it the line of the script that the program has put below.
fn message_and_place(summary: &Summary, script: &str) -> (Option<String>, Option<String>) {
    let Some(message) = &summary.message else { return (None, None) };
    let is_place = |line: &str| !script.is_empty() && line.starts_with(&format!("{script}, line "));
    match message.rsplit_once('\n') {
        Some((message, line)) if is_place(line) => {
            (Some(visible_lines(message)), Some(visible(line).into_owned()))
        }
        _ => (Some(visible_lines(message)), None),
    }
}

fn machines(story: &Story, pictures: &[Picture]) -> Vec<MachineView> {
    let view = |(number, (name, lane)): (usize, &(String, super::timeline::Lane))| {
        let end = lane.marks.iter().rfind(|mark| matches!(mark.kind, "ended" | "died"));
        let shown = visible(name).into_owned();
        MachineView {
            number: number + 1,
            end: end.map(|mark| mark.text.clone()),
            died: end.is_some_and(|mark| mark.kind == "died"),
            tail: story.tails.of(name),
            picture: pictures.iter().rfind(|picture| picture.machine == shown).cloned(),
            evidence: story
                .files
                .iter()
                .filter(|file| is_evidence(file, name))
                .map(Link::to_evidence)
                .collect(),
            name: shown,
        }
    };
    story.timeline.machines.iter().enumerate().map(view).collect()
}

fn is_evidence(file: &SavedFile, machine: &str) -> bool {
    file.kind == FileKind::Evidence && file.machine.as_deref() == Some(machine)
}

fn saved(files: &[SavedFile], inside: &mut Pictures<'_>) -> (Vec<Picture>, Vec<Link>) {
    let (mut pictures, mut links) = (Vec::new(), Vec::new());
    for SavedFile { seq, t_us, machine, kind, path } in files {
        let (seq, at, link) = (*seq, moment(*t_us), address_inside(path));
        let name = visible(path).into_owned();
        match (kind, link) {
            (FileKind::Screenshot, Some(link)) => {
                let source = inside.take(path).unwrap_or_else(|| link.clone());
                let machine = visible(machine.as_deref().unwrap_or_default()).into_owned();
                pictures.push(Picture { name, machine, at, seq, source, link });
            }
            (_, link) => links.push(Link { name, link, seq, at }),
        }
    }
    (pictures, links)
}

impl Link {
    /// A file of a machine's evidence, by the part of its name that is not the machine's.
    fn to_evidence(file: &SavedFile) -> Self {
        let machine = file.machine.as_deref().unwrap_or_default();
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix(machine).map_or(name, |rest| rest.trim_start_matches('.'));
        Self {
            name: visible(name).into_owned(),
            link: address_inside(&file.path),
            seq: file.seq,
            at: moment(file.t_us),
        }
    }
}

impl FindingView {
    fn of(finding: &Finding) -> Self {
        Self {
            machine: visible(&finding.machine).into_owned(),
            title: finding.title,
            rule: finding.rule,
            line: visible(finding.line.trim()).into_owned(),
            at: moment(finding.t_us),
            seq: finding.seq,
            fails: finding.fails,
        }
    }
}

impl AttemptView {
    fn of(attempt: &Attempt, dir: &Path) -> Self {
        let page = format!("{ATTEMPTS}/{}/{PAGE}", attempt.number);
        let kind = attempt.summary.diagnosis.as_ref().map(|diagnosis| diagnosis.kind.name());
        let verdict = attempt.summary.verdict;
        Self {
            number: attempt.number,
            passed: !verdict.failed(),
            verdict: kind.map_or_else(|| verdict.to_string(), |kind| format!("{verdict} ({kind})")),
            link: dir.join(&page).exists().then(|| address_inside(&page)).flatten(),
        }
    }
}

impl SubtestView {
    fn all_of(subtests: &[Subtest]) -> Vec<Self> {
        let view = |(index, subtest): (usize, &Subtest)| {
            let mut inside = subtests[index + 1..].iter().take_while(|inner| inner.depth > subtest.depth);
            let said_inside = inside.any(|inner| inner.outcome == subtest.outcome);
            Self {
                message: subtest.outcome.message().filter(|_| !said_inside).map(visible_lines),
                ..Self::of(subtest)
            }
        };
        subtests.iter().enumerate().map(view).collect()
    }

    /// One without its message, which one inside of it may tell, too.
    fn of(subtest: &Subtest) -> Self {
        Self {
            name: visible(&subtest.name).into_owned(),
            depth: subtest.depth.min(6),
            class: if subtest.outcome == SubtestOutcome::Passed { "good" } else { "bad" },
            word: subtest.outcome.word(),
            duration: span(u64::try_from(subtest.duration.as_micros()).unwrap_or(u64::MAX)),
            message: None,
        }
    }
}
