//! A plugin's reporter as a [`Reporter`].

use std::io;
use std::path::Path;

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};
use plugin_abi::{ReporterTable, Str};
use serde_json::Value;

use crate::gate::{Fault, SharedGate};
use crate::opened::Opened;
use crate::table::invoke;

/// A reporter that lives in a plugin.
#[derive(Debug)]
pub(crate) struct PluginReporter {
    file: String,
    table: ReporterTable,
    reporter: Opened,
}

impl PluginReporter {
    pub(crate) fn open(
        table: ReporterTable,
        file: String,
        gate: SharedGate,
        settings: &Value,
        directory: &Path,
    ) -> Result<Self, Fault> {
        let settings = settings.to_string();
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let directory = absolute.display().to_string();
        let reporter = Opened::new(gate, table.close, move |reporter, message| {
            invoke!(table.open, Str::new(&settings), Str::new(&directory), reporter, message)
        })?;
        Ok(Self { file, table, reporter })
    }

    fn failed(&self, operation: &'static str, fault: Fault) -> DriverError {
        DriverError::File { operation, path: self.file.clone(), source: io::Error::other(fault) }
    }
}

impl Reporter for PluginReporter {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let (table, reporter, gate) = (self.table, self.reporter.pointer, &self.reporter.gate);
        let line = serde_json::to_string(record)
            .map_err(|error| self.failed("write an event for", gate.nonsense(error.to_string())))?;
        let take = move |message| {
            let reporter = reporter;
            (invoke!(table.record, reporter.0, Str::new(&line), message), ())
        };
        let taken = gate.call_blocking("record", gate.call_limit(), take);
        taken.map_err(|fault| self.failed("hand an event to", fault))
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let (table, reporter, gate) = (self.table, self.reporter.pointer, &self.reporter.gate);
        let finish = move |message| {
            let reporter = reporter;
            (invoke!(table.finish, reporter.0, message), ())
        };
        let finished = gate.call_blocking("finish", gate.call_limit(), finish);
        finished.map_err(|fault| self.failed("finish the report of", fault))
    }
}
