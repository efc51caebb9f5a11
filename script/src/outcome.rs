//! How a script can end.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

/// What came out of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// It ran to its end.
    Passed,
    /// It did not.
    Failed(ScriptFailure),
}

/// Why a script failed, and where.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScriptFailure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What a reader needs to know first: the message of the exception.
    pub message: String,
    /// The line of the script that failed, counted from one.
    pub line: Option<u32>,
    /// That line's text.
    pub source: Option<String>,
    /// The status that it ended itself with, if it did.
    #[serde(default)]
    pub status: Option<i32>,
    /// The traceback with the frames of the script alone, line by line.
    pub traceback: Vec<String>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// What the test expected did not hold, or did not come true in time.
    Assertion,
    /// A machine, or the host, failed the test.
    Machine,
    /// The script itself broke.
    ScriptError,
    /// The script ended itself with a status.
    Exit,
    /// The script was told that the run is over. [`crate::run`] makes [`ScriptError::Cancelled`] of it.
    Cancelled,
}

/// Why a script could not be run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// Nothing says what language the script is in.
    #[error(
        "script `{}` is in no known language (its name must end in .py for Python, or in .pl for Perl)",
        .path.display()
    )]
    Language {
        /// The script.
        path: PathBuf,
    },
    /// The script cannot be read.
    #[error("script `{}` cannot be read", .path.display())]
    Unreadable {
        /// The script.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no prompt in the script's language.
    #[error(
        "script `{}` is in Perl, and the prompt of interactive mode speaks Python (--script names another)",
        .path.display()
    )]
    NoPrompt {
        /// The script.
        path: PathBuf,
    },
    /// The interpreter cannot be started.
    #[error("`{program}`, which runs `{}`, cannot be started ({way_out})", .script.display())]
    Interpreter {
        /// The interpreter.
        program: &'static str,
        /// The script.
        script: PathBuf,
        /// What to do about it.
        way_out: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Something that scripts need could not be set up in the run's directory.
    #[error("failed to {operation} for the script")]
    Setup {
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The run was ended before the script was over.
    #[error("the script was ended ({reason})")]
    Cancelled {
        /// Why.
        reason: String,
    },
}
