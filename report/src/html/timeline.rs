//! Who did what, and when: for each machine the phases of its boots, its steps, and the moments that stand
//! out. Bounded, whatever a script does.

use std::collections::{BTreeMap, BTreeSet};

use driver_core::event::{BootPhase, Event, Level, MachineState, Record, ScopeId, ScopeKind};

use crate::escape::visible;
use crate::transcript::in_words;

/// Bars and marks that a lane keeps. Of more bars the shortest go, which nobody would see.
const BARS: usize = 2_000;
const MARKS: usize = 500;
/// Steps in the table of the slowest.
const SLOWEST: usize = 12;
/// Characters of a text beside a bar.
const TEXT: usize = 300;

/// Gathers the lanes.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Of the test itself: subtests, and what concerns no machine.
    pub(crate) test: Lane,
    /// The machines in the order of the plan.
    pub(crate) machines: Vec<(String, Lane)>,
    /// The steps of machines that took longest, longest first.
    pub(crate) slowest: Vec<(String, Bar)>,
    pub(crate) end_us: u64,
    open: BTreeMap<ScopeId, Open>,
}

/// What happened in one place.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) phases: Vec<Phase>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) marks: Vec<Mark>,
    /// How many bars were too short to be kept.
    pub(crate) left_out: usize,
    shortest_us: u64,
}

/// A time between two signs of the boot.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
}

/// A scope with its time.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) seq: u64,
    pub(crate) text: String,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) result: BarResult,
    /// How long it could have taken, if it was a wait.
    pub(crate) limit_us: Option<u64>,
}

/// How a scope ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BarResult {
    Done,
    Failed,
    /// It has no end: it was given up, or the run was cut off.
    CutOff,
}

/// A moment.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) t_us: u64,
    /// What kind of mark, as a word for the page's style.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

#[derive(Debug)]
struct Open {
    parent: ScopeId,
    machine: Option<String>,
    kind: ScopeKind,
    bar: Bar,
}

impl Timeline {
    /// Takes the next record.
    pub(crate) fn observe(&mut self, record: &Record) {
        let now_us = record.t_us;
        self.end_us = self.end_us.max(now_us);
        let mark = |kind, text: &str| Mark { seq: record.seq, t_us: now_us, kind, text: short(text) };
        match &record.event {
            Event::RunStarted(run) => {
                self.machines = run.machines.iter().map(|name| (name.clone(), Lane::default())).collect();
            }
            Event::RunEnded(end) => self.end_us = self.end_us.max(end.duration_us),
            Event::ScopeStarted { id, kind, text, .. } => {
                let bar = Bar {
                    seq: record.seq,
                    text: short(text),
                    start_us: now_us,
                    end_us: now_us,
                    result: BarResult::CutOff,
                    limit_us: None,
                };
                let (parent, machine) = (record.scope, record.machine.clone());
                self.open.insert(*id, Open { parent, machine, kind: *kind, bar });
            }
            Event::ScopeEnded { id, error, .. } => {
                let result = if error.is_some() { BarResult::Failed } else { BarResult::Done };
                self.close(*id, now_us, result);
            }
            Event::WaitLimit { limit_us } => {
                if let Some(open) = self.open.get_mut(&record.scope) {
                    open.bar.limit_us = Some(*limit_us);
                }
            }
            Event::MachineState { state } => self.lane(record).entered(*state, now_us),
            Event::BootPhase { phase } => self.lane(record).reached(*phase, now_us),
            Event::MachineExited { exit, expected } => {
                let kind = if *expected { "ended" } else { "died" };
                self.lane(record).mark(mark(kind, &exit.to_string()));
            }
            Event::FileSaved { path, .. } => self.lane(record).mark(mark("file", path)),
            Event::Log { level: Level::Error, text } => self.lane(record).mark(mark("error", text)),
            Event::Log { level: Level::Warning, text } => self.lane(record).mark(mark("warning", text)),
            Event::Log { .. }
            | Event::Console { .. }
            | Event::CommandOutput { .. }
            | Event::ScriptOutput { .. } => {}
            other => {
                // Of what later versions tell, such as faults of a network, the moment at least.
                let text = in_words(other).unwrap_or_default();
                self.lane(record).mark(mark("other", &text));
            }
        }
    }

    /// Ends what is still open, at the end of the records.
    pub(crate) fn finish(&mut self) {
        let (end_us, open) = (self.end_us, std::mem::take(&mut self.open));
        for scope in open.into_values() {
            self.add(scope, end_us, BarResult::CutOff);
        }
        for (_, lane) in &mut self.machines {
            if let Some(phase) = lane.phases.last_mut().filter(|phase| phase.end_us == u64::MAX) {
                phase.end_us = end_us;
            }
        }
    }

