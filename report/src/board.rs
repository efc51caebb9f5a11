//! What each machine is doing, and since when: the content of the live area, as plain data.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use console::{measure_text_width, truncate_str};
use driver_core::event::{BootPhase, Event, MachineState, Record, ScopeId, ScopeKind};

use crate::escape::visible;
use crate::paint::{self, paint};
use crate::tally::micros;
use crate::transcript::word;

/// Machines that get a line; more would push the log off the screen.
const LINES: usize = 12;

/// Columns that a name gets at most.
const NAME_WIDTH: usize = 24;

/// Follows the records.
#[derive(Debug, Default)]
pub(crate) struct Board {
    test: String,
    timeout: Option<Duration>,
    /// Open scopes and what they lie in.
    open: BTreeMap<ScopeId, ScopeId>,
    subtests: Vec<(ScopeId, String)>,
    machines: BTreeMap<String, Status>,
}

#[derive(Debug)]
struct Status {
    state: MachineState,
    since_us: u64,
    phase: Option<BootPhase>,
    /// Open steps; the last one began last.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    id: ScopeId,
    text: String,
    began_us: u64,
    /// How long it may take, if it is a wait.
    limit: Option<Duration>,
}

impl Board {
    /// Takes the next record.
    pub(crate) fn observe(&mut self, record: &Record) {
        match &record.event {
            Event::RunStarted(run) => {
                self.test.clone_from(&run.test);
                self.timeout = Duration::try_from_secs_f64(run.timeout_s).ok();
                self.machines =
                    run.machines.iter().map(|name| (name.clone(), Status::off(record.t_us))).collect();
            }
            Event::ScopeStarted { id, kind, text, .. } => {
                self.open.insert(*id, record.scope);
                if *kind == ScopeKind::Subtest {
                    self.subtests.push((*id, text.clone()));
                }
            }
            Event::ScopeEnded { id, .. } => self.close(*id),
            _ => {}
        }
        let Some(name) = &record.machine else { return };
        let status = self.machines.entry(name.clone()).or_insert_with(|| Status::off(record.t_us));
        match &record.event {
            Event::ScopeStarted { id, kind: ScopeKind::Step, text, .. } => {
                status.steps.push(Step { id: *id, text: text.clone(), began_us: record.t_us, limit: None });
            }
            Event::WaitLimit { limit_us } => {
                if let Some(step) = status.steps.iter_mut().find(|step| step.id == record.scope) {
                    step.limit = Some(micros(*limit_us));
                }
            }
            Event::MachineState { state } => {
                status.state = *state;
                status.since_us = record.t_us;
                if *state == MachineState::Starting {
                    status.phase = None;
                }
            }
            Event::BootPhase { phase } => status.phase = Some(*phase),
            _ => {}
        }
    }

    /// Closes a scope and those inside it: one that was given up has no end of its own.
    fn close(&mut self, id: ScopeId) {
        let mut closed = HashSet::from([id]);
        // Inner scopes have higher numbers, so this meets them after the outer ones.
        self.open.retain(|scope, parent| {
            let stays = *scope != id && !closed.contains(parent);
            if !stays {
                closed.insert(*scope);
            }
            stays
        });
        self.subtests.retain(|(id, _)| !closed.contains(id));
        self.machines.values_mut().for_each(|status| status.steps.retain(|step| !closed.contains(&step.id)));
    }

    /// The lines to show, at `now_us` of the run, none wider than `width` columns.
    pub(crate) fn lines(&self, now_us: u64, width: usize, colours: bool) -> Vec<String> {
        let names = self.machines.keys().map(|name| visible(name));
        let name_width = names.map(|name| measure_text_width(&name)).max().unwrap_or(0).min(NAME_WIDTH);
        let mut lines = Vec::new();
        for (name, status) in self.machines.iter().take(LINES) {
            let (what, since_us, limit) = status.activity();
            let time = time(now_us.saturating_sub(since_us), limit);
            lines.push(Line { name, name_width, what: &what, time: &time }.render(width, colours));
        }
        if let Some(more) = self.machines.len().checked_sub(LINES).filter(|more| *more > 0) {
            lines.push(truncate_str(&format!("and {more} more machines"), width, "…").into_owned());
        }
        let time = time(now_us, self.timeout);
        let subtest = self.subtests.last().map_or("", |(_, text)| text.as_str());
        lines.push(Line { name: &self.test, name_width, what: subtest, time: &time }.render(width, colours));
        lines
    }
}

impl Status {
    fn off(since_us: u64) -> Self {
        Self { state: MachineState::Off, since_us, phase: None, steps: Vec::new() }
    }

