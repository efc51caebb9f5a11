//! How a test under the NixOS driver's name ends, and its exit status (compat.md 2.6).

use driver_core::event::Outcome;
use driver_core::{DriverError, ErrorKind};
use script::{FailureKind, ScriptError, ScriptOutcome};

use crate::exit;
use crate::signals::Ending;

/// What the program ends with when a time limit has passed: as if SIGTERM had ended it.
const TIMED_OUT: u8 = exit::SIGNAL + 15;

/// What came out.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) message: Option<String>,
    pub(super) status: u8,
}

impl Ended {
    pub(super) fn timed_out() -> Self {
        let message = Some("the test took longer than its global timeout".to_owned());
        Self { outcome: Outcome::TimedOut, message, status: TIMED_OUT }
    }

    pub(super) fn by_signal(ending: Ending) -> Self {
        let message = Some(format!("stopped by {}", ending.name));
        Self { outcome: Outcome::Interrupted, message, status: ending.exit_status() }
    }

    pub(super) fn of_error(error: &DriverError) -> Self {
        let outcome = match error.kind() {
            ErrorKind::Assertion | ErrorKind::Timeout => Outcome::Failed,
            ErrorKind::Usage | ErrorKind::Undecodable => Outcome::ScriptError,
            ErrorKind::Machine | ErrorKind::Cancelled => Outcome::MachineFailed,
        };
        Self { outcome, message: Some(error.chain()), status: exit::FAILED }
    }

    pub(super) fn of_script(ended: Result<ScriptOutcome, ScriptError>) -> Self {
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
            Err(error) => {
                let message = Some(format!("{:#}", anyhow::Error::from(error)));
                Self { outcome: Outcome::MachineFailed, message, status: exit::FAILED }
            }
        }
    }
}