    /// Closes a scope, and those inside it that were given up.
    fn close(&mut self, id: ScopeId, now_us: u64, result: BarResult) {
        let mut closed = BTreeSet::from([id]);
        // Inner scopes have higher numbers, so this meets them after the outer ones.
        for (scope, open) in self.open.range(id..) {
            if closed.contains(&open.parent) {
                closed.insert(*scope);
            }
        }
        for scope in closed {
            if let Some(open) = self.open.remove(&scope) {
                self.add(open, now_us, if scope == id { result } else { BarResult::CutOff });
            }
        }
    }

    fn add(&mut self, open: Open, end_us: u64, result: BarResult) {
        let bar = Bar { end_us: end_us.max(open.bar.start_us), result, ..open.bar };
        match open.machine {
            Some(machine) => {
                self.note_slow(&machine, &bar);
                self.lane_of(Some(&machine)).bar(bar);
            }
            None if open.kind == ScopeKind::Subtest => self.test.bar(bar),
            // What runs for no machine is a heading around others.
            None => {}
        }
    }

    fn note_slow(&mut self, machine: &str, bar: &Bar) {
        let at = self.slowest.partition_point(|(_, slower)| slower.duration_us() >= bar.duration_us());
        if at < SLOWEST {
            self.slowest.insert(at, (machine.to_owned(), bar.clone()));
            self.slowest.truncate(SLOWEST);
        }
    }

    fn lane(&mut self, record: &Record) -> &mut Lane {
        self.lane_of(record.machine.as_deref())
    }

    fn lane_of(&mut self, machine: Option<&str>) -> &mut Lane {
        let Some(machine) = machine else { return &mut self.test };
        let at = self.machines.iter().position(|(name, _)| name == machine).unwrap_or_else(|| {
            self.machines.push((machine.to_owned(), Lane::default()));
            self.machines.len() - 1
        });
        &mut self.machines[at].1
    }
}

impl Lane {
    fn entered(&mut self, state: MachineState, now_us: u64) {
        self.end_phase(now_us);
        let name = match state {
            MachineState::Starting => "launch",
            MachineState::Running => "silent",
            MachineState::Connected => "up",
            MachineState::Off => return,
        };
        self.begin_phase(name, now_us);
    }

    fn reached(&mut self, phase: BootPhase, now_us: u64) {
        let name = match phase {
            BootPhase::Silent => "silent",
            BootPhase::Firmware => "firmware",
            BootPhase::Kernel => "kernel",
            BootPhase::Initrd => "initrd",
            BootPhase::Init => "init",
            BootPhase::Shell => "shell",
        };
        // A machine whose shell answers is up, whatever a late line says; but a kernel that starts is a reboot.
        let up = self.phases.last().is_some_and(|last| last.name == "up" && last.end_us == u64::MAX);
        if !up || phase == BootPhase::Kernel {
            self.end_phase(now_us);
            self.begin_phase(name, now_us);
        }
    }

    fn begin_phase(&mut self, name: &'static str, start_us: u64) {
        if self.phases.len() < BARS {
            self.phases.push(Phase { name, start_us, end_us: u64::MAX });
        }
    }

    fn end_phase(&mut self, now_us: u64) {
        if let Some(phase) = self.phases.last_mut().filter(|phase| phase.end_us == u64::MAX) {
            phase.end_us = now_us;
        }
    }

    fn bar(&mut self, bar: Bar) {
        if bar.result == BarResult::Done && bar.duration_us() < self.shortest_us {
            self.left_out += 1;
            return;
        }
        self.bars.push(bar);
        while self.bars.len() > BARS {
            self.shortest_us = (self.shortest_us * 2).max(1_000);
            let shortest_us = self.shortest_us;
            let before = self.bars.len();
            let failed_too = shortest_us > 1 << 40;
            self.bars.retain(|bar| {
                bar.duration_us() >= shortest_us || (bar.result != BarResult::Done && !failed_too)
            });
            self.left_out += before - self.bars.len();
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.marks.len() < MARKS {
            self.marks.push(mark);
        }
    }
}

impl Bar {
    pub(crate) fn duration_us(&self) -> u64 {
        self.end_us.saturating_sub(self.start_us)
    }
}

/// The first line of a text, escaped and cut.
fn short(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let cut: String = line.chars().take(TEXT).collect();
    visible(&cut).into_owned()
}

/// The phases of a boot in the words of the page.
pub(crate) fn phase_word(name: &str) -> &str {
    match name {
        "launch" => "hypervisor starts",
        "silent" => "silent",
        "init" => "init system",
        "initrd" => "initial RAM disk",
        "shell" => "waiting for the shell",
        other => other,
    }
}
