//! The log as text: turns records into the lines that a reader of NixOS test logs knows. Terminal,
//! `log.txt` and JUnit's `system-out` all show these lines.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use driver_core::event::{Event, Level, OutputStream, Record, ScopeId, ScopeKind};

use crate::escape::visible;
use crate::paint::{self, paint};

/// What kind of entry it is: decides its look, and who shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A scope starts.
    Step,
    /// A scope ends.
    End,
    /// The plain log.
    Plain,
    /// For those who look closely.
    Debug,
    /// A line of a serial console.
    Console,
    /// Odd, but going on.
    Warning,
    /// What made the test fail.
    Error,
    /// What the script printed.
    Script(OutputStream),
}

/// One entry of the log; may have several lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    machine: Option<String>,
    text: String,
}

/// Makes entries of records. Keeps the headings of open scopes, which their ends repeat.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    open: HashMap<ScopeId, String>,
}

impl Transcript {
    /// The entry that a record makes, if it makes one.
    pub(crate) fn entry(&mut self, record: &Record) -> Option<Entry> {
        let (kind, text) = match &record.event {
            Event::RunStarted(run) => {
                let machines = run.machines.join(", ");
                let text = format!("innkeeper {}: test {}, machines: {machines}", run.version, run.test);
                (Kind::Debug, text)
            }
            Event::ScopeStarted { id, kind, text, .. } => {
                let heading = heading(*kind, text);
                self.open.insert(*id, heading.clone());
                (Kind::Step, heading)
            }
            Event::ScopeEnded { id, duration_us, error } => {
                let heading = self.open.remove(id)?;
                let seconds = crate::tally::micros(*duration_us).as_secs_f64();
                let verb = if error.is_some() { "failed" } else { "finished" };
                (Kind::End, format!("({verb}: {heading}, in {seconds:.2} seconds)"))
            }
            Event::Log { level, text } => (of_level(*level), text.clone()),
            Event::Console { line } => (Kind::Console, line.clone()),
            Event::CommandOutput { stream: OutputStream::Stdout, line } => {
                (Kind::Console, format!("(stdout) {line}"))
            }
            Event::CommandOutput { stream: OutputStream::Stderr, line } => {
                (Kind::Console, format!("(stderr) {line}"))
            }
            Event::ScriptOutput { stream, line } => (Kind::Script(*stream), line.clone()),
            Event::MachineState { state } => (Kind::Debug, format!("machine is {}", word(state))),
            Event::BootPhase { phase } => (Kind::Debug, format!("boot reached: {}", word(phase))),
            Event::MachineExited { exit, expected: true } => (Kind::Plain, format!("ended: {exit}")),
            Event::MachineExited { exit, expected: false } => {
                let mut text = format!("ended unexpectedly: {exit}");
                // The sentence above quotes the last of them.
                if exit.last_words.len() > 1 {
                    for line in &exit.last_words {
                        text.push_str("\n    ");
                        text.push_str(line);
                    }
                }
                (Kind::Error, text)
            }
            Event::FaultImposed { vlan, fault, .. } => (Kind::Plain, format!("vlan {vlan}: {fault}")),
            Event::FaultLifted { vlan, fault, .. } => (Kind::Plain, format!("vlan {vlan}: lifted: {fault}")),
            Event::FileSaved { .. }
            | Event::Frame { .. }
            | Event::WaitLimit { .. }
            | Event::ConsolesShown { .. }
            | Event::RunEnded(_) => return None,
            other => (Kind::Debug, in_words(other)?),
        };
        Some(Entry { kind, machine: record.machine.clone(), text })
    }
}

/// A scope's heading as the log shows it.
fn heading(kind: ScopeKind, text: &str) -> String {
    match kind {
        ScopeKind::Subtest => format!("subtest: {text}"),
        ScopeKind::Step => text.to_owned(),
    }
}

fn of_level(level: Level) -> Kind {
    match level {
        Level::Debug => Kind::Debug,
        Level::Info => Kind::Plain,
        Level::Warning => Kind::Warning,
        Level::Error => Kind::Error,
    }
}

/// An event that has no words of its own here: its type, and its fields as they are written.
pub(crate) fn in_words(event: &Event) -> Option<String> {
    let mut fields = serde_json::to_value(event).ok()?;
    let fields = fields.as_object_mut()?;
    let kind = fields.remove("type")?.as_str()?.replace('_', " ");
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Some(if fields.is_empty() { kind } else { format!("{kind} ({})", fields.join(", ")) })
}

/// The name of an enum's variant in plain words.
pub(crate) fn word(value: impl fmt::Debug) -> String {
    let mut word = String::new();
    for character in format!("{value:?}").chars() {
        if character.is_uppercase() && !word.is_empty() {
            word.push(' ');
        }
        word.extend(character.to_lowercase());
    }
    word
}

impl Entry {
    /// The text as it came, not escaped.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes the entry with its newline. Everything in it is escaped, but the newlines of its text.
    pub(crate) fn render(&self, colours: bool) -> String {
        let mut out = String::with_capacity(self.text.len() + 32);
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, colours);
        out
    }

    fn write(&self, out: &mut String, colours: bool) -> fmt::Result {
        let machine = visible(self.machine.as_deref().unwrap_or_default());
        if let Kind::Console = self.kind {
            let line = format_args!("{machine} # {}", visible(&self.text));
            return writeln!(out, "{}", paint(paint::CONSOLE, colours, line));
        }
        let style = match self.kind {
            Kind::Step => paint::STEP,
            Kind::Debug => paint::CONSOLE,
            _ => paint::PLAIN,
        };
        for (index, line) in self.text.split('\n').enumerate() {
            if self.kind == Kind::Error {
                write!(out, "{}", paint(paint::ERROR, colours, "!!! "))?;
            }
            if index == 0 && !machine.is_empty() {
                write!(out, "{machine}: ")?;
            }
            if index == 0 && self.kind == Kind::Warning {
                write!(out, "{} ", paint(paint::WARNING, colours, "warning:"))?;
            }
            writeln!(out, "{}", paint(style, colours, visible(line)))?;
        }
        Ok(())
    }
}
