//! Result directories: made, kept, never mixed. The runs here end at an image that is not there.

use std::fs;

use crate::Place;

const MANIFEST: &str = "name = \"test\"\nscript = \"test.py\"\n[machines.server]\nimage = \"absent\"\n";

fn place() -> Place {
    Place::with(&[("test.toml", MANIFEST), ("test.py", "")])
}

#[test]
fn a_missing_image_is_status_3_with_machine_image_places_and_the_way_out() {
    let place = place();
    let said = place.run(&["run", "test.toml"]);
    assert_eq!(said.status, Some(3), "{said:?}");
    for text in
        ["machine `server`", "no image `absent`", "`cache/images/absent`", "`cargo xtask guests absent`"]
    {
        assert!(said.stderr.contains(text), "{text:?} is missing in:\n{}", said.stderr);
    }
    let results = place.path().join("innkeeper-results/test");
    let junit = fs::read_to_string(results.join("junit.xml")).unwrap();
    assert!(junit.contains("no image"), "{junit}");
    let events = fs::read_to_string(results.join("events.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"]["type"], "run_ended");
    assert_eq!(last["event"]["outcome"], "machine_failed");
    assert_eq!(last["event"]["exit_status"], 3);
}

#[test]
fn an_earlier_result_is_moved_aside() {
    let place = place();
    for _ in 0..3 {
        assert_eq!(place.run(&["run", "test.toml", "-o", "out"]).status, Some(3));
    }
    for name in ["out", "out.1", "out.2"] {
        assert!(place.path().join(name).join("events.jsonl").exists(), "{name}");
    }
    assert!(!place.path().join("out.3").exists());
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let place = place();
    let said = place.run(&["run", "test.toml", "-o", "."]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(said.stderr.contains("is not a result of innkeeper's"), "{said:?}");
    assert!(place.path().join("test.toml").exists());
}

#[test]
fn a_directory_that_another_run_writes_to_is_refused() {
    let place = place();
    let out = place.path().join("out");
    fs::create_dir(&out).unwrap();
    let lock = fs::File::open(&out).unwrap();
    lock.lock().unwrap();
    let said = place.run(&["run", "test.toml", "-o", "out"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(said.stderr.contains("another run is writing to"), "{said:?}");
}
