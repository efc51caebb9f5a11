//! The guestbook example: from the manifest to a complete result, in both languages.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use driver_core::event::Outcome;
use integration_tests::{Finished, Setup, need_vm};
use quick_junit::{Report, TestCaseStatus};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guestbook").join(name)
}

/// The test cases of `junit.xml` by name, with whether they passed.
fn test_cases(run: &Finished) -> Vec<(String, bool)> {
    let report = Report::deserialize_from_str(&run.text("junit.xml")).expect("a JUnit parser accepts it");
    let cases = report.test_suites.iter().flat_map(|suite| &suite.test_cases);
    cases.map(|case| (case.name.to_string(), matches!(case.status, TestCaseStatus::Success { .. }))).collect()
}

fn assert_shows_something(picture: &Path) {
    let file = BufReader::new(File::open(picture).expect("a picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a picture that fits into memory")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    let size = frame.buffer_size() / (frame.width * frame.height) as usize;
    let mut colours = pixels[..frame.buffer_size()].chunks(size);
    let first = colours.next().expect("a picture with pixels");
    assert!(colours.any(|colour| colour != first), "the screenshot is all of one colour");
}

fn assert_whole_console(run: &Finished) {
    let console = run.text("console/server.log");
    let at = |text: &str| console.find(text).unwrap_or_else(|| panic!("{text:?} is missing in:\n{console}"));
    assert!(at("Linux version") < at("Reached target multi-user.target"), "{console}");
    assert!(at("Linux version") < 200, "the kernel's first line is not at the start:\n{console}");
}

/// The names in a directory, as `ls` shows them in the C locale or any other: all are in small letters.
fn listing(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What README.md says a result directory holds.
fn listing_of_readme() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md is there");
    let (_, rest) = readme.split_once("$ ls results\n").expect("README.md lists a result directory");
    rest.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

crate::both!(
    the_python_test_passes_and_leaves_a_complete_result,
    the_python_test_passes_without_the_agent_and_leaves_a_complete_result,
    passes_and_leaves_a_complete_result
);

fn passes_and_leaves_a_complete_result(arguments: &[&str]) {
    if need_vm("guestbook").is_none() {
        return;
    }
    let run = Setup::with_manifest(&example("guestbook.toml")).args(arguments).run();
    run.assert_status(0);
    assert_eq!(run.ended().outcome, Outcome::Passed);
    let passed = |name: &str| (name.to_owned(), true);
    assert_eq!(
        test_cases(&run),
        [
            passed("main"),
            passed("starts out with no posts"),
            passed("a post is answered politely"),
            passed("the post is shown")
        ]
    );
    assert_shows_something(&run.out().join("guestbook.png"));
    assert_whole_console(&run);
    run.assert_kind(None);
    assert_eq!(listing(run.out()), listing_of_readme(), "README.md shows another result directory");
}

/// With the agent; Perl goes without it in [`crate::cluster`].
#[test]
fn the_perl_test_of_2019_passes_as_it_stands() {
    if need_vm("guestbook").is_none() {
        return;
    }
    let run = Setup::with_manifest(&example("guestbook-perl.toml")).run();
    run.assert_status(0);
    assert_eq!(test_cases(&run), [("main".to_owned(), true)]);
    assert_whole_console(&run);
}

#[test]
fn a_failing_test_names_its_line_and_the_command_and_leaves_the_same_result() {
    if need_vm("guestbook").is_none() {
        return;
    }
    let script = fs::read_to_string(example("guestbook.py")).unwrap();
    let changed = script.replace("grep testpost", "grep nothing");
    assert_ne!(script, changed);
    // The picture comes before the failure here.
    let script = changed.replace("start_all()", "start_all()\nserver.screenshot(\"guestbook\")");
    let line = script.lines().position(|line| line.contains("grep nothing")).unwrap() + 1;
    let run = Setup::new(&crate::machine("guestbook"), &script).run();
    run.assert_status(1);
    run.assert_says(&[
        &format!("line {line}"),
        r#"server.succeed("curl --fail localhost | grep nothing")"#,
        "command `curl --fail localhost | grep nothing` failed (exit code 1)",
    ]);
    assert!(!run.said().contains("innkeeper/"), "frames of ours in the traceback:\n{}", run.said());
    assert_eq!(run.ended().outcome, Outcome::Failed);
    run.assert_kind(Some("command_failed"));
    let failed: Vec<_> =
        test_cases(&run).into_iter().filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
    assert!(failed.contains(&"the post is shown".to_owned()), "{failed:?}");
    assert!(run.out().join("guestbook.png").exists());
    assert_whole_console(&run);
}
