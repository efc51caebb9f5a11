//! `innkeeper report`: the views again, and the run's own status.

use std::fs;

use crate::Place;

#[test]
fn views_come_back_and_the_status_is_the_runs_own() {
    let place = Place::with(&[
        ("test.toml", "name = \"test\"\nscript = \"test.py\"\n[machines.server]\nimage = \"absent\"\n"),
        ("test.py", ""),
    ]);
    assert_eq!(place.run(&["run", "test.toml", "-o", "out"]).status, Some(3));
    let junit = place.path().join("out/junit.xml");
    let before = fs::read_to_string(&junit).unwrap();
    fs::remove_file(&junit).unwrap();
    let said = place.run(&["report", "out"]);
    assert_eq!(said.status, Some(3), "{said:?}");
    assert!(said.stdout.contains("machine failed"), "{said:?}");
    assert!(said.stdout.ends_with("     Results out\n"), "{said:?}");
    assert_eq!(fs::read_to_string(&junit).unwrap(), before);
}

#[test]
fn a_run_that_was_cut_off_is_reported_as_such() {
    let place = Place::with(&[("test.toml", "name = \"test\"\nscript = \"test.py\"\n"), ("test.py", "")]);
    assert_eq!(place.run(&["run", "test.toml", "-o", "out"]).status, Some(0));
    let journal = place.path().join("out/events.jsonl");
    let events = fs::read_to_string(&journal).unwrap();
    // As a kill -9 leaves it: without the end, and with half a line.
    let cut = events.rfind("run_ended").unwrap();
    fs::write(&journal, &events[..cut]).unwrap();
    let said = place.run(&["report", "out"]);
    assert_eq!(said.status, Some(3), "{said:?}");
    assert!(said.stdout.contains("cut off"), "{said:?}");
}
