//! Who did what, and when: for each machine the phases of its boots, its steps, and the moments that stand
//! out. Bounded, whatever a script does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use driver_core::Exit;
use driver_core::event::{BootPhase, Event, FileKind, Level, MachineState, Record, ScopeId, ScopeKind};
use driver_core::vlan::FaultId;

use crate::escape::visible;
use crate::transcript::in_words;

/// Bars and marks that a lane keeps. Of more bars the shortest go, which nobody would see, failed ones last.
const BARS: usize = 2_000;
const MARKS: usize = 500;
/// Steps in the table of the slowest.
const SLOWEST: usize = 12;
/// Characters of a text beside a bar.
const TEXT: usize = 300;

/// Gathers the lanes.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Of the test itself: subtests, faults of networks, and what else concerns no machine.
    pub(crate) test: Lane,
    /// The machines in the order of the plan.
    pub(crate) machines: Vec<(String, Lane)>,
    /// The steps of machines, and waits of the test itself, that took longest, longest first.
    pub(crate) slowest: Vec<(String, Bar)>,
    pub(crate) end_us: u64,
    open: BTreeMap<ScopeId, Open>,
    /// Faults that are not lifted, by network.
    faults: BTreeMap<(u32, FaultId), Bar>,
}

/// What happened in one place.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) phases: Vec<Phase>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) marks: Vec<Mark>,
    /// How many bars were too short to be kept.
    pub(crate) left_out: usize,
}

/// A time between two signs of the boot.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
}

/// A scope, or a fault of a network, with its time.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) seq: u64,
    pub(crate) text: String,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) result: BarResult,
    /// How long it could have taken, if it was a wait.
    pub(crate) limit_us: Option<u64>,
    /// Whether it is a fault of a network, and no scope.
    pub(crate) is_fault: bool,
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
                let bar = Bar::from_here(record, text);
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
            Event::FaultImposed { vlan, id, fault } if self.faults.len() < BARS => {
                let bar = Bar::from_here(record, &format!("vlan {vlan}: {fault}"));
                self.faults.insert((*vlan, *id), Bar { is_fault: true, result: BarResult::Done, ..bar });
            }
            Event::FaultLifted { vlan, id, .. } => {
                if let Some(bar) = self.faults.remove(&(*vlan, *id)) {
                    self.test.bar(Bar { end_us: now_us, ..bar });
                }
            }
            Event::MachineState { state } => self.lane(record).entered(*state, now_us),
            Event::BootPhase { phase } => self.lane(record).reached(*phase, now_us),
            Event::MachineExited { exit, expected } => {
                let kind = if *expected { "ended" } else { "died" };
                // Its last words are beside it, in the end of its console.
                let exit = Exit { last_words: Vec::new(), ..exit.clone() };
                self.lane(record).mark(mark(kind, &exit.to_string()));
            }
            // All of it at one moment, when nothing happens any more.
            Event::FileSaved { kind: FileKind::Evidence, .. } => {}
            Event::FileSaved { path, .. } => self.lane(record).mark(mark("file", path)),
            Event::Log { level: Level::Error, text } => self.lane(record).mark(mark("error", text)),
            Event::Log { level: Level::Warning, text } => self.lane(record).mark(mark("warning", text)),
            Event::Log { .. }
            | Event::Console { .. }
            | Event::CommandOutput { .. }
            | Event::Frame { .. }
            | Event::ScriptOutput { .. } => {}
            other => {
                // Of what later versions tell the moment at least.
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
        for bar in std::mem::take(&mut self.faults).into_values() {
            self.test.bar(Bar { end_us, ..bar });
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
            None if bar.limit_us.is_some() => {
                self.note_slow("", &bar);
                self.test.bar(bar);
            }
            // What else runs for no machine is a heading around others.
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
        self.bars.push(bar);
        if self.bars.len() > BARS {
            // Half of them at once: so the sorting costs little.
            let weight = |bar: &Bar| (bar.result != BarResult::Done, bar.duration_us());
            self.bars.sort_by_key(|bar| Reverse(weight(bar)));
            self.left_out += self.bars.len() - BARS / 2;
            self.bars.truncate(BARS / 2);
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.marks.len() < MARKS {
            self.marks.push(mark);
        }
    }
}

impl Bar {
    /// What begins with a record, and has no end yet.
    fn from_here(record: &Record, text: &str) -> Self {
        Self {
            seq: record.seq,
            text: short(text),
            start_us: record.t_us,
            end_us: record.t_us,
            result: BarResult::CutOff,
            limit_us: None,
            is_fault: false,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::{BARS, Bar, BarResult, Lane};

    #[test]
    fn many_failed_steps_leave_room_for_long_ones_that_come_later() {
        let bar = |result, end_us| Bar {
            seq: 0,
            text: String::new(),
            start_us: 0,
            end_us,
            result,
            limit_us: None,
            is_fault: false,
        };
        let mut lane = Lane::default();
        for _ in 0..2 * BARS {
            lane.bar(bar(BarResult::Failed, 10));
        }
        lane.bar(bar(BarResult::Done, 1_000_000));
        assert!(lane.bars.iter().any(|bar| bar.result == BarResult::Done), "the later one is there");
        assert!(lane.bars.len() >= BARS / 2, "{} are kept", lane.bars.len());
        assert_eq!(lane.bars.len() + lane.left_out, 2 * BARS + 1);
    }
}