    /// What the machine is doing, since when, and for how long it may.
    fn activity(&self) -> (String, u64, Option<Duration>) {
        let booting = matches!(self.state, MachineState::Starting | MachineState::Running);
        let phase = self.phase.filter(|_| booting).map(word);
        match (self.steps.last(), phase) {
            (Some(step), None) => (step.text.clone(), step.began_us, step.limit),
            (Some(step), Some(phase)) => {
                (format!("{} (boot: {phase})", step.text), step.began_us, step.limit)
            }
            (None, Some(phase)) => (format!("booting: {phase}"), self.since_us, None),
            (None, None) => {
                let what = match self.state {
                    MachineState::Starting => "starting",
                    MachineState::Running => "booting",
                    MachineState::Connected => "idle",
                    MachineState::Off => "off",
                };
                (what.to_owned(), self.since_us, None)
            }
        }
    }
}

/// A time that is going on, with its limit if it has one: `12.3s / 15m`.
fn time(us: u64, limit: Option<Duration>) -> String {
    let time = paint::short(micros(us));
    limit.map_or_else(|| time.clone(), |limit| format!("{time} / {}", paint::limit(limit)))
}

struct Line<'a> {
    name: &'a str,
    name_width: usize,
    what: &'a str,
    time: &'a str,
}

impl Line<'_> {
    /// The line cut to `width` columns; what is done is cut first, and the time last.
    fn render(&self, width: usize, colours: bool) -> String {
        let one_line = |text: &str| visible(text).replace('\t', " ");
        let name = one_line(self.name);
        let name = truncate_str(&name, NAME_WIDTH, "…");
        let name_width = self.name_width.max(measure_text_width(&name));
        let name = format!("{name}{}", " ".repeat(name_width - measure_text_width(&name)));
        let what_width = width.saturating_sub(name_width + 2 + 2 + self.time.len());
        let what = one_line(self.what);
        let what = truncate_str(&what, what_width, "…");
        let gap = if what.is_empty() { "" } else { "  " };
        let name = paint(paint::STRONG, colours, name);
        let time = paint(paint::CONSOLE, colours, self.time);
        truncate_str(&format!("{name}  {what}{gap}{time}"), width, "…").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use driver_core::event::{BootPhase, ConsoleRules, Event, MachineState, Record, RunStarted, ScopeKind};

    fn board(events: Vec<(&str, Event)>) -> Board {
        let mut board = Board::default();
        let run = RunStarted {
            format: 1,
            version: "0.1.0".to_owned(),
            test: "guestbook".to_owned(),
            machines: vec!["client".to_owned(), "server".to_owned()],
            script: "test.py".to_owned(),
            timeout_s: 900.0,
            started_unix_ms: 0,
            console: ConsoleRules::default(),
        };
        let first = (None, Event::RunStarted(run));
        let rest = events.into_iter().map(|(machine, event)| (Some(machine.to_owned()), event));
        for (seq, (machine, event)) in (0..).zip(std::iter::once(first).chain(rest)) {
            let scope = u64::from(matches!(event, Event::WaitLimit { .. }));
            board.observe(&Record { seq, t_us: seq * 1_000_000, scope, machine, event });
        }
        board
    }

    fn step(id: u64, text: &str) -> Event {
        Event::ScopeStarted { id, kind: ScopeKind::Step, text: text.to_owned(), file: None }
    }

    #[test]
    fn each_machine_says_what_it_does_and_for_how_long() {
        let board = board(vec![
            ("server", Event::MachineState { state: MachineState::Running }),
            ("server", Event::BootPhase { phase: BootPhase::Kernel }),
            ("client", Event::MachineState { state: MachineState::Connected }),
            ("client", step(1, "waiting for unit multi-user.target")),
            ("client", Event::WaitLimit { limit_us: 90_000_000 }),
            ("client", step(2, "must succeed: true")),
            ("client", Event::ScopeEnded { id: 2, duration_us: 1, error: None }),
        ]);
        let lines = board.lines(12_340_000, 80, false);
        assert_eq!(
            lines,
            [
                "client  waiting for unit multi-user.target  8.3s / 1m 30s",
                "server  booting: kernel  11.3s",
                "guestbook  12.3s / 15m",
            ]
        );
    }

    #[test]
    fn a_step_that_was_given_up_goes_with_the_one_around_it() {
        let mut board = board(vec![("server", step(1, "outer"))]);
        let mut take = |scope, event| {
            board.observe(&Record {
                seq: 2,
                t_us: 2_000_000,
                scope,
                machine: Some("server".to_owned()),
                event,
            });
            board.lines(2_000_000, 80, false).remove(1)
        };
        assert_eq!(take(1, step(2, "inner")), "server  inner  0.0s");
        assert_eq!(take(0, Event::ScopeEnded { id: 1, duration_us: 1, error: None }), "server  off  2.0s");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_or_obeyed_by_it() {
        let hostile = "waiting \u{1b}[2J\r\n\t\u{202e}".to_owned() + &"界".repeat(500);
        let board = board(vec![("server", step(1, &hostile))]);
        for width in 1..200 {
            for line in board.lines(5_000_000, width, false) {
                assert!(console::measure_text_width(&line) <= width, "{width}: {line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
        let shown = board.lines(5_000_000, 60, false).remove(1);
        assert!(
            shown.starts_with(r"server  waiting \u{1b}[2J\u{d}\u{a} ") && shown.ends_with("…  4.0s"),
            "{shown}"
        );
    }
}
