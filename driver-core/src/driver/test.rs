//! Tests that are written in Rust, without a script.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;

use super::{Driver, DriverConfig};
use crate::error::{DriverError, chain_of};
use crate::event::{ConsoleRules, Event, FORMAT, Outcome, RunEnded, RunStarted, ScopeKind};
use crate::evidence::EvidencePolicy;
use crate::journal::{current_scope, in_scope};

/// What a test in Rust ends with. The question mark turns any error into it.
pub type TestResult = Result<(), Box<dyn Error + Send + Sync>>;

impl Driver {
    /// Runs a test that is written in Rust, from the first event to the last: checks host and machines,
    /// does `work`, ends whatever runs, and writes the journal to its end. A panic of `work`, a failed
    /// `assert!` say, goes on after that.
    ///
    /// # Errors
    /// What `work` returned; what [`Driver::new`] and [`Driver::check`] return; that the run's deadline
    /// came first.
    pub async fn test<F>(name: &str, config: DriverConfig, work: impl FnOnce(Arc<Self>) -> F) -> TestResult
    where
        F: Future<Output = TestResult>,
    {
        let (journal, deadline) = (config.journal.clone(), config.deadline);
        let machines = config.machines.iter().map(|machine| machine.name.clone()).collect();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        journal.emit(
            None,
            Event::RunStarted(RunStarted {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                test: name.to_owned(),
                machines,
                script: String::new(),
                timeout_s: deadline.limit().as_secs_f64(),
                started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
                console: ConsoleRules::default(),
            }),
        );
        let mut is_late = false;
        let ended = match Self::new(config) {
            Ok(driver) => {
                let checked = async {
                    driver.check().await?;
                    work(Arc::clone(&driver)).await
                };
                let caught = AssertUnwindSafe(checked).catch_unwind();
                let late = DriverError::assertion(format!(
                    "the test took longer than the {:?} that it may take",
                    deadline.limit()
                ));
                let ended = tokio::time::timeout_at(deadline.instant(), caught).await;
                is_late = ended.is_err();
                if !matches!(ended, Ok(Ok(Ok(())))) {
                    driver.gather_evidence(EvidencePolicy::LIMIT).await;
                }
                driver.shut_down().await;
                ended.unwrap_or_else(|_| Ok(Err(late.into())))
            }
            Err(error) => Ok(Err(error.into())),
        };
        let (outcome, message) = match &ended {
            Ok(Ok(())) => (Outcome::Passed, None),
            Ok(Err(error)) if is_late => (Outcome::TimedOut, Some(chain_of(error.as_ref()))),
            Ok(Err(error)) => (Outcome::Failed, Some(chain_of(error.as_ref()))),
            Err(panic) => (Outcome::Failed, Some(words_of(panic.as_ref()))),
        };
        let exit_status = u8::from(outcome != Outcome::Passed);
        let duration_us = journal.elapsed_us();
        journal
            .emit(None, Event::RunEnded(RunEnded { outcome, kind: None, message, duration_us, exit_status }));
        let written = journal.close();
        match ended {
            Ok(result) => result.and_then(|()| match written {
                Ok(()) => Ok(()),
                Err(errors) => {
                    let problems: Vec<String> = errors.iter().map(DriverError::chain).collect();
                    Err(format!("the result could not be written: {}", problems.join("; ")).into())
                }
            }),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs `work` as a named part of the test, with an outcome of its own in the report.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub async fn subtest<T, E: Display>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let journal = self.journal();
        let scope = journal.open_scope(current_scope(), None, ScopeKind::Subtest, name, None);
        let result = in_scope(scope.id(), work).await;
        journal.close_scope(&scope, result.as_ref().err().map(ToString::to_string));
        result
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the test panicked".to_owned())
}
