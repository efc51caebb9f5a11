//! Result directories: made, kept, never mixed. The runs here end at an image that is not there.

use std::fs;

use crate::{Place, Said};

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
fn a_test_whose_needs_its_backend_lacks_is_skipped_and_every_report_says_so() {
    let machine = "[machines.server]\nimage = \"absent\"\nneeds = [\"power\", \"screen\"]\n";
    let manifest = format!("name = \"test\"\nscript = \"test.py\"\n{machine}");
    let place = Place::with(&[("test.toml", &manifest), ("test.py", "")]);
    let said = place.run(&["run", "test.toml", "--backend", "cloud-hypervisor", "-o", "out"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let why = "backend `cloud-hypervisor` has no screen, which machine `server` needs";
    let shown = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in ["test: skipped", why, "or take a backend that has it: `qemu`"] {
        assert!(shown.contains(text), "{text:?} is missing in:\n{shown}");
    }
    let read = |name: &str| fs::read_to_string(place.path().join("out").join(name)).unwrap();
    for (report, text) in [
        ("results.tap", format!("ok 1 - main # SKIP {why}")),
        ("junit.xml", format!("<skipped message=\"{why}")),
        ("events.jsonl", "\"outcome\":\"skipped\"".to_owned()),
        ("report.html", "skipped".to_owned()),
    ] {
        assert!(read(report).contains(&text), "{text:?} is missing in {report}:\n{}", read(report));
    }

    // The backend that has it goes on, and gets as far as the image.
    let said = place.run(&["run", "test.toml", "-o", "other"]);
    assert_eq!(said.status, Some(3), "{said:?}");
    let said = place.run(&["report", "merge", "out", "other", "-o", "page.html"]);
    assert!(said.status == Some(3), "{said:?}");
    let page = fs::read_to_string(place.path().join("page.html")).unwrap();
    assert!(page.contains("0 passed, 1 failed, 1 skipped"), "{page}");
}

#[test]
fn an_earlier_result_becomes_an_attempt() {
    let place = place();
    for _ in 0..3 {
        assert_eq!(place.run(&["run", "test.toml", "-o", "out"]).status, Some(3));
    }
    for name in ["out", "out/attempts/1", "out/attempts/2"] {
        assert!(place.path().join(name).join("events.jsonl").exists(), "{name}");
    }
    assert!(!place.path().join("out/attempts/3").exists());
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

#[test]
fn a_missing_image_is_told_with_those_that_are_there() {
    let place = place();
    for name in ["base", "web"] {
        let image = place.path().join("cache/images").join(name);
        fs::create_dir_all(&image).unwrap();
        fs::write(image.join("image.toml"), "").unwrap();
    }
    let said = place.run(&["run", "test.toml"]);
    assert!(said.stderr.contains("(there are `base`, `web`; build it with"), "{said:?}");
}

#[test]
fn without_any_place_for_images_the_message_says_so() {
    let place = place();
    let said = Said::of(
        place
            .program()
            .args(["run", "test.toml"])
            .env_remove("INNKEEPER_CACHE")
            .env_remove("HOME")
            .output()
            .unwrap(),
    );
    assert_eq!(said.status, Some(3), "{said:?}");
    assert!(said.stderr.contains("neither INNKEEPER_IMAGES nor HOME is set"), "{said:?}");
}

#[test]
fn a_start_script_that_cannot_run_is_told_before_anything_starts() {
    let manifest = MANIFEST.replace("image = \"absent\"", "start_script = \"run-vm\"");
    let place = Place::with(&[("test.toml", &manifest), ("test.py", "print('the script ran')")]);
    let refused = |text: &str| {
        let said = place.run(&["run", "test.toml"]);
        assert_eq!(said.status, Some(3), "{said:?}");
        assert!(said.stderr.contains("machine `server`: its start script `run-vm`"), "{said:?}");
        assert!(said.stderr.contains("Kind not_launched: "), "{said:?}");
        assert!(
            said.stderr.contains(text) && !said.stdout.contains("ran"),
            "{text:?} is missing in {said:?}"
        );
    };
    refused("cannot be read: No such file");
    fs::create_dir(place.path().join("run-vm")).unwrap();
    refused("is not a file");
    fs::remove_dir(place.path().join("run-vm")).unwrap();
    fs::write(place.path().join("run-vm"), "#!/bin/sh\n").unwrap();
    refused("`chmod +x run-vm`");
}

#[test]
fn a_result_directory_that_cannot_be_made_is_told_with_the_way_out() {
    let place = place();
    fs::write(place.path().join("out"), "a file").unwrap();
    let said = place.run(&["run", "test.toml", "-o", "out"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(said.stderr.contains("`out` cannot be made (choose another with `-o DIR`)"), "{said:?}");
}

#[test]
fn the_kind_of_failure_is_told_and_written() {
    let place = place();
    let said = place.run(&["run", "test.toml", "-o", "out"]);
    assert!(said.stderr.contains("Kind not_launched: a machine could not be started\n"), "{said:?}");
    let events = fs::read_to_string(place.path().join("out/events.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"]["kind"], "not_launched");
}

#[test]
fn a_missing_interpreter_is_the_hosts_failure_and_status_5() {
    let place = Place::with(&[("test.toml", "name = \"test\"\nscript = \"test.py\"\n"), ("test.py", "")]);
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut program = place.program();
    program.args(["run", "test.toml"]).env("PATH", "/nowhere").env("TMPDIR", &temporary);
    let said = Said::of(program.output().unwrap());
    assert_eq!(said.status, Some(5), "{said:?}");
    assert!(said.stderr.contains("Kind host_unfit: this host cannot run the test"), "{said:?}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "something was left behind");
}
