//! How a test under the NixOS driver's name ends, and its exit status (compat.md 2.6).

use driver_core::event::{Event, Outcome, RunEnded};
use driver_core::{DriverError, ErrorKind, Journal};
use script::{FailureKind, ScriptError, ScriptOutcome};

use crate::signals::Ending;
use crate::{bug, console, exit};

/// What the program ends with when a time limit has passed: as if SIGTERM had ended it.
const TIMED_OUT: u8 = exit::SIGNAL + 15;

/// What came out.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) message: Option<String>,
    pub(crate) status: u8,
}

impl Ended {
    /// Something went wrong before the script began, or beside it.
    pub(crate) fn failed(outcome: Outcome, message: String) -> Self {
        Self { outcome, message: Some(message), status: exit::FAILED }
    }

    pub(crate) fn timed_out() -> Self {
        let message = Some("the test took longer than its global timeout".to_owned());
        Self { outcome: Outcome::TimedOut, message, status: TIMED_OUT }
    }

    pub(crate) fn by_signal(ending: Ending) -> Self {
        let message = Some(format!("stopped by {}", ending.name));
        Self { outcome: Outcome::Interrupted, message, status: ending.exit_status() }
    }

    pub(crate) fn of_error(error: &DriverError) -> Self {
        let outcome = match error.kind() {
            ErrorKind::Assertion | ErrorKind::Timeout => Outcome::Failed,
            ErrorKind::Usage | ErrorKind::Undecodable => Outcome::ScriptError,
            ErrorKind::Machine | ErrorKind::Cancelled => Outcome::MachineFailed,
        };
        Self::failed(outcome, error.chain())
    }

    pub(crate) fn of_script(ended: Result<ScriptOutcome, ScriptError>) -> Self {
        match ended {
            Ok(ScriptOutcome::Passed) => {
                Self { outcome: Outcome::Passed, message: None, status: exit::PASSED }
            }
            Ok(ScriptOutcome::Failed(failure)) => {
                let outcome = match failure.kind {
                    FailureKind::Assertion => Outcome::Failed,
                    FailureKind::Machine | FailureKind::Cancelled => Outcome::MachineFailed,
                    FailureKind::ScriptError | FailureKind::Exit => Outcome::ScriptError,
                };
                // As the operating system sees it.
                let status = failure.status.map_or(exit::FAILED, |status| status.to_le_bytes()[0]);
                Self { outcome, message: Some(failure.message), status }
            }
            Err(error) => Self::failed(Outcome::MachineFailed, format!("{:#}", anyhow::Error::from(error))),
        }
    }

    /// Tells the journal, waits for what is written from it, and returns the exit status of the program.
    pub(crate) fn conclude(mut self, journal: &Journal) -> u8 {
        if bug::seen() {
            let message = Some("innkeeper has a bug; standard error tells more".to_owned());
            self = Self { outcome: Outcome::Bug, message, status: exit::BUG };
        }
        let Self { outcome, message, status } = self;
        let duration_us = journal.elapsed_us();
        let ended = RunEnded { outcome, kind: None, message, duration_us, exit_status: status };
        journal.emit(None, Event::RunEnded(ended));
        let errors = journal.close().err().unwrap_or_default();
        for error in &errors {
            console::err(&format!("error: {}", error.chain()));
        }
        // A result that was not written whole is no pass.
        if status == exit::PASSED && !errors.is_empty() { exit::FAILED } else { status }
    }
}
