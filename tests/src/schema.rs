//! The JSON Schema that docs/ promises, held against the events of every run.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

/// Fails the test unless each whole line of the event file in `out` keeps to the schema.
pub(crate) fn assert_kept(out: &Path) {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| {
        let schema: Value =
            serde_json::from_str(include_str!("../../docs/events.schema.json")).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("a schema")
    });
    let events = fs::read(out.join("events.jsonl")).unwrap_or_default();
    for line in events.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let record: Value = serde_json::from_slice(line).expect("a line of JSON");
        if let Err(error) = validator.validate(&record) {
            panic!("an event does not keep to docs/events.schema.json: {error}\n{record}");
        }
    }
}
