//! Keeps count of a run as its records pass: which subtests there were, how long each took and how it
//! ended, and the run's verdict.
//!
//! A *case* is what JUnit reports: `main` for everything outside of subtests, and one case per distinct
//! subtest name, in the order in which they began. A subtest that runs three times is one case.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use driver_core::event::{Event, Record, RunEnded, RunStarted, ScopeId, ScopeKind};

use crate::diagnosis::Doctor;
use crate::lint::Findings;
use crate::summary::{Subtest, SubtestOutcome, Summary, Verdict};

/// The case of everything outside of subtests.
pub(crate) const MAIN: usize = 0;

/// Counts records.
#[derive(Debug)]
pub(crate) struct Tally {
    started: Option<RunStarted>,
    ended: Option<RunEnded>,
    last_us: u64,
    cases: Vec<Case>,
    by_name: HashMap<String, usize>,
    /// Open subtests; the last one began last.
    open: BTreeMap<ScopeId, OpenSubtest>,
    /// For each open scope, the subtest that it is in; [`RUN`] for those in none.
    enclosing: HashMap<ScopeId, ScopeId>,
    main: Clock,
    files: Vec<String>,
    doctor: Doctor,
}

/// The scope of the run itself.
const RUN: ScopeId = 0;

#[derive(Debug)]
struct Case {
    name: String,
    depth: usize,
    own_us: u64,
    total_us: u64,
    outcome: SubtestOutcome,
}

#[derive(Debug)]
struct OpenSubtest {
    case: usize,
    parent: ScopeId,
    clock: Clock,
    machine_died: bool,
}

/// Measures the time of a case without that of the subtests inside it, which may overlap.
#[derive(Debug, Default)]
struct Clock {
    began_us: u64,
    inner_open: usize,
    inner_began_us: u64,
    inner_us: u64,
}

impl Clock {
    fn at(began_us: u64) -> Self {
        Self { began_us, ..Self::default() }
    }

    fn inner_starts(&mut self, now_us: u64) {
        if self.inner_open == 0 {
            self.inner_began_us = now_us;
        }
        self.inner_open += 1;
    }

    fn inner_ends(&mut self, now_us: u64) {
        self.inner_open = self.inner_open.saturating_sub(1);
        if self.inner_open == 0 {
            self.inner_us = self.inner_us.saturating_add(now_us.saturating_sub(self.inner_began_us));
        }
    }

    fn total_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.began_us)
    }

    fn own_us(&self, now_us: u64) -> u64 {
        let running = if self.inner_open > 0 { now_us.saturating_sub(self.inner_began_us) } else { 0 };
        self.total_us(now_us).saturating_sub(self.inner_us).saturating_sub(running)
    }
}

impl Default for Tally {
    fn default() -> Self {
        let main = Case {
            name: "main".to_owned(),
            depth: 0,
            own_us: 0,
            total_us: 0,
            outcome: SubtestOutcome::Passed,
        };
        Self {
            started: None,
            ended: None,
            last_us: 0,
            cases: vec![main],
            by_name: HashMap::new(),
            open: BTreeMap::new(),
            enclosing: HashMap::new(),
            main: Clock::default(),
            files: Vec::new(),
            doctor: Doctor::default(),
        }
    }
}

impl Tally {
    /// Takes the next record, and says which case it belongs to.
    pub(crate) fn observe(&mut self, record: &Record) -> usize {
        self.last_us = self.last_us.max(record.t_us);
        self.doctor.observe(record);
        let mut case = self.case_of(record);
        match &record.event {
            Event::RunStarted(run) => self.started = Some(run.clone()),
            Event::RunEnded(end) => self.ended = Some(end.clone()),
            Event::FileSaved { path, .. } => self.files.push(path.clone()),
            Event::ScopeStarted { id, kind: ScopeKind::Subtest, text, .. } => {
                case = self.start(*id, self.subtest_around(record.scope), text, record.t_us);
            }
            Event::ScopeStarted { id, kind: ScopeKind::Step, .. } => {
                self.enclosing.insert(*id, self.subtest_around(record.scope));
            }
            Event::ScopeEnded { id, error, .. } => {
                if let Some(open) = self.open.remove(id) {
                    case = open.case;
                    self.end(open, error.as_deref(), record.t_us);
                }
                self.enclosing.remove(id);
            }
            Event::MachineExited { expected: false, .. } => {
                self.open.values_mut().for_each(|open| open.machine_died = true);
            }
            _ => {}
        }
        case
    }

