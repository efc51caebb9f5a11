//! The run on a terminal: the log on standard error, what the script prints on standard output, and at
//! the end a summary.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use driver_core::event::{OutputStream, Record};
use driver_core::{DriverError, Reporter};

use crate::files::failed;
use crate::live::Live;
use crate::tally::Tally;
use crate::transcript::{Kind, Transcript};

/// How much of the log is shown. Warnings, errors, the script's output and the summary always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Nothing else.
    Quiet,
    /// Also steps, the log and the serial consoles, as the NixOS test driver does.
    #[default]
    Normal,
    /// Everything, debug lines and the states of machines included.
    Verbose,
}

/// What the terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Colours are wanted.
    pub colours: bool,
    /// Lines can be redrawn, so there is a live area.
    pub live: bool,
}

impl Look {
    /// What standard error can do.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::detect(io::stderr().is_terminal(), |name| std::env::var(name).ok())
    }

    /// Decides by what standard error is and by the environment, which `variable` looks up: `NO_COLOR`
    /// takes colours away, `CLICOLOR_FORCE` brings them to pipes, `TERM=dumb` takes all away.
    #[must_use]
    pub fn detect(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let forced = variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let capable = is_terminal && variable("TERM").as_deref() != Some("dumb");
        Self { colours: !is_set("NO_COLOR") && (forced || capable), live: capable }
    }
}

/// Shows a run while it goes on.
///
/// Text of guests and logs is escaped. What the script prints on its standard output is passed on as it
/// is, a line at a time.
pub struct Terminal {
    log: Box<dyn Write + Send>,
    script_output: Box<dyn Write + Send>,
    script_output_error: Option<DriverError>,
    colours: bool,
    verbosity: Verbosity,
    results: PathBuf,
    live: Option<Live>,
    transcript: Transcript,
    tally: Tally,
}

impl Terminal {
    /// A terminal on standard error and standard output. `results` is the result directory as the user
    /// knows it; the summary names it.
    #[must_use]
    pub fn stdio(verbosity: Verbosity, results: &Path) -> Self {
        Self::stdio_with(Look::of_stderr(), verbosity, results)
    }

    /// As [`Terminal::stdio`], with a look of the caller's choice: `Look { colours: false,
    /// ..Look::of_stderr() }` takes the colours and leaves the live area.
    #[must_use]
    pub fn stdio_with(look: Look, verbosity: Verbosity, results: &Path) -> Self {
        let (log, script_output) = (Box::new(io::stderr()), Box::new(io::stdout()));
        let mut terminal = Self::new(log, script_output, look.colours, verbosity, results);
        terminal.live = look.live.then(|| Live::stderr(look.colours));
        terminal
    }

    /// A terminal without a live area that writes the log to `log`, and what the script prints on its
    /// standard output to `script_output`.
    #[must_use]
    pub fn new(
        log: Box<dyn Write + Send>,
        script_output: Box<dyn Write + Send>,
        colours: bool,
        verbosity: Verbosity,
        results: &Path,
    ) -> Self {
        Self {
            log,
            script_output,
            script_output_error: None,
            colours,
            verbosity,
            results: results.to_owned(),
            live: None,
            transcript: Transcript::default(),
            tally: Tally::default(),
        }
    }

    fn shows(&self, kind: Kind) -> bool {
        match kind {
            Kind::Warning | Kind::Error | Kind::Script(_) => true,
            Kind::Step | Kind::End | Kind::Plain | Kind::Console => self.verbosity >= Verbosity::Normal,
            Kind::Debug => self.verbosity >= Verbosity::Verbose,
        }
    }

    /// Passes on what the script printed. A closed standard output (`| head`) must not end the log, so
    /// its error waits for the end.
    fn print_script_output(&mut self, line: &str) {
        let output = &mut self.script_output;
        let write = || output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush());
        if let Err(error) = above(self.live.as_ref(), write) {
            self.script_output = Box::new(io::sink());
            self.script_output_error = Some(failed("write", "standard output")(error));
        }
    }

    fn print_log(&mut self, text: &str) -> Result<(), DriverError> {
        let log = &mut self.log;
        let write = || log.write_all(text.as_bytes()).and_then(|()| log.flush());
        above(self.live.as_ref(), write).map_err(failed("write", "standard error"))
    }
}

impl Reporter for Terminal {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.tally.observe(record);
        if let Some(live) = &self.live {
            live.observe(record);
        }
        let Some(entry) = self.transcript.entry(record) else { return Ok(()) };
        if !self.shows(entry.kind) {
            return Ok(());
        }
        if let Kind::Script(OutputStream::Stdout) = entry.kind {
            self.print_script_output(entry.text());
            return Ok(());
        }
        self.print_log(&entry.render(self.colours))
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        self.live = None;
        let summary = self.tally.summary();
        self.print_log(&(summary.render(self.colours) + &summary.render_results(&self.results)))?;
        self.script_output_error.take().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("verbosity", &self.verbosity).finish_non_exhaustive()
    }
}

fn above<T>(live: Option<&Live>, write: impl FnOnce() -> T) -> T {
    match live {
        Some(live) => live.above(write),
        None => write(),
    }
}
