//! docs/results.md shows a record as it is written, and names every event with its fields.

use std::fs;
use std::path::Path;

use driver_core::event::Record;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

#[test]
fn the_record_that_the_page_shows_is_one() {
    let page = read("../docs/results.md");
    let (_, rest) = page.split_once("\n```json\n").expect("the page shows a record");
    let (shown, _) = rest.split_once("\n```").expect("the block ends");
    let record: Record = serde_json::from_str(shown).expect("a record");
    assert_eq!(serde_json::to_string(&record).expect("JSON"), shown);
}

#[test]
fn the_page_names_every_event_of_the_recorded_runs_with_its_fields() {
    let page = read("../docs/results.md");
    for run in ["failed", "killed"] {
        let events = read(&format!("tests/golden/{run}/events.jsonl"));
        for record in events.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok()) {
            // What this version does not know has been left out: one golden file has an event of a later one.
            let record = serde_json::to_value(record).expect("JSON");
            let event = record["event"].as_object().expect("an event");
            let kind = event["type"].as_str().expect("a type");
            let Some(row) = page.lines().find(|row| row.starts_with(&format!("| `{kind}` |"))) else {
                panic!("`{kind}` is missing in docs/results.md")
            };
            for field in event.keys().filter(|field| *field != "type") {
                assert!(row.contains(&format!("`{field}`")), "`{field}` of `{kind}` is missing: {row}");
            }
        }
    }
}
