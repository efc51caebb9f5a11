//! What the rules look at: how machines ended, how far they had booted, which steps failed and which were
//! open. Bounded, however long a run is.

use std::collections::{BTreeMap, VecDeque};

use driver_core::event::{BootPhase, Event, Level, MachineState, Outcome, Record, ScopeId};
use driver_core::{Exit, ExitReason};

/// Failed steps, and ends of machines, that are remembered: the last ones.
const KEPT: usize = 64;
/// Bytes of a text that is remembered.
const TEXT: usize = 16 << 10;

/// Gathered from the records.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Whether a person's program runs the test, and no script: then nobody sorts errors beforehand.
    in_rust: bool,
    machines: BTreeMap<String, Guest>,
    exits: VecDeque<Ended>,
    failed: VecDeque<Step>,
    open: BTreeMap<ScopeId, Step>,
    /// The last error in the log: a traceback, as a rule.
    traceback: String,
}

#[derive(Debug, Default)]
struct Guest {
    ran: bool,
    connected: bool,
    phase: Option<BootPhase>,
}

/// The end of a machine.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) machine: String,
    pub(super) exit: Exit,
    phase: Option<BootPhase>,
    was_up: bool,
}

/// A step of a machine.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) heading: String,
    pub(super) machine: String,
    error: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    /// Nothing when its end is missing.
    pub(super) outcome: Option<Outcome>,
    pub(super) message: &'a str,
}

/// All that a rule decides by.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) outcome: Option<Outcome>,
    pub(super) message: &'a str,
    pub(super) traceback: &'a str,
    /// The step whose error is the run's.
    pub(super) step: Option<&'a Step>,
    /// The end of a machine that is the run's error.
    pub(super) ended: Option<&'a Ended>,
    evidence: &'a Evidence,
}

impl Evidence {
    pub(super) fn observe(&mut self, record: &Record) {
        match &record.event {
            Event::RunStarted(run) => {
                self.in_rust = run.script.is_empty();
                self.machines = run.machines.iter().map(|name| (name.clone(), Guest::default())).collect();
            }
            Event::ScopeStarted { id, text, .. } => {
                let machine = record.machine.clone().unwrap_or_default();
                self.open.insert(*id, Step { heading: cut(text), machine, error: String::new() });
            }
            Event::ScopeEnded { id, error, .. } => {
                if let (Some(step), Some(error)) = (self.open.remove(id), error)
                    && !step.machine.is_empty()
                {
                    push_last(&mut self.failed, Step { error: cut(error), ..step });
                }
            }
            Event::Log { level: Level::Error, text } => self.traceback = cut(text),
            _ => {}
        }
        let Some(machine) = &record.machine else { return };
        let guest = self.machines.entry(machine.clone()).or_default();
        match &record.event {
            Event::MachineState { state } => {
                guest.ran |= *state == MachineState::Running;
                guest.connected = *state == MachineState::Connected;
                if *state == MachineState::Starting {
                    guest.phase = None;
                }
            }
            Event::BootPhase { phase } => {
                // A kernel that starts again has to come up again.
                guest.connected &= *phase != BootPhase::Kernel;
                guest.phase = Some(*phase);
            }
            Event::MachineExited { exit, .. } => {
                let (machine, exit) = (machine.clone(), exit.clone());
                let (phase, was_up) = (guest.phase, guest.connected);
                push_last(&mut self.exits, Ended { machine, exit, phase, was_up });
            }
            _ => {}
        }
    }

    pub(super) fn case<'a>(&'a self, ending: &Ending<'a>) -> Case<'a> {
        let Ending { outcome, message } = *ending;
        let ended = self.exits.iter().rev().find(|ended| {
            ended.exit.reason != ExitReason::Destroyed
                && message.contains(&format!("machine `{}`: {}", ended.machine, head(&ended.exit)))
        });
        let is_cause = |step: &&Step| !step.error.is_empty() && message.contains(&step.error);
        let step = self.failed.iter().rev().find(is_cause);
        Case { outcome, message, traceback: &self.traceback, step, ended, evidence: self }
    }
}

impl Case<'_> {
    /// Whether it is the fault of a machine, or nobody has said whose it is.
    pub(super) fn is_machines(&self) -> bool {
        self.outcome == Some(Outcome::MachineFailed) || (self.failed() && self.evidence.in_rust)
    }

    pub(super) fn failed(&self) -> bool {
        self.outcome == Some(Outcome::Failed)
    }

    pub(super) fn script_broke(&self) -> bool {
        self.outcome == Some(Outcome::ScriptError)
    }

    /// Whether the machine that the message is about has never run.
    pub(super) fn never_ran(&self) -> bool {
        self.subject()
            .is_some_and(|(name, _)| !self.evidence.machines.get(name).is_some_and(|guest| guest.ran))
    }

    /// What a message about a machine says of it.
    pub(super) fn machines_own(&self) -> Option<&str> {
        self.subject().map(|(_, text)| text)
    }

    /// The machine that the message begins with, and the rest. What stands further behind may be quoted.
    fn subject(&self) -> Option<(&str, &str)> {
        self.message.strip_prefix("machine `")?.split_once("`: ")
    }

    /// How far the boot had come of a machine that ended in it.
    pub(super) fn boot_of_the_ended(&self) -> Option<String> {
        self.ended.filter(|ended| !ended.was_up).map(|ended| boot(&ended.machine, ended.phase))
    }

    /// How far the boot of the machine has come that the message names.
    pub(super) fn boot_of_the_named(&self) -> Option<String> {
        let named = |name: &str| self.message.contains(&format!("machine `{name}`"));
        let (name, guest) = self.evidence.machines.iter().find(|(name, _)| named(name))?;
        Some(boot(name, guest.phase))
    }

    /// The steps of machines that had not ended, the last of each.
    pub(super) fn going_on(&self) -> Option<String> {
        let mut last: BTreeMap<&str, &str> = BTreeMap::new();
        for step in self.evidence.open.values().filter(|step| !step.machine.is_empty()) {
            last.insert(&step.machine, &step.heading);
        }
        let steps: Vec<String> =
            last.iter().take(4).map(|(machine, step)| format!("{machine}: {step}")).collect();
        (!steps.is_empty()).then(|| format!("in the middle of {}", steps.join("; ")))
    }
}

fn boot(machine: &str, phase: Option<BootPhase>) -> String {
    let place = match phase {
        None | Some(BootPhase::Silent) => "its console stayed silent",
        Some(BootPhase::Firmware) => "it came as far as the firmware or boot loader",
        Some(BootPhase::Kernel) => "it came as far as the kernel",
        Some(BootPhase::Initrd) => "it came as far as the initial RAM disk",
        Some(BootPhase::Init) => "it came as far as the init system",
        Some(BootPhase::Shell) => "it had a login prompt, but no shell for the test",
    };
    format!("{machine}: {place}")
}

/// How a machine ended, without its last words, which a message may have cut.
fn head(exit: &Exit) -> String {
    Exit::new(exit.reason.clone()).to_string()
}

fn push_last<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

fn cut(text: &str) -> String {
    (0..=TEXT.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default().to_owned()
}
