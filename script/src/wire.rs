//! The messages of docs/script-protocol.md.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver_core::event::{Level, ScopeId, ScopeKind};
use driver_core::{DriverError, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lines::Line;
use crate::outcome::ScriptFailure;

/// The version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;
/// Bytes that a message of the client may have. Commands of a few MiB are usual; files go another way.
pub(crate) const MAX_MESSAGE: usize = 64 << 20;

/// Any message of the client.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) id: Option<u64>,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) params: Value,
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<Complaint>,
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
pub(crate) struct Complaint {
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) verb: String,
    pub(crate) machine: Option<String>,
    pub(crate) vlan: Option<u32>,
    pub(crate) args: Value,
    pub(crate) scope: ScopeId,
    /// What the verb's first step is called in the log, if not as it would have it.
    pub(crate) heading: Option<String>,
    /// Whether the client wants to be asked in each of the verb's steps.
    #[serde(default)]
    pub(crate) asks: bool,
    /// Whether the verb's patterns are nothing but the text that they match.
    #[serde(default)]
    pub(crate) plain: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cancel {
    pub(crate) call: u64,
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
            DriverError::StillOn { limit, .. } => {
                json!({ "kind": kind, "awaited": "power-off", "limit_s": limit.as_secs_f64() })
            }
            DriverError::Undecodable { output, at, .. } => {
                json!({ "kind": kind, "output": STANDARD.encode(output), "at": at })
            }
            _ => json!({ "kind": kind }),
        };
        Self { code: -32000, message, data }
    }
}
