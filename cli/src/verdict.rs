//! What comes out of a run: outcome, reason, exit status.

use std::time::Duration;

use driver_core::event::Outcome;
use driver_core::{DriverError, ErrorKind, EvidencePolicy};
use report::{Claim, Examination};
use script::{FailureKind, Script, ScriptError, ScriptFailure, ScriptOutcome};

use crate::exit;
use crate::signals::Ending;

/// How long evidence may be gathered when a signal ended the run.
const PATIENCE_OF_SIGNALS: Duration = Duration::from_secs(3);

/// What came out.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Why, unless it passed.
    pub(crate) message: Option<String>,
    /// What kind of failure it is, once the run has been examined.
    pub(crate) kind: Option<report::FailureKind>,
    /// The signal that ended the run, if one did.
    signal: Option<Ending>,
}

impl Verdict {
    /// The verdict of an outcome.
    pub(crate) fn new(outcome: Outcome, message: Option<String>) -> Self {
        Self { outcome, message, kind: None, signal: None }
    }

    /// The verdict after a look at all that has happened: a console may show what the test does not allow,
    /// and the rules name the kind of failure.
    pub(crate) fn examined(self, examination: &Examination) -> Self {
        examination.ask(|doctor| {
            let objection = doctor.objection().filter(|_| self.outcome == Outcome::Passed);
            let verdict = match objection {
                Some(objection) => Self::new(Outcome::Failed, Some(objection)),
                None => self,
            };
            let claim = Claim { outcome: verdict.outcome, message: verdict.message.as_deref() };
            let kind = doctor.judge(claim).map(|diagnosis| diagnosis.kind);
            Self { kind, ..verdict }
        })
    }

    /// Whether the test passed.
    pub(crate) fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    /// Whether somebody has ended the run.
    pub(crate) fn is_by_signal(&self) -> bool {
        self.signal.is_some()
    }

    /// How long evidence may be gathered. Nobody gathers for a person at the keyboard; who sends another signal may
    /// soon send the one that nothing survives.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.signal {
            Some(signal) if signal.is_of_a_person() => None,
            Some(_) => Some(PATIENCE_OF_SIGNALS),
            None => Some(EvidencePolicy::LIMIT),
        }
    }

    /// The exit status of the program.
    pub(crate) fn exit_status(&self) -> u8 {
        match (&self.signal, self.kind) {
            (Some(signal), _) => signal.exit_status(),
            (None, Some(kind)) => exit::status_of(kind.blame()),
            (None, None) => exit::PASSED,
        }
    }

    /// A signal ended the run.
    pub(crate) fn interrupted(by: Ending) -> Self {
        Self { signal: Some(by), ..Self::new(Outcome::Interrupted, Some(format!("stopped by {}", by.name))) }
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
