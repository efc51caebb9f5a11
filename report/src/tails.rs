//! The last lines of each console: what a machine said before it failed.

use std::collections::{BTreeMap, VecDeque};

use driver_core::event::{Event, Record};

use crate::escape::visible;

/// Lines that are kept of each.
const LINES: usize = 24;

/// The ends of all consoles, escaped.
#[derive(Debug, Default)]
pub(crate) struct Tails(BTreeMap<String, VecDeque<String>>);

impl Tails {
    /// Takes the next record.
    pub(crate) fn observe(&mut self, record: &Record) {
        if let (Event::Console { line }, Some(machine)) = (&record.event, &record.machine) {
            let tail = self.0.entry(machine.clone()).or_default();
            if tail.len() == LINES {
                tail.pop_front();
            }
            tail.push_back(visible(line).into_owned());
        }
    }

    /// The last lines of a machine's console.
    pub(crate) fn of(&self, machine: &str) -> Vec<String> {
        self.0.get(machine).into_iter().flatten().cloned().collect()
    }
}
