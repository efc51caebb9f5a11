//! Interactive mode: a person types Python at a prompt instead of a script's being run, and the log appears above what
//! they type.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The prompt of a run.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Where the log is to be written meanwhile.
    pub log: PromptLog,
    /// The file of the lines that were typed earlier.
    pub history: PathBuf,
    /// The program that puts this terminal at a socket, which is its last argument: `shell_interact()` runs it.
    pub attach: Vec<PathBuf>,
}

impl Prompt {
    /// What the client is told of it.
    pub(crate) fn describe(&self) -> Value {
        let attach: Vec<String> = self.attach.iter().map(|word| word.display().to_string()).collect();
        json!({ "history": self.history.display().to_string(), "attach": attach })
    }
}

/// A place for the log that leaves a prompt whole: whoever shows that puts the text above it. Before there is a prompt,
/// and after it, this is standard error. To be written to from threads that may block.
#[derive(Debug, Clone, Default)]
pub struct PromptLog {
    prompt: Arc<Mutex<Option<mpsc::Sender<Vec<u8>>>>>,
}

impl PromptLog {
    /// From now on the client behind `lines` shows the log.
    pub(crate) fn begin(&self, lines: mpsc::Sender<Vec<u8>>) {
        *self.lock() = Some(lines);
    }

    /// From now on nobody does.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<Vec<u8>>>> {
        self.prompt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for PromptLog {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // Not for the time of a send, which waits for a client that is behind.
        let prompt = self.lock().clone();
        let message = json!({
            "jsonrpc": "2.0", "method": "show", "params": { "text": String::from_utf8_lossy(text) },
        });
        let is_shown =
            prompt.is_some_and(|prompt| prompt.blocking_send(format!("{message}\n").into()).is_ok());
        if !is_shown {
            io::stderr().write_all(text)?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
