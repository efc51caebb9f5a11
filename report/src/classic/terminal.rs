//! The lines on standard error, coloured always, as the NixOS driver writes them.

use std::fmt;
use std::io::{self, Write};

use driver_core::event::{Level, OutputStream, Record};
use driver_core::{DriverError, Reporter};

use super::{Entry, Manner, Reader};
use crate::escape::visible;
use crate::files::failed;

const BOLD_GREEN: &str = "\u{1b}[1m\u{1b}[32m";
const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const RESET: &str = "\u{1b}[0m";

/// Shows a run as the NixOS driver does: its log on standard error, what the script prints where it printed it.
pub struct ClassicTerminal {
    log: Box<dyn Write + Send>,
    script_output: Box<dyn Write + Send>,
    script_output_error: Option<DriverError>,
    shows_debug: bool,
    reader: Reader,
}

impl ClassicTerminal {
    /// On standard error and standard output. `shows_debug`: lines for those who look closely are shown, too.
    #[must_use]
    pub fn stdio(shows_debug: bool) -> Self {
        Self::new(Box::new(io::stderr()), Box::new(io::stdout()), shows_debug)
    }

    /// On standard error and standard output, as the driver in Perl had it: without colours.
    #[must_use]
    pub fn of_2019() -> Self {
        Self { reader: Reader::of_2019(), ..Self::stdio(false) }
    }

    /// With the log on `log`, and what the script prints on its standard output on `script_output`.
    #[must_use]
    pub fn new(log: Box<dyn Write + Send>, script_output: Box<dyn Write + Send>, shows_debug: bool) -> Self {
        let reader = Reader::default();
        Self { log, script_output, script_output_error: None, shows_debug, reader }
    }

    fn print(&mut self, text: &str) -> Result<(), DriverError> {
        let written = self.log.write_all(text.as_bytes()).and_then(|()| self.log.flush());
        written.map_err(failed("write", "standard error"))
    }
}

impl Reporter for ClassicTerminal {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let Some(entry) = self.reader.read(record) else { return Ok(()) };
        let machine = record.machine.as_deref().map(visible).unwrap_or_default();
        if self.reader.manner == Manner::Perl && !matches!(entry, Entry::Printed { .. }) {
            return plain(&machine, &entry).map_or(Ok(()), |text| self.print(&text));
        }
        let prefix = if machine.is_empty() { String::new() } else { format!("{machine}: ") };
        let lines =
            |text: &str| -> Vec<String> { text.split('\n').map(|line| visible(line).into()).collect() };
        let text = match entry {
            Entry::Nest { heading, .. } => {
                format!("{prefix}{BOLD_GREEN}{}{RESET}\n", lines(&heading).join("\n"))
            }
            Entry::End { line, .. } => match line {
                Some(line) => format!("{prefix}{}\n", lines(&line).join("\n")),
                None => return Ok(()),
            },
            Entry::Line { level: Level::Debug, .. } if !self.shows_debug => return Ok(()),
            Entry::Line { level: Level::Debug, text } => {
                format!("{DIM}{prefix}{}{RESET}\n", lines(&text).join("\n"))
            }
            Entry::Line { level: Level::Error, text } => {
                lines(&text).iter().map(|line| format!("{prefix}{RED}!!! {RESET}{line}\n")).collect()
            }
            Entry::Line { text, .. } => format!("{prefix}{}\n", lines(&text).join("\n")),
            Entry::Serial { text } => format!("{DIM}{machine} # {}{RESET}\n", visible(&text)),
            Entry::Printed { stream: OutputStream::Stderr, text } => format!("{text}\n"),
            Entry::Printed { stream: OutputStream::Stdout, text } => {
                let output = &mut self.script_output;
                // A standard output that is closed (`| head`) must not end the log, so its error waits for the end.
                if let Err(error) =
                    output.write_all(format!("{text}\n").as_bytes()).and_then(|()| output.flush())
                {
                    self.script_output = Box::new(io::sink());
                    self.script_output_error = Some(failed("write", "standard output")(error));
                }
                return Ok(());
            }
        };
        self.print(&text)
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        self.script_output_error.take().map_or(Ok(()), Err)
    }
}

/// The lines of an entry in the log of 2019.
fn plain(machine: &str, entry: &Entry) -> Option<String> {
    let (sign, text) = match entry {
        Entry::Nest { heading, .. } => (": ", heading),
        // What a step took is told without its machine.
        Entry::End { line, .. } => ("", line.as_ref()?),
        Entry::Line { level: Level::Debug, .. } => return None,
        Entry::Line { text, .. } => (": ", text),
        Entry::Serial { text } => ("# ", text),
        Entry::Printed { text, .. } => ("", text),
    };
    let machine = if sign.is_empty() { "" } else { machine };
    let prefix = if machine.is_empty() { String::new() } else { format!("{machine}{sign}") };
    let lines: Vec<_> = text.split('\n').map(visible).collect();
    Some(format!("{prefix}{}\n", lines.join("\n")))
}

impl fmt::Debug for ClassicTerminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassicTerminal").finish_non_exhaustive()
    }
}
