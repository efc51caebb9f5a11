//! What a command says while it runs, in the log.

use std::sync::Arc;

use agent_protocol::message::Holder;

use super::console::ConsoleLog;
use crate::agent::Witness;
use crate::event::OutputStream;

/// A line that is longer is cut into several.
const LINE_LIMIT: usize = 16 << 10;

/// Bytes that are logged of each stream of a command. The verb returns all of its standard output.
const SHOWN: usize = 1 << 20;

/// Bytes of standard output that are kept until it is known whether the command takes long.
const KEPT: usize = 64 << 10;

/// Puts a command's standard error into the log, line by line as it comes, and its standard output too once
/// the command takes long: whoever waits for a build wants to watch it, and nobody wants the log full of
/// what short commands return.
pub(super) struct CommandWitness {
    console: Arc<ConsoleLog>,
    stdout: Lines,
    stderr: Lines,
    /// What came before the command took long; `None` when it does.
    kept: Option<Vec<u8>>,
}

/// One stream.
struct Lines {
    stream: OutputStream,
    line: Vec<u8>,
    left: usize,
}

impl CommandWitness {
    pub(super) fn new(console: &Arc<ConsoleLog>) -> Self {
        let lines = |stream| Lines { stream, line: Vec::new(), left: SHOWN };
        let (stdout, stderr) = (lines(OutputStream::Stdout), lines(OutputStream::Stderr));
        Self { console: Arc::clone(console), stdout, stderr, kept: Some(Vec::new()) }
    }
}

impl Drop for CommandWitness {
    fn drop(&mut self) {
        self.stdout.end_line(&self.console);
        self.stderr.end_line(&self.console);
    }
}

impl Lines {
    fn hear(&mut self, bytes: &[u8], console: &ConsoleLog) {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() >= LINE_LIMIT {
                self.say(console);
            }
        }
    }

    fn end_line(&mut self, console: &ConsoleLog) {
        if !self.line.is_empty() {
            self.say(console);
        }
    }

    fn say(&mut self, console: &ConsoleLog) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        if self.left > 0 {
            self.left = self.left.saturating_sub(self.line.len() + 1);
            console.log_of_command(self.stream, line.clone());
            if self.left == 0 {
                console.log_of_command(self.stream, "(and more, which is not shown)".to_owned());
            }
        }
        self.line.clear();
        // The console's text has a bound of its own.
        console.add_of_command(self.stream, line);
    }
}

impl Witness for CommandWitness {
    fn stdout(&mut self, bytes: &[u8]) {
        match &mut self.kept {
            Some(kept) => kept.extend_from_slice(&bytes[..bytes.len().min(KEPT - kept.len())]),
            None => self.stdout.hear(bytes, &self.console),
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.hear(bytes, &self.console);
    }

    fn takes_long(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.stdout.hear(&kept, &self.console);
        }
    }

    fn held(&mut self, holders: &[Holder]) {
        let names: Vec<String> =
            holders.iter().map(|holder| format!("{} (pid {})", holder.command, holder.pid)).collect();
        let text = format!(
            "the command has ended, but its standard output is still open in {} (redirect the output of what \
             goes on in the background: `>/dev/null 2>&1 &`)",
            names.join(", ")
        );
        self.console.warn(text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::{CommandWitness, LINE_LIMIT, SHOWN};
    use crate::agent::Witness as _;
    use crate::error::DriverError;
    use crate::event::{Event, Record};
    use crate::journal::{Journal, Reporter};
    use crate::node::console::ConsoleLog;

    /// The lines of commands.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<String>>>);

    impl Reporter for Said {
        fn record(&mut self, record: &Record) -> Result<(), DriverError> {
            if let Event::CommandOutput { line, .. } = &record.event {
                self.0.lock().unwrap().push(line.clone());
            }
            Ok(())
        }
    }

    #[test]
    fn a_flood_ends_in_the_log_and_goes_on_in_the_console() {
        let said = Said::default();
        let journal = Journal::in_memory(vec![Box::new(said.clone())]);
        let console = Arc::new(ConsoleLog::new("server", journal.clone()));
        let mut witness = CommandWitness::new(&console);
        for number in 0..100_000 {
            witness.stderr(format!("line {number} of many\n").as_bytes());
        }
        witness.stderr(b"the last");
        drop(witness);
        journal.close().unwrap();
        let logged = said.0.lock().unwrap();
        assert_eq!(logged.last().unwrap(), "(and more, which is not shown)");
        let size: usize = logged.iter().map(|line| line.len() + 1).sum();
        assert!((SHOWN..SHOWN + 2 * LINE_LIMIT).contains(&size), "{size}");
        let text = console.text();
        assert_eq!((text.lines().count(), text.lines().last()), (100_001, Some("the last")));
    }
}
