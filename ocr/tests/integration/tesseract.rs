//! Tesseract, played by a shell script: what it is asked, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use driver_core::{Deadline, OcrEngine as _};
use ocr::Tesseract;

use crate::support::{BLACK, Canvas};

fn program(place: &tempfile::TempDir, script: &str) -> PathBuf {
    let file = place.path().join("tesseract");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script");
    file
}

#[test]
fn it_is_given_a_picture_and_languages_and_its_words_are_read() {
    let place = tempfile::tempdir().unwrap();
    let script =
        "printf '5\\t1\\t1\\t1\\t1\\t1\\t30\\t60\\t90\\t30\\t96\\t%s\\n' \"$*\" \"$(head -n2 | tail -n1)\"";
    let engine = Tesseract::at(program(&place, script), Some("deu+eng"));
    let frame = Canvas::new(20, 10, BLACK).frame();
    let reading = engine.read(&frame, Deadline::after(Duration::from_secs(30))).unwrap();
    assert_eq!(reading.text(), "stdin stdout -l deu+eng --psm 6 tsv 60 30\n");
    assert_eq!(reading.engine, "tesseract");
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_started() {
    let place = tempfile::tempdir().unwrap();
    let child = place.path().join("child");
    let script = format!("sleep 1000 & echo $! >{}; wait", child.display());
    let engine = Tesseract::at(program(&place, &script), None);
    let started = Instant::now();
    let within = Deadline::after(Duration::from_secs(1));
    let error = engine.read(&Canvas::new(20, 10, BLACK).frame(), within).unwrap_err();
    assert!(error.problem.contains("takes longer than"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
    let pid = fs::read_to_string(child).unwrap();
    // A killed process may take a moment to end, and whoever inherits it to bury it.
    let has_ended = || {
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        state.is_err() || state.unwrap().contains(") Z ")
    };
    while !has_ended() {
        assert!(started.elapsed() < Duration::from_secs(60), "it still runs");
        std::thread::yield_now();
    }
}

#[test]
fn one_that_fails_says_why() {
    let place = tempfile::tempdir().unwrap();
    let engine = Tesseract::at(program(&place, "echo 'no such language' >&2; exit 1"), None);
    let error = engine.read(&Canvas::new(20, 10, BLACK).frame(), Deadline::far()).unwrap_err();
    assert!(error.problem.ends_with("failed: no such language"), "{error}");
    let engine = Tesseract::at(place.path().join("none"), None);
    let error = engine.read(&Canvas::new(20, 10, BLACK).frame(), Deadline::far()).unwrap_err();
    assert!(error.problem.contains("cannot be run: No such file"), "{error}");
}
