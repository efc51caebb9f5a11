//! Runs test scripts: an interpreter as a child process, with our client package on its path, that calls
//! verbs by JSON-RPC over a Unix socket (docs/script-protocol.md).
//!
//! Nothing here knows a verb. The client gets driver-core's table when it says hello, and makes its
//! methods of that.

mod client;
mod lines;
mod outcome;
mod outside;
mod peer;
mod process;
mod prompt;
mod run;
mod session;
mod terminal;
mod wire;

pub use client::{Language, Script};
pub use outcome::{FailureKind, ScriptError, ScriptFailure, ScriptOutcome};
pub use prompt::{Prompt, PromptLog};
pub use run::run;
