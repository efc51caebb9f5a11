//! Two results side by side: what came out, what took longer, and what the consoles say that they did not
//! say before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use driver_core::event::{Event, MachineState, Record, ScopeId};

use crate::error::ReportError;
use crate::escape::visible;
use crate::files::EVENTS;
use crate::lint::after_time;
use crate::paint::{self, paint};
use crate::read::EventFile;
use crate::summary::{Subtest, Summary};
use crate::tally::{Tally, micros};

/// Kinds of lines and of steps that are told apart; a guest may make up any number.
const KINDS: usize = 20_000;
/// Lines of each part of the comparison.
const SHOWN: usize = 12;
/// A time has changed when it differs by so much of itself, and by so much at all: less is noise.
const CHANGED: (f64, Duration) = (0.2, Duration::from_millis(300));

/// Two results, read.
#[derive(Debug)]
pub struct Comparison {
    before: Digest,
    after: Digest,
}

/// What is compared of a run.
#[derive(Debug)]
struct Digest {
    summary: Summary,
    /// Time by machine and heading of all steps of that heading.
    steps: BTreeMap<(String, String), Duration>,
    /// From the launch to the first answer of the shell.
    boots: BTreeMap<String, Duration>,
    /// Kinds of console lines by machine, each with its first line.
    lines: BTreeMap<(String, String), String>,
}

#[derive(Default)]
struct Reading {
    tally: Tally,
    open: HashMap<ScopeId, (String, String)>,
    launched_us: HashMap<String, u64>,
    steps: BTreeMap<(String, String), Duration>,
    boots: BTreeMap<String, Duration>,
    lines: BTreeMap<(String, String), String>,
}

impl Comparison {
    /// Reads two result directories.
    ///
    /// # Errors
    /// [`ReportError`], as for [`crate::remake`].
    pub fn read(before: &Path, after: &Path) -> Result<Self, ReportError> {
        Ok(Self { before: Digest::read(before)?, after: Digest::read(after)? })
    }

    /// Whether both runs ended in the same way: the same verdict, the same kind of failure, and the same of
    /// every subtest.
    #[must_use]
    pub fn same_outcome(&self) -> bool {
        let outcome = |run: &Digest| {
            let kind = run.summary.diagnosis.as_ref().map(|diagnosis| diagnosis.kind);
            let subtests: BTreeMap<_, _> = run.summary.subtests.iter().map(by_name).collect();
            (run.summary.verdict, kind, subtests)
        };
        outcome(&self.before) == outcome(&self.after)
    }

    /// The comparison as lines of text, escaped.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, colours);
        out
    }

    fn write(&self, out: &mut String, colours: bool) -> fmt::Result {
        let heading = |text: &str| paint(paint::STRONG, colours, format!("{text:>12}")).to_string();
        let (before, after) = (verdict(&self.before.summary), verdict(&self.after.summary));
        let arrow = if before == after { before } else { format!("{before} -> {after}") };
        writeln!(out, "{} {}: {arrow}", heading("Outcome"), visible(&self.after.summary.test))?;
        let parts = [
            ("Subtests", self.subtests()),
            ("Times", self.times()),
            ("New lines", missing(&self.after, &self.before)),
            ("Gone lines", missing(&self.before, &self.after)),
        ];
        for (title, lines) in parts {
            for (index, line) in lines.iter().take(SHOWN).enumerate() {
                writeln!(out, "{} {line}", heading(if index == 0 { title } else { "" }))?;
            }
            if let Some(more) = lines.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(out, "{} and {more} more", heading(""))?;
            }
        }
        Ok(())
    }

    /// Subtests with another end, or that only one of the two has.
    fn subtests(&self) -> Vec<String> {
        let before: BTreeMap<_, _> = self.before.summary.subtests.iter().map(by_name).collect();
        let after: BTreeMap<_, _> = self.after.summary.subtests.iter().map(by_name).collect();
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let word = |all: &BTreeMap<String, &'static str>, name| all.get(name).copied().unwrap_or("not there");
        let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        changed
            .map(|name| format!("{}: {} -> {}", visible(name), word(&before, name), word(&after, name)))
            .collect()
    }

    /// Times that have changed, those that changed most first.
    fn times(&self) -> Vec<String> {
        let of = |run: &Digest| -> BTreeMap<String, Duration> {
            let whole = std::iter::once(("the whole run".to_owned(), run.summary.duration));
            let boots = run.boots.iter().map(|(machine, time)| (format!("{machine}: boot"), *time));
            let subtests = run.summary.subtests.iter();
            let subtests = subtests.map(|subtest| (format!("subtest: {}", subtest.name), subtest.duration));
            let steps = run.steps.iter().map(|((machine, step), time)| (format!("{machine}: {step}"), *time));
            whole.chain(boots).chain(subtests).chain(steps).collect()
        };
        let (before, after) = (of(&self.before), of(&self.after));
        let both = before.iter().filter_map(|(name, before)| Some((name, *before, *after.get(name)?)));
        let mut changed: Vec<_> = both.filter(|(_, before, after)| has_changed(*before, *after)).collect();
        changed.sort_by_key(|(_, before, after)| std::cmp::Reverse(before.abs_diff(*after)));
        let line = |(name, before, after): (&String, Duration, Duration)| {
            let (was, is) = (before.as_secs_f64(), after.as_secs_f64());
            let percent = (is / was.max(0.001) - 1.0) * 100.0;
            format!("{was:.2}s -> {is:.2}s ({percent:+.0} %) {}", visible(name))
        };
        changed.into_iter().map(line).collect()
    }
}

