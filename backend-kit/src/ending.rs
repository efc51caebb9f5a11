//! The end of a machine: who orders it, who waits for it, and what it means for those who wanted something else.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driver_core::{Deadline, DriverError, Exit};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::process::Group;

/// How long a hypervisor, and what is around it, may take to end after it was told to.
pub const GRACE: Duration = Duration::from_secs(2);

/// Whether the driver has ordered the end. Clones are about the same machine.
#[derive(Debug, Clone, Default)]
pub struct Ordered(Arc<AtomicBool>);

impl Ordered {
    /// Whether it has, by now.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of a machine, for all who want to know of it.
#[derive(Debug)]
pub struct Ending {
    machine: String,
    ordered: Ordered,
    exit: watch::Receiver<Option<Exit>>,
}

impl Ending {
    /// Has `watcher` stand by the machine: it returns when that has ended, and says how.
    pub fn watch(
        machine: String,
        ordered: Ordered,
        watcher: impl Future<Output = Exit> + Send + 'static,
    ) -> Self {
        let (publish, exit) = watch::channel(None);
        tokio::spawn(async move { publish.send(Some(watcher.await)) });
        Self { machine, ordered, exit }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`DriverError::Timeout`].
    pub async fn wait(&self, within: Deadline) -> Result<Exit, DriverError> {
        self.seen(within).await.ok_or_else(|| DriverError::Timeout {
            machine: self.machine.clone(),
            awaited: "the machine's end".to_owned(),
            limit: within.limit(),
            seen: None,
        })
    }

    /// The error for an order that found nobody: why the hypervisor is gone says more than that it is.
    pub async fn gone(&self, operation: &str, error: impl StdError + Send + Sync + 'static) -> DriverError {
        let machine = self.machine.clone();
        match self.seen(Deadline::after(2 * GRACE)).await {
            Some(exit) => {
                DriverError::Exited { machine, exit, during: Some(format!("trying to {operation}")) }
            }
            None => {
                DriverError::Control { machine, operation: operation.to_owned(), source: Box::new(error) }
            }
        }
    }

    /// Ends the machine now, as [`end`] does, and returns when it has ended.
    pub async fn order(
        &self,
        group: &Group,
        hypervisor: &str,
        ask: impl Future<Output = Result<(), impl fmt::Display>>,
    ) {
        self.order_within(GRACE, group, hypervisor, ask).await;
    }

    /// As [`Ending::order`], for what may take as long as `grace` when it is asked.
    pub async fn order_within(
        &self,
        grace: Duration,
        group: &Group,
        hypervisor: &str,
        ask: impl Future<Output = Result<(), impl fmt::Display>>,
    ) {
        self.ordered.0.store(true, Ordering::Relaxed);
        end_within(grace, group, hypervisor, ask).await;
        if self.seen(Deadline::after(2 * GRACE)).await.is_none() {
            tracing::error!(machine = self.machine, "{hypervisor} was killed and did not end");
        }
    }

    async fn seen(&self, within: Deadline) -> Option<Exit> {
        let mut exit = self.exit.clone();
        let exited = exit.wait_for(Option::is_some);
        let seen = tokio::time::timeout_at(within.instant(), exited).await.ok()?.ok()?;
        seen.clone()
    }
}

/// Ends a hypervisor. It is asked first, since it leaves overlays whole that way; an error of `ask` says that it does
/// not want to.
pub async fn end(group: &Group, hypervisor: &str, ask: impl Future<Output = Result<(), impl fmt::Display>>) {
    end_within(GRACE, group, hypervisor, ask).await;
}

async fn end_within(
    grace: Duration,
    group: &Group,
    hypervisor: &str,
    ask: impl Future<Output = Result<(), impl fmt::Display>>,
) {
    let ended = async {
        match ask.await {
            Ok(()) => drop(group.ended().await),
            Err(error) => tracing::debug!(%error, "{hypervisor} does not end"),
        }
    };
    if timeout(grace, ended).await.is_err() {
        tracing::debug!("{hypervisor} takes too long to end");
    }
    group.kill();
}
