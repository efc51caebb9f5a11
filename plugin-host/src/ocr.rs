//! A plugin's OCR engine as an [`OcrEngine`].

use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading};
use plugin_abi::{OcrTable, Status, Str};
use serde_json::Value;

use crate::backend::{JSON_LIMIT, Opaque, two_lines};
use crate::gate::{Fault, SharedGate, milliseconds};
use crate::outgoing::Outgoing;
use crate::table::invoke;

/// An engine that lives in a plugin. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct PluginOcr {
    name: String,
    table: OcrTable,
    engine: Opaque,
    gate: SharedGate,
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
        let engine = gate.call_blocking("open", gate.call_limit(), move |message| {
            let mut engine = ptr::null_mut();
            let status = invoke!(table.open, Str::new(&settings), &raw mut engine, message);
            (status, Opaque(engine))
        })?;
        Ok(Self { name: name.to_owned(), table, engine, gate, turn: Mutex::default() })
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
        let (table, engine) = (self.table, self.engine);
        // The thread of a call that hangs goes on with it.
        let frame = Arc::new(frame.clone());
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
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let json = self.gate.call_blocking("read", within, read).map_err(|fault| self.failed(fault))?;
        let json = json.map_err(|problem| self.failed(self.gate.nonsense(problem)))?;
        let mut reading: Reading = serde_json::from_slice(&json).map_err(|error| {
            self.failed(self.gate.nonsense(format!("says in no proper JSON what it has read: {error}")))
        })?;
        if reading.engine.is_empty() {
            reading.engine.clone_from(&self.name);
        }
        Ok(reading)
    }
}

impl Drop for PluginOcr {
    fn drop(&mut self) {
        let (table, engine) = (self.table, self.engine);
        let close = move |_message| {
            let engine = engine;
            (invoke!(table.close, engine.0), ())
        };
        if !self.gate.is_aside()
            && let Err(fault) = self.gate.call_blocking("close", self.gate.call_limit(), close)
        {
            tracing::warn!(%fault, "a plugin's OCR engine could not be closed");
        }
    }
}
