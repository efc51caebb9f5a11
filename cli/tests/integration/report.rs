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

/// Two results in `one` and `two`: the second script fails.
fn two_results() -> Place {
    let place = Place::with(&[
        ("test.toml", "name = \"test\"\nscript = \"test.py\"\n"),
        ("test.py", "with subtest('sums'):\n    assert 1 + 1 == 2\n"),
        ("worse.py", "with subtest('sums'):\n    assert 1 + 1 == 3, 'off by one'\n"),
    ]);
    assert_eq!(place.run(&["run", "test.toml", "-o", "one"]).status, Some(0));
    assert_eq!(place.run(&["run", "test.toml", "-o", "two", "--script", "worse.py"]).status, Some(1));
    place
}

#[test]
fn two_results_are_compared() {
    let place = two_results();
    let said = place.run(&["report", "one", "two"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.stdout.contains("     Outcome test: passed -> failed (assertion)\n"), "{said:?}");
    assert!(said.stdout.contains("    Subtests sums: passed -> failed"), "{said:?}");
    assert_eq!(place.run(&["report", "two", "two"]).status, Some(0));
    assert_eq!(place.run(&["report", "one", "absent"]).status, Some(2));
}

#[test]
fn many_results_make_one_page_with_those_that_failed_first() {
    let place = two_results();
    fs::create_dir(place.path().join("pages")).unwrap();
    let said = place.run(&["report", "merge", "one", "two", "-o", "pages/all.html"]);
    assert_eq!((said.status, said.stdout.as_str()), (Some(1), "pages/all.html: 1 passed, 1 failed\n"));
    let page = fs::read_to_string(place.path().join("pages/all.html")).unwrap();
    let (two, one) = (page.find("./../two/report.html").unwrap(), page.find("./../one/report.html").unwrap());
    assert!(two < one && page.contains("off by one"), "{page}");
}

#[test]
fn the_page_is_opened_by_the_users_program() {
    let place = two_results();
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("xdg-open");
    // A pipe tells when the program has been here, which may be after we are gone.
    let opened = place.path().join("opened");
    rustix::fs::mknodat(rustix::fs::CWD, &opened, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(&program, format!("#!/bin/sh\necho \"$1\" > '{}'\n", opened.display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut child = place.program().args(["report", "one", "--open"]).env("PATH", path).spawn().unwrap();
    let page = fs::read_to_string(&opened).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(page.trim_end().ends_with("one/report.html"), "{page}");
}
