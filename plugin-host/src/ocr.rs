//! A plugin's OCR engine as an [`OcrEngine`].

use std::sync::{Mutex, PoisonError};

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading};
use plugin_abi::{OcrTable, Status, Str};
use serde_json::Value;

use crate::backend::{JSON_LIMIT, two_lines};
use crate::gate::{Fault, SharedGate, milliseconds};
use crate::opened::Opened;
use crate::outgoing::Outgoing;
use crate::table::invoke;

/// An engine that lives in a plugin.
#[derive(Debug)]
pub(crate) struct PluginOcr {
    name: String,
    table: OcrTable,
    engine: Opened,
    /// Held during a call: the contract promises one at a time.
    turn: Mutex<()>,
}

impl PluginOcr {
    pub(crate) fn open(
        name: &str,
        table: OcrTable,
        gate: SharedGate,
        settings: &Value,
    ) -> Result<Self, Fault> {
        let settings = settings.to_string();
        let engine = Opened::new(gate, table.close, move |engine, message| {
            invoke!(table.open, Str::new(&settings), engine, message)
        })?;
        Ok(Self { name: name.to_owned(), table, engine, turn: Mutex::default() })
    }

    fn failed(&self, fault: Fault) -> OcrError {
        let (problem, way_out) = match fault {
            Fault::Said { status: Status::HOST, message, .. } => two_lines(&message),
            Fault::Said { message, .. } => (message, String::new()),
            other => (other.to_string(), String::new()),
        };
        OcrError { engine: self.name.clone(), problem, way_out }
    }
}

impl OcrEngine for PluginOcr {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // The wait for the turn may have used it up.
        if within.is_over() {
            return Err(OcrError {
                engine: self.name.clone(),
                problem: format!("it was at other pictures for {:?}", within.limit()),
                way_out: "give it more time, or ask less often".to_owned(),
            });
        }
        let (table, engine, gate) = (self.table, self.engine.pointer, &self.engine.gate);
        // The thread of a call that hangs goes on with it.
        let frame = frame.clone();
        let read = move |message| {
            let (engine, mut reading) = (engine, Outgoing::new());
            let lent =
                plugin_abi::Frame { width: frame.width(), height: frame.height(), rgb: frame.rgb().as_ptr() };
            let status = invoke!(
                table.read,
                engine.0,
                &raw const lent,
                milliseconds(within),
                reading.place(),
                message
            );
            (status, reading.bytes(JSON_LIMIT))
        };
        let json = gate.call_blocking("read", within, read).map_err(|fault| self.failed(fault))?;
        let json = json.map_err(|problem| self.failed(gate.nonsense(problem)))?;
        let mut reading: Reading = serde_json::from_slice(&json).map_err(|error| {
            self.failed(gate.nonsense(format!("says in no proper JSON what it has read: {error}")))
        })?;
        if reading.engine.is_empty() {
            reading.engine.clone_from(&self.name);
        }
        Ok(reading)
    }
}