impl Digest {
    fn read(dir: &Path) -> Result<Self, ReportError> {
        let mut events = EventFile::open(&dir.join(EVENTS))?;
        let mut reading = Reading::default();
        while let Some(record) = events.next_record()? {
            reading.observe(&record);
        }
        let Reading { tally, steps, boots, lines, .. } = reading;
        Ok(Self { summary: tally.summary(), steps, boots, lines })
    }
}

impl Reading {
    fn observe(&mut self, record: &Record) {
        self.tally.observe(record);
        let machine = || record.machine.clone().unwrap_or_default();
        match &record.event {
            Event::ScopeStarted { id, text, .. } if record.machine.is_some() => {
                self.open.insert(*id, (machine(), text.clone()));
            }
            Event::ScopeEnded { id, duration_us, .. } => {
                if let Some(key) = self.open.remove(id)
                    && (self.steps.len() < KINDS || self.steps.contains_key(&key))
                {
                    *self.steps.entry(key).or_default() += micros(*duration_us);
                }
            }
            Event::MachineState { state: MachineState::Starting } => {
                self.launched_us.insert(machine(), record.t_us);
            }
            Event::MachineState { state: MachineState::Connected } => {
                if let Some(launched_us) = self.launched_us.get(&machine()) {
                    let time = micros(record.t_us.saturating_sub(*launched_us));
                    self.boots.entry(machine()).or_insert(time);
                }
            }
            Event::Console { line } if self.lines.len() < KINDS && !line.trim().is_empty() => {
                self.lines.entry((machine(), pattern(line))).or_insert_with(|| line.clone());
            }
            _ => {}
        }
    }
}

fn verdict(summary: &Summary) -> String {
    match &summary.diagnosis {
        Some(diagnosis) => format!("{} ({})", summary.verdict, diagnosis.kind),
        None => summary.verdict.to_string(),
    }
}

fn by_name(subtest: &Subtest) -> (String, &'static str) {
    (subtest.name.clone(), subtest.outcome.word())
}

fn has_changed(before: Duration, after: Duration) -> bool {
    let difference = before.abs_diff(after);
    difference > CHANGED.1 && difference.as_secs_f64() > before.as_secs_f64() * CHANGED.0
}

/// Lines of one run of which the other has none like it, each with its machine.
fn missing(one: &Digest, other: &Digest) -> Vec<String> {
    let only = one.lines.iter().filter(|(key, _)| !other.lines.contains_key(*key));
    only.map(|((machine, _), line)| visible(&format!("{machine}: {}", line.trim())).into_owned()).collect()
}

/// A line with all that differs from run to run left out: times, numbers, addresses.
fn pattern(line: &str) -> String {
    let mut pattern = String::with_capacity(line.len());
    let mut word = String::new();
    for character in after_time(line).chars().chain(['\n']) {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        let is_number = word.contains(|c: char| c.is_ascii_digit());
        pattern.push_str(if is_number { "#" } else { &word });
        word.clear();
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn lines_that_differ_in_numbers_alone_are_of_one_kind() {
        let same = |one: &str, other: &str| pattern(one) == pattern(other);
        assert!(same("[   12.345678] nginx[301]: GET / 0x7ffe", "[    3.1] nginx[7]: GET / 0xab12"));
        assert!(!same("[ 1.0] started", "[ 1.0] stopped"));
    }
}
