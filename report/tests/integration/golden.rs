//! Golden files: for each event file in `tests/golden/`, every view as it should look.
//! `UPDATE_GOLDEN=1 cargo test -p report` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use report::{EVENTS, Verbosity, remake};

use crate::support::{records, show, text_of};

#[test]
fn a_failed_assertion() {
    check("failed", &["junit.xml", "log.txt", "console/server.log"]);
}

#[test]
fn a_dead_machine_and_a_killed_driver() {
    check("killed", &["junit.xml", "log.txt", "console/web.log", "console/a%2fb.log"]);
}

fn check(name: &str, files: &[&str]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let result = tempfile::tempdir().expect("a directory");
    fs::copy(golden.join(EVENTS), result.path().join(EVENTS)).expect("the recorded events");
    let (summary, unread) = remake(result.path()).expect("the views");
    for file in files {
        // Attachments are told by where they are.
        let place = result.path().canonicalize().expect("a path").display().to_string();
        compare(&golden.join(file), &text_of(result.path(), file).replace(&place, "/results"));
    }
    compare(&golden.join("remade.txt"), &(summary.render(false) + &unread.warnings().join("\n") + "\n"));

    let records = records(&text_of(&golden, EVENTS));
    let terminal = |colours, verbosity| {
        let (log, script) = show(&records, colours, verbosity);
        format!("{log}--- standard output ---\n{script}")
    };
    compare(&golden.join("terminal.txt"), &terminal(false, Verbosity::Normal));
    compare(&golden.join("terminal-colours.txt"), &terminal(true, Verbosity::Verbose));
    compare(&golden.join("terminal-quiet.txt"), &terminal(false, Verbosity::Quiet));
}

fn compare(golden: &PathBuf, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(golden.parent().expect("a folder")).expect("the folder");
        fs::write(golden, found).expect("the golden file");
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    assert!(
        expected == found,
        "{} differs (UPDATE_GOLDEN=1 accepts it)\n--- expected\n{expected}\n--- found\n{found}",
        golden.display()
    );
}
