//! What the handles of a shell and its actor both know: whether the shell is there, and who holds it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::deadline::Deadline;
use crate::error::DriverError;

/// Characters of a command that messages show.
const SHOWN: usize = 200;

/// Whether there is a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The greeting has not come.
    Waiting,
    /// The greeting has come. `unasked`: it came again, without a [`State::reset`], since the last command.
    Up { unasked: bool },
    /// The stream has ended, and why.
    Closed(String),
}

/// The state of one shell.
#[derive(Debug)]
pub(super) struct State {
    machine: String,
    phase: watch::Sender<Phase>,
    /// A greeting has come that nobody has made use of.
    is_fresh: AtomicBool,
    /// The exchange that the shell is busy with, and its command.
    holder: Mutex<Option<(u64, String)>>,
}

impl State {
    pub(super) fn new(machine: &str) -> Self {
        Self {
            machine: machine.to_owned(),
            phase: watch::Sender::new(Phase::Waiting),
            is_fresh: AtomicBool::new(false),
            holder: Mutex::default(),
        }
    }

    pub(super) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Up { .. })
    }

    /// A greeting was read.
    pub(super) fn greeted(&self) {
        self.is_fresh.store(true, Ordering::SeqCst);
        self.phase.send_modify(|phase| {
            let unasked = matches!(phase, Phase::Up { .. });
            *phase = Phase::Up { unasked };
        });
    }

    /// A greeting counts once: after a command, a reboot means a new one.
    pub(super) fn used(&self) {
        self.acknowledge();
        self.phase.send_if_modified(|phase| {
            let was_unasked = *phase == Phase::Up { unasked: true };
            if was_unasked {
                *phase = Phase::Up { unasked: false };
            }
            was_unasked
        });
    }

    /// Somebody goes by the last greeting.
    pub(super) fn acknowledge(&self) {
        self.is_fresh.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::SeqCst)
    }

    pub(super) fn reset(&self) {
        self.phase.send_modify(|phase| match phase {
            Phase::Up { unasked: true } => *phase = Phase::Up { unasked: false },
            Phase::Up { unasked: false } => *phase = Phase::Waiting,
            Phase::Waiting | Phase::Closed(_) => {}
        });
    }

    pub(super) fn close(&self, problem: &str) {
        self.phase.send_replace(Phase::Closed(problem.to_owned()));
    }

    pub(super) fn set_holder(&self, holder: Option<(u64, String)>) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    pub(super) fn busy_with(&self) -> Option<String> {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        holder.as_ref().map(|(_, command)| brief(command))
    }

    /// The error for a shell that went away.
    pub(super) fn broken(&self, problem: &str, command: Option<&str>) -> DriverError {
        DriverError::Shell {
            machine: self.machine.clone(),
            problem: problem.to_owned(),
            during: command.map(|command| format!("running `{}`", brief(command))),
        }
    }

    /// The error for a deadline that passed in the exchange `id`.
    pub(super) fn late(&self, awaited: String, within: Deadline, id: Option<u64>) -> DriverError {
        let seen = match &*self.phase.borrow() {
            Phase::Waiting => Some("no greeting from the guest's shell".to_owned()),
            Phase::Up { .. } => {
                let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
                holder
                    .as_ref()
                    .filter(|(holder, _)| Some(*holder) != id)
                    .map(|(_, command)| format!("the shell is still busy with `{}`", brief(command)))
            }
            Phase::Closed(problem) => Some(format!("the guest shell {problem}")),
        };
        DriverError::Timeout { machine: self.machine.clone(), awaited, limit: within.limit(), seen }
    }
}

/// A command as messages show it: its beginning, where it is long.
pub(super) fn brief(command: &str) -> String {
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &command[..end]),
        None => command.to_owned(),
    }
}
