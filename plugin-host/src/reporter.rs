//! A plugin's reporter as a [`Reporter`].

use std::io;
use std::path::Path;
use std::ptr;

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};
use plugin_abi::{ReporterTable, Str};
use serde_json::Value;

use crate::backend::Opaque;
use crate::gate::{Fault, SharedGate};
use crate::table::invoke;

/// A reporter that lives in a plugin. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct PluginReporter {
    file: String,
    table: ReporterTable,
    reporter: Opaque,
    gate: SharedGate,
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
        let reporter = gate.call_blocking("open", gate.call_limit(), move |message| {
            let mut reporter = ptr::null_mut();
            let (settings, directory) = (Str::new(&settings), Str::new(&directory));
            let status = invoke!(table.open, settings, directory, &raw mut reporter, message);
            (status, Opaque(reporter))
        })?;
        Ok(Self { file, table, reporter, gate })
    }

    fn failed(&self, operation: &'static str, fault: Fault) -> DriverError {
        DriverError::File { operation, path: self.file.clone(), source: io::Error::other(fault) }
    }
}

impl Reporter for PluginReporter {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let (table, reporter) = (self.table, self.reporter);
        let line = serde_json::to_string(record)
            .map_err(|error| self.failed("write an event for", self.gate.nonsense(error.to_string())))?;
        let take = move |message| {
            let reporter = reporter;
            (invoke!(table.record, reporter.0, Str::new(&line), message), ())
        };
        let taken = self.gate.call_blocking("record", self.gate.call_limit(), take);
        taken.map_err(|fault| self.failed("hand an event to", fault))
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let (table, reporter) = (self.table, self.reporter);
        let finish = move |message| {
            let reporter = reporter;
            (invoke!(table.finish, reporter.0, message), ())
        };
        let finished = self.gate.call_blocking("finish", self.gate.call_limit(), finish);
        finished.map_err(|fault| self.failed("finish the report of", fault))
    }
}

impl Drop for PluginReporter {
    fn drop(&mut self) {
        let (table, reporter) = (self.table, self.reporter);
        let close = move |_message| {
            let reporter = reporter;
            (invoke!(table.close, reporter.0), ())
        };
        if !self.gate.is_aside()
            && let Err(fault) = self.gate.call_blocking("close", self.gate.call_limit(), close)
        {
            tracing::warn!(%fault, "a plugin's reporter could not be closed");
        }
    }
}
