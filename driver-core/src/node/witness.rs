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
        if self.left == 0 {
            return;
        }
        let shown = &bytes[..bytes.len().min(self.left)];
        self.left -= shown.len();
        for byte in shown {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() >= LINE_LIMIT {
                self.say(console);
            }
        }
        if self.left == 0 {
            self.line.extend_from_slice(b" (and more, which is not shown)");
            self.say(console);
        }
    }

    fn end_line(&mut self, console: &ConsoleLog) {
        if !self.line.is_empty() {
            self.say(console);
        }
    }

    fn say(&mut self, console: &ConsoleLog) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
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