    /// What comes from outside of the script's flow (a console line, a death) and lies in no subtest
    /// concerns the one that began last.
    fn case_of(&self, record: &Record) -> usize {
        let around = self.open.get(&self.subtest_around(record.scope));
        let last = match record.event {
            Event::Console { .. } | Event::MachineExited { .. } | Event::ScriptOutput { .. } => {
                self.open.values().next_back()
            }
            _ => None,
        };
        around.or(last).map_or(MAIN, |open| open.case)
    }

    fn subtest_around(&self, scope: ScopeId) -> ScopeId {
        self.enclosing.get(&scope).copied().unwrap_or(RUN)
    }

    fn clock_of(&mut self, subtest: ScopeId) -> &mut Clock {
        match self.open.get_mut(&subtest) {
            Some(open) => &mut open.clock,
            None => &mut self.main,
        }
    }

    fn start(&mut self, id: ScopeId, parent: ScopeId, name: &str, now_us: u64) -> usize {
        let depth = self.open.get(&parent).map_or(0, |open| self.cases[open.case].depth + 1);
        let case = *self.by_name.entry(name.to_owned()).or_insert(self.cases.len());
        if case == self.cases.len() {
            let name = name.to_owned();
            self.cases.push(Case { name, depth, own_us: 0, total_us: 0, outcome: SubtestOutcome::Passed });
        }
        self.clock_of(parent).inner_starts(now_us);
        self.enclosing.insert(id, id);
        self.open.insert(id, OpenSubtest { case, parent, clock: Clock::at(now_us), machine_died: false });
        case
    }

    fn end(&mut self, open: OpenSubtest, error: Option<&str>, now_us: u64) {
        let case = &mut self.cases[open.case];
        case.own_us = case.own_us.saturating_add(open.clock.own_us(now_us));
        case.total_us = case.total_us.saturating_add(open.clock.total_us(now_us));
        // Of several runs the first that failed tells the most.
        if let (SubtestOutcome::Passed, Some(error)) = (&case.outcome, error) {
            let message = error.to_owned();
            case.outcome = if open.machine_died {
                SubtestOutcome::MachineFailed { message }
            } else {
                SubtestOutcome::Failed { message }
            };
        }
        self.clock_of(open.parent).inner_ends(now_us);
    }

    /// What was found on the consoles.
    pub(crate) fn findings(&self) -> &Findings {
        self.doctor.findings()
    }

    /// The run so far; what is still open counts as cut off.
    pub(crate) fn summary(&self) -> Summary {
        let last_us = self.ended.as_ref().map_or(self.last_us, |end| end.duration_us.max(self.last_us));
        let mut subtests: Vec<Subtest> = self.cases.iter().map(Case::result).collect();
        for open in self.open.values() {
            let subtest = &mut subtests[open.case];
            subtest.own_time += micros(open.clock.own_us(last_us));
            subtest.duration += micros(open.clock.total_us(last_us));
            if subtest.outcome == SubtestOutcome::Passed {
                subtest.outcome = SubtestOutcome::CutOff;
            }
        }
        subtests.remove(MAIN);
        Summary {
            test: self.started.as_ref().map(|run| run.test.clone()).unwrap_or_default(),
            started_unix_ms: self.started.as_ref().map(|run| run.started_unix_ms),
            machines: self.started.as_ref().map(|run| run.machines.clone()).unwrap_or_default(),
            verdict: self.ended.as_ref().map_or(Verdict::CutOff, |end| Verdict::Ended(end.outcome)),
            message: match &self.ended {
                Some(end) => end.message.clone(),
                None => Some(
                    "cut off: the events end before the run did, as when the driver is killed".to_owned(),
                ),
            },
            diagnosis: self.doctor.diagnosis(self.ended.as_ref()),
            findings: self.doctor.findings().lines(),
            duration: micros(self.ended.as_ref().map_or(self.last_us, |end| end.duration_us)),
            main_time: micros(self.main.own_us(last_us)),
            subtests,
            files: self.files.clone(),
            exit_status: self.ended.as_ref().map(|end| end.exit_status),
        }
    }
}

impl Case {
    fn result(&self) -> Subtest {
        Subtest {
            name: self.name.clone(),
            depth: self.depth,
            duration: micros(self.total_us),
            own_time: micros(self.own_us),
            outcome: self.outcome.clone(),
        }
    }
}

pub(crate) fn micros(us: u64) -> Duration {
    Duration::from_micros(us)
}
