//! What kind of failure it was: decided by named rules over the event stream, so that a reader knows at
//! once whether the product, the test, the guest or the host is to blame. docs/failures.md lists them.

mod evidence;
mod kind;
mod rules;

use std::fmt;

use std::sync::{Arc, Mutex, PoisonError};

use driver_core::event::{Outcome, Record, RunEnded};
use driver_core::{DriverError, Reporter};

pub use kind::{Blame, FailureKind};

use crate::diagnosis::evidence::{Ending, Evidence};
use crate::lint::{Findings, Lint};

/// What went wrong in a run, in a word and in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The name of the rule that decided so.
    pub rule: &'static str,
    /// What the events add to it: how far a boot had come, what was going on.
    pub detail: Option<String>,
}

impl Diagnosis {
    /// The names of all rules with what they decide, in the order in which they are asked.
    pub fn rules() -> impl Iterator<Item = (&'static str, FailureKind)> {
        rules::RULES.iter().map(|rule| (rule.name, rule.kind))
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.title())?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

/// Follows the records of a run, and judges it at its end.
#[derive(Debug, Default)]
pub struct Doctor {
    evidence: Evidence,
    lint: Lint,
}

/// What came out of a run, as the events have it so far.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The outcome.
    pub outcome: Outcome,
    /// The message that goes with it.
    pub message: Option<&'a str>,
}

impl Doctor {
    /// Takes the next record.
    pub fn observe(&mut self, record: &Record) {
        self.evidence.observe(record);
        self.lint.observe(record);
    }

    /// What went wrong, if the run ends like this; `None` when it passes.
    #[must_use]
    pub fn judge(&self, claim: Claim<'_>) -> Option<Diagnosis> {
        let message = claim.message.unwrap_or_default();
        self.diagnosis_of(&Ending { outcome: Some(claim.outcome), message })
    }

    /// Why a run that would pass is no pass: what its consoles show and its manifest does not allow.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        self.lint.findings().objection()
    }

    /// What was found on the consoles.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        self.lint.findings()
    }

    /// What went wrong in a run that ended like this, or not at all.
    pub(crate) fn diagnosis(&self, ended: Option<&RunEnded>) -> Option<Diagnosis> {
        let message = ended.and_then(|end| end.message.as_deref()).unwrap_or_default();
        self.diagnosis_of(&Ending { outcome: ended.map(|end| end.outcome), message })
    }

    fn diagnosis_of(&self, ending: &Ending<'_>) -> Option<Diagnosis> {
        if matches!(ending.outcome, Some(Outcome::Passed | Outcome::Skipped)) {
            return None;
        }
        let case = self.evidence.case(ending);
        rules::RULES.iter().find(|rule| (rule.holds)(&case)).map(|rule| Diagnosis {
            kind: rule.kind,
            rule: rule.name,
            detail: (rule.detail)(&case),
        })
    }
}

/// A doctor who listens to a run as a reporter, and can be asked while it goes on. Cloning gives another
/// handle.
#[derive(Debug, Clone, Default)]
pub struct Examination(Arc<Mutex<Doctor>>);

impl Examination {
    /// Asks the doctor.
    pub fn ask<T>(&self, question: impl FnOnce(&Doctor) -> T) -> T {
        question(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Examination {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).observe(record);
        Ok(())
    }
}
