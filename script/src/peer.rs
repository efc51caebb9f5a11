//! The client as calls see it: takes their answers, and is asked meanwhile: to search for patterns, and whether steps
//! may go on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use driver_core::event::ScopeId;
use driver_core::{DriverError, Gate, PatternEngine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::wire::{Incoming, Refusal};

/// Answers that may wait for a client that does not read before calls wait for it, too.
const QUEUE: usize = 64;

/// The sending side of the connection.
#[derive(Debug)]
pub(crate) struct Peer {
    outgoing: mpsc::Sender<Vec<u8>>,
    questions: Mutex<HashMap<u64, Question>>,
    next_question: AtomicU64,
}

/// What the client has been asked.
#[derive(Debug)]
struct Question {
    answer: oneshot::Sender<Result<Value, String>>,
    /// The step that it is about: what the client does about it belongs there.
    step: Option<ScopeId>,
}

impl Peer {
    /// A peer, and the queue of lines that have to be sent to it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (outgoing, lines) = mpsc::channel(QUEUE);
        (Self { outgoing, questions: Mutex::default(), next_question: AtomicU64::new(1) }, lines)
    }

    /// The queue of lines that are sent to it.
    pub(crate) fn outgoing(&self) -> mpsc::Sender<Vec<u8>> {
        self.outgoing.clone()
    }

    /// Answers a request; a notification has no id and gets no answer.
    pub(crate) async fn answer(&self, id: Option<u64>, result: Result<Value, Refusal>) {
        match (id, result) {
            (Some(id), Ok(result)) => self.send(&Answer { jsonrpc: "2.0", id, result }).await,
            (id, Err(error)) => self.send(&json!({ "jsonrpc": "2.0", "id": id, "error": error })).await,
            (None, Ok(_)) => {}
        }
    }

    /// Takes the client's answer to a question.
    pub(crate) fn answered(&self, message: Incoming) {
        let question = message.id.and_then(|id| self.questions().remove(&id));
        let Some(question) = question else {
            tracing::debug!(id = message.id, "an answer that nobody waits for");
            return;
        };
        let result = match (message.result, message.error) {
            (_, Some(error)) => Err(error.message),
            (result, None) => Ok(result.unwrap_or_default()),
        };
        // The call may have been dropped meanwhile.
        let _ = question.answer.send(result);
    }

    /// Whether the client is being asked about that step.
    pub(crate) fn is_asked_about(&self, step: ScopeId) -> bool {
        self.questions().values().any(|question| question.step == Some(step) && !question.answer.is_closed())
    }

    /// Asks whether a pattern is found, or with `all` where.
    async fn search<T: DeserializeOwned>(
        &self,
        call: u64,
        pattern: &str,
        text: &str,
        all: bool,
    ) -> Result<T, DriverError> {
        let mut params = json!({ "for": call, "pattern": pattern, "text": text });
        if all {
            params["all"] = Value::Bool(true);
        }
        let answer = self.ask("search", params, None).await?.map_err(DriverError::usage)?;
        serde_json::from_value(answer).map_err(|error| {
            DriverError::usage(format!("the script's answer to a search makes no sense: {error}"))
        })
    }

    /// Asks the client something, about `step` or none, and returns its answer, or what it has to say instead.
    async fn ask(
        &self,
        method: &str,
        params: Value,
        step: Option<ScopeId>,
    ) -> Result<Result<Value, String>, DriverError> {
        let id = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.questions().insert(id, Question { answer, step });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        answered.await.map_err(|_| DriverError::Cancelled { reason: "the script is gone".to_owned() })
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

    fn questions(&self) -> MutexGuard<'_, HashMap<u64, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
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
    peer: Arc<Peer>,
    call: u64,
    /// They are nothing but the text that they match, and the script need not be asked.
    is_plain: bool,
    /// What was asked last: waits look again and again at texts that did not change.
    last: tokio::sync::Mutex<Option<(String, String, bool)>>,
}

impl ScriptPatterns {
    pub(crate) fn new(peer: Arc<Peer>, call: u64, is_plain: bool) -> Self {
        Self { peer, call, is_plain, last: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl PatternEngine for ScriptPatterns {
    async fn is_found(&self, pattern: &str, text: &str) -> Result<bool, DriverError> {
        if self.is_plain {
            return Ok(text.contains(pattern));
        }
        let mut last = self.last.lock().await;
        if let Some((last_pattern, last_text, found)) = last.as_ref()
            && last_pattern == pattern
            && last_text == text
        {
            return Ok(*found);
        }
        let found = self.peer.search(self.call, pattern, text, false).await?;
        *last = Some((pattern.to_owned(), text.to_owned(), found));
        Ok(found)
    }

    async fn find_all(&self, pattern: &str, text: &str) -> Result<Vec<Range<usize>>, DriverError> {
        let spans: Vec<(usize, usize)> = self.peer.search(self.call, pattern, text, true).await?;
        Ok(spans.into_iter().map(|(start, end)| start..end).collect())
    }
}

/// Has the script look at its conditions, for one call.
#[derive(Debug)]
pub(crate) struct ScriptGate {
    peer: Arc<Peer>,
    call: u64,
}

impl ScriptGate {
    pub(crate) fn new(peer: Arc<Peer>, call: u64) -> Self {
        Self { peer, call }
    }
}

#[async_trait]
impl Gate for ScriptGate {
    async fn pass(&self, step: ScopeId) -> Result<(), DriverError> {
        let params = json!({ "for": self.call, "scope": step });
        self.peer.ask("may_go_on", params, Some(step)).await?.map(drop).map_err(DriverError::assertion)
    }
}
