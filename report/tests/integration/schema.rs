//! The JSON Schema of the event file: it is that of the types, and recorded runs keep to it.
//! `UPDATE_GOLDEN=1 cargo test -p report` writes it anew.

use std::fs;
use std::path::Path;

use driver_core::event::Record;
use jsonschema::Validator;
use serde_json::{Value, json};

const SCHEMA: &str = "../docs/events.schema.json";

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn validator() -> Validator {
    let text = fs::read_to_string(path(SCHEMA)).expect("the schema is there");
    let schema = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[test]
fn the_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(Record).to_value();
    schema["title"] = json!("A line of innkeeper's events.jsonl");
    let generated = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(SCHEMA), &generated).expect("the schema");
    }
    let kept = fs::read_to_string(path(SCHEMA)).unwrap_or_default();
    assert!(kept == generated, "docs/events.schema.json is out of date (UPDATE_GOLDEN=1 writes it anew)");
}

#[test]
fn recorded_runs_keep_to_the_schema() {
    let validator = validator();
    let mut lines = 0;
    for run in ["failed", "killed"] {
        let events = fs::read_to_string(path(&format!("tests/golden/{run}/events.jsonl"))).expect("events");
        for line in events.lines() {
            // One run has an event of a later version, and a last line that is torn.
            let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
            let known = serde_json::from_value::<Record>(value.clone()).is_ok();
            assert_eq!(validator.is_valid(&value), known, "{line}");
            lines += usize::from(known);
        }
    }
    assert!(lines > 40, "{lines} lines");
}

#[test]
fn what_is_no_record_does_not_pass() {
    let validator = validator();
    let record = |event: Value| json!({ "seq": 0, "t_us": 0, "scope": 0, "event": event });
    assert!(validator.is_valid(&record(json!({ "type": "console", "line": "x" }))));
    for event in [
        json!({ "type": "console" }),
        json!({ "type": "console", "line": 3 }),
        json!({ "type": "boot_phase", "phase": "lunch" }),
        json!({}),
    ] {
        assert!(!validator.is_valid(&record(event.clone())), "{event}");
    }
    assert!(!validator.is_valid(&json!({ "event": { "type": "console", "line": "x" } })));
}
