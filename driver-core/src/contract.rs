//! The contract suite: every rule that a backend must keep, checked on machines that it really launches.
//!
//! A backend's tests call [`check`] with a machine that boots to the root shell, and then
//! [`Findings::assert_kept`]. It has a feature of its own, `contract`, because a backend's tests need no
//! fake.

use std::fmt;
use std::time::Duration;

use crate::machine::Backend;
use crate::spec::MachineSpec;

mod description;
mod life;
mod log;
mod running;

/// What the suite found out about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The backend keeps it.
    Kept,
    /// It does not concern this backend or this machine, and why.
    Skipped(String),
    /// The backend breaks it, and how.
    Broken(String),
}

/// What the suite found out, rule by rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The rules in the order in which they were checked, as sentences, and what was found.
    pub rules: Vec<(&'static str, Verdict)>,
}

impl Findings {
    /// Passes when no rule is broken.
    ///
    /// # Panics
    /// With the list of all rules and what was found, when one is.
    pub fn assert_kept(&self) {
        let broken = self.rules.iter().any(|(_, verdict)| matches!(verdict, Verdict::Broken(_)));
        assert!(!broken, "the backend breaks the contract:\n{self}");
    }

    fn add(&mut self, rule: &'static str, result: Result<(), String>) {
        self.rules.push((rule, result.map_or_else(Verdict::Broken, |()| Verdict::Kept)));
    }

    fn skip(&mut self, rule: &'static str, why: &str) {
        self.rules.push((rule, Verdict::Skipped(why.to_owned())));
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rule, verdict) in &self.rules {
            match verdict {
                Verdict::Kept => writeln!(f, "kept     {rule}")?,
                Verdict::Skipped(why) => writeln!(f, "skipped  {rule}: {why}")?,
                Verdict::Broken(how) => writeln!(f, "BROKEN   {rule}: {how}")?,
            }
        }
        Ok(())
    }
}

/// Puts a backend through the contract with the machine `spec`, which must boot to the root shell within
/// `boot`, twice. Its `state_dir` must exist and be empty.
pub async fn check(backend: &dyn Backend, spec: &MachineSpec, boot: Duration) -> Findings {
    let mut findings = Findings::default();
    let host = backend.probe().await;
    findings.add("the host can run the backend", host.map_err(|error| error.chain()));
    if findings.rules.iter().any(|(_, verdict)| *verdict != Verdict::Kept) {
        return findings;
    }
    description::check(backend, spec, &mut findings).await;
    life::check(backend, spec, boot, &mut findings).await;
    findings
}

/// Broken, with a text, unless it holds.
fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
