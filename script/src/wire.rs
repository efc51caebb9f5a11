//! The messages of docs/script-protocol.md, and the sending side of the connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver_core::event::{Level, ScopeId, ScopeKind};
use driver_core::{DriverError, ErrorKind, PatternEngine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::lines::Line;
use crate::outcome::ScriptFailure;

/// The version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;
/// Bytes that a message of the client may have. Commands of a few MiB are usual; files go another way.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;
/// Answers that may wait for a client that does not read before calls wait for it, too.
const QUEUE: usize = 64;

/// Any message of the client.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) id: Option<u64>,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) params: Value,
    result: Option<Value>,
    error: Option<Complaint>,
}

impl Incoming {
    /// Reads a line; the error says what is wrong with it.
    pub(crate) fn parse(line: &Line) -> Result<Self, String> {
        if line.cut {
            return Err(format!("a message is longer than {} MiB", MAX_MESSAGE >> 20));
        }
        serde_json::from_slice(&line.bytes).map_err(|error| format!("not a JSON-RPC message: {error}"))
    }
}

#[derive(Debug, Deserialize)]
struct Complaint {
    message: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) verb: String,
    pub(crate) machine: Option<String>,
    pub(crate) args: Value,
    pub(crate) scope: ScopeId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OpenScope {
    pub(crate) kind: ScopeKind,
    pub(crate) text: String,
    pub(crate) machine: Option<String>,
    pub(crate) scope: ScopeId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CloseScope {
    pub(crate) scope: ScopeId,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) machine: Option<String>,
    pub(crate) scope: ScopeId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Finished {
    pub(crate) failure: Option<ScriptFailure>,
}

/// The error object of an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    data: Value,
}

impl Refusal {
    /// A line that is no JSON-RPC message.
    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self { code: -32700, message: message.into(), data: Value::Null }
    }

    /// A method that does not exist.
    pub(crate) fn no_method(method: &str) -> Self {
        Self { code: -32601, message: format!("there is no method `{method}`"), data: Value::Null }
    }

    /// Parameters that the method does not take; the client's mistake or its author's.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: -32602, message: message.into(), data: json!({ "kind": "usage" }) }
    }

    /// A bug of ours in a verb.
    pub(crate) fn bug(verb: &str) -> Self {
        let message = format!("a bug in innkeeper: the verb `{verb}` panicked");
        Self { code: -32603, message, data: json!({ "kind": "machine" }) }
    }
}

impl From<DriverError> for Refusal {
    fn from(error: DriverError) -> Self {
        let message = error.chain();
        let kind = match error.kind() {
            ErrorKind::Assertion => "assertion",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Machine => "machine",
            ErrorKind::Usage => "usage",
            ErrorKind::Undecodable => "undecodable",
            ErrorKind::Cancelled => "cancelled",
        };
        let data = match error {
            DriverError::Timeout { awaited, limit, .. } => {
                json!({ "kind": kind, "awaited": awaited, "limit_s": limit.as_secs_f64() })
            }
            DriverError::Undecodable { output, at, .. } => {
                json!({ "kind": kind, "output": STANDARD.encode(output), "at": at })
            }
            _ => json!({ "kind": kind }),
        };
        Self { code: -32000, message, data }
    }
}

/// The client as calls see it: takes answers, and searches for patterns.
#[derive(Debug)]
pub(crate) struct Client {
    outgoing: mpsc::Sender<Vec<u8>>,
    searches: Mutex<HashMap<u64, oneshot::Sender<Result<bool, String>>>>,
    next_search: AtomicU64,
}

impl Client {
    /// A client, and the queue of lines that have to be sent to it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (outgoing, lines) = mpsc::channel(QUEUE);
        (Self { outgoing, searches: Mutex::default(), next_search: AtomicU64::new(1) }, lines)
    }

    /// Answers a request; a notification has no id and gets no answer.
    pub(crate) async fn answer(&self, id: Option<u64>, result: Result<Value, Refusal>) {
        match (id, result) {
            (Some(id), Ok(result)) => self.send(&Answer { jsonrpc: "2.0", id, result }).await,
            (id, Err(error)) => self.send(&json!({ "jsonrpc": "2.0", "id": id, "error": error })).await,
            (None, Ok(_)) => {}
        }
    }

    /// Takes the client's answer to a search.
    pub(crate) fn answered(&self, message: Incoming) {
        let waiting = message.id.and_then(|id| self.searches().remove(&id));
        let Some(waiting) = waiting else {
            tracing::debug!(id = message.id, "an answer that nobody waits for");
            return;
        };
        let result = match (message.result, message.error) {
            (Some(Value::Bool(found)), None) => Ok(found),
            (_, Some(error)) => Err(error.message),
            _ => Err("the script answered a search with neither true nor false".to_owned()),
        };
        // The call may have been dropped meanwhile.
        let _ = waiting.send(result);
    }

    async fn search(&self, call: u64, pattern: &str, text: &str) -> Result<bool, DriverError> {
        let id = self.next_search.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.searches().insert(id, sender);
        let params = json!({ "for": call, "pattern": pattern, "text": text });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "search", "params": params })).await;
        let gone = |_| DriverError::Cancelled { reason: "the script is gone".to_owned() };
        answer.await.map_err(gone)?.map_err(DriverError::usage)
    }

    async fn send(&self, message: &impl Serialize) {
        match serde_json::to_vec(message) {
            Ok(mut line) => {
                line.push(b'\n');
                // A client that is gone has its calls ended by the session.
                let _ = self.outgoing.send(line).await;
            }
            Err(error) => tracing::error!(%error, "a message could not be written as JSON"),
        }
    }

    fn searches(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<bool, String>>>> {
        self.searches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A result on its way; a type of its own so that large ones are not copied into a larger value.
#[derive(Debug, Serialize)]
struct Answer {
    jsonrpc: &'static str,
    id: u64,
    result: Value,
}

/// Patterns in the dialect of the script, for one call.
#[derive(Debug)]
pub(crate) struct ScriptPatterns {
    client: Arc<Client>,
    call: u64,
    /// What was asked last: waits look again and again at texts that did not change.
    last: tokio::sync::Mutex<Option<(String, String, bool)>>,
}

impl ScriptPatterns {
    pub(crate) fn new(client: Arc<Client>, call: u64) -> Self {
        Self { client, call, last: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl PatternEngine for ScriptPatterns {
    async fn is_found(&self, pattern: &str, text: &str) -> Result<bool, DriverError> {
        let mut last = self.last.lock().await;
        if let Some((last_pattern, last_text, found)) = last.as_ref()
            && last_pattern == pattern
            && last_text == text
        {
            return Ok(*found);
        }
        let found = self.client.search(self.call, pattern, text).await?;
        *last = Some((pattern.to_owned(), text.to_owned(), found));
        Ok(found)
    }
}
