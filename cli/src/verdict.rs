//! What comes out of a run: outcome, reason, exit status.

use driver_core::event::Outcome;
use driver_core::{DriverError, ErrorKind};
use script::{FailureKind, Script, ScriptError, ScriptFailure, ScriptOutcome};

use crate::exit;
use crate::signals::Ending;

/// What came out.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Why, unless it passed.
    pub(crate) message: Option<String>,
    pub(crate) exit_status: u8,
}

impl Verdict {
    /// The verdict of an outcome, with the outcome's own exit status.
    pub(crate) fn new(outcome: Outcome, message: Option<String>) -> Self {
        Self { outcome, message, exit_status: exit::status_of(outcome) }
    }

    /// A signal ended the run.
    pub(crate) fn interrupted(by: Ending) -> Self {
        Self {
            outcome: Outcome::Interrupted,
            message: Some(format!("stopped by {}", by.name)),
            exit_status: by.exit_status(),
        }
    }

    /// The run failed before its script began.
    pub(crate) fn of_error(error: &DriverError) -> Self {
        let outcome = match error.kind() {
            ErrorKind::Assertion | ErrorKind::Timeout => Outcome::Failed,
            ErrorKind::Usage | ErrorKind::Undecodable => Outcome::ScriptError,
            ErrorKind::Machine | ErrorKind::Cancelled => Outcome::MachineFailed,
        };
        Self::new(outcome, Some(error.chain()))
    }

    /// The script ended, or could not begin.
    pub(crate) fn of_script(script: &Script, ended: Result<ScriptOutcome, ScriptError>) -> Self {
        match ended {
            Ok(ScriptOutcome::Passed) => Self::new(Outcome::Passed, None),
            Ok(ScriptOutcome::Failed(failure)) => {
                let outcome = match failure.kind {
                    FailureKind::Assertion => Outcome::Failed,
                    FailureKind::Machine | FailureKind::Cancelled => Outcome::MachineFailed,
                    FailureKind::ScriptError | FailureKind::Exit => Outcome::ScriptError,
                };
                Self::new(outcome, Some(with_place(script, failure)))
            }
            Err(error) => {
                Self::new(Outcome::MachineFailed, Some(format!("{:#}", anyhow::Error::from(error))))
            }
        }
    }
}

fn with_place(script: &Script, failure: ScriptFailure) -> String {
    let ScriptFailure { message, line, source, .. } = failure;
    let source = source.map(|source| format!(": `{}`", source.trim())).unwrap_or_default();
    match line {
        Some(line) => format!("{message}\n{}, line {line}{source}", script.path().display()),
        None => message,
    }
}
