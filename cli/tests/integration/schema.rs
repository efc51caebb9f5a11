//! Every event file that a test of this package leaves keeps to the published schema.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

/// Fails the test unless each whole line of the event files in the directories of `place` keeps to the schema.
#[track_caller]
pub(crate) fn assert_kept(place: &Path) {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    let validator = SCHEMA.get_or_init(|| {
        let schema = include_str!("../../../docs/events.schema.json");
        jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema")
    });
    for entry in fs::read_dir(place).into_iter().flatten().filter_map(Result::ok) {
        let Ok(events) = fs::read_to_string(entry.path().join("events.jsonl")) else { continue };
        // The last line may be torn: some tests cut it.
        for line in events.lines() {
            let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
            if let Err(error) = validator.validate(&record) {
                panic!("an event does not keep to docs/events.schema.json: {error}\n{record}");
            }
        }
    }
}
