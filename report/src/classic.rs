//! The log in the forms of the NixOS test driver (compat.md 5 and 7.5), for those who have programs that read them:
//! its lines on a terminal, `log.xml`, and the `log.html` of old.
//!
//! Steps, lines and consoles are the same as in our own views. What the NixOS driver does not tell (boot phases,
//! faults, states of machines) is left out, so that the lines are those that a reader of its logs expects.

mod html;
mod terminal;
mod tree;
mod xml;

use std::collections::HashMap;

use driver_core::event::{Event, Level, OutputStream, Record, ScopeId, ScopeKind};

pub use html::LogHtml;
pub use terminal::ClassicTerminal;
pub use xml::LogXml;

/// What a record means for the classic forms.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A step begins.
    Nest { scope: ScopeId, heading: String, file: Option<String> },
    /// A step ends; the line that says so, if it went well.
    End { scope: ScopeId, line: Option<String> },
    /// A line of the log, of this importance.
    Line { level: Level, text: String },
    /// A line of a serial console.
    Serial { text: String },
    /// A line of the script's own output.
    Printed { stream: OutputStream, text: String },
}

/// The step that the driver in Perl ran scripts in; readers of its log see it opened.
const SCRIPT_STEP_OF_2019: &str = "running the VM test script";

/// Whose forms they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Manner {
    /// The driver's in Python.
    #[default]
    Python,
    /// The driver's in Perl, until 2019 (compat.md 7.4).
    Perl,
}

/// Makes entries of records.
#[derive(Debug, Default)]
struct Reader {
    manner: Manner,
    headings: HashMap<ScopeId, String>,
    is_console_hidden: bool,
}

impl Reader {
    fn of_2019() -> Self {
        Self { manner: Manner::Perl, ..Self::default() }
    }

    fn read(&mut self, record: &Record) -> Option<Entry> {
        Some(match &record.event {
            Event::ScopeStarted { id, kind, text, file } => {
                let heading = match kind {
                    ScopeKind::Subtest => format!("subtest: {text}"),
                    ScopeKind::Step if self.manner == Manner::Perl && text == "cleanup" => {
                        "cleaning up".to_owned()
                    }
                    ScopeKind::Step => text.clone(),
                };
                self.headings.insert(*id, heading.clone());
                Entry::Nest { scope: *id, heading, file: file.clone() }
            }
            Event::ScopeEnded { id, duration_us, error } => {
                let heading = self.headings.remove(id)?;
                let seconds = crate::tally::micros(*duration_us).as_secs_f64();
                let line = match self.manner {
                    Manner::Perl => Some(format!("({seconds:.2} seconds)")),
                    Manner::Python if error.is_some() => None,
                    Manner::Python => Some(format!("(finished: {heading}, in {seconds:.2} seconds)")),
                };
                Entry::End { scope: *id, line }
            }
            Event::Log { level, text } => {
                let killed = text.strip_prefix("kill machine ").filter(|_| self.manner == Manner::Perl);
                let text = killed.map_or_else(|| text.clone(), |machine| format!("killing {machine}"));
                Entry::Line { level: *level, text }
            }
            Event::ConsolesShown { shown } => {
                self.is_console_hidden = !shown;
                return None;
            }
            // The standard error of commands goes to the console in the NixOS driver's guests.
            Event::Console { line } | Event::CommandOutput { stream: OutputStream::Stderr, line } => {
                if self.is_console_hidden {
                    return None;
                }
                Entry::Serial { text: line.clone() }
            }
            Event::ScriptOutput { stream, line } => Entry::Printed { stream: *stream, text: line.clone() },
            Event::MachineExited { exit, expected: false } => {
                Entry::Line { level: Level::Error, text: format!("ended unexpectedly: {exit}") }
            }
            _ => return None,
        })
    }
}

/// The text without what its readers would obey instead of show, and what XML forbids.
fn clean(text: &str) -> String {
    text.chars().filter(|character| *character == '\n' || !crate::escape::is_obeyed(*character)).collect()
}
