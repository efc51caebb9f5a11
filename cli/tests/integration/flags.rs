//! Flags, help, and files that are not there.

use crate::Place;

#[test]
fn help_teaches_by_example_and_names_the_statuses() {
    let help = Place::with(&[]).run(&["run", "--help"]);
    assert_eq!(help.status, Some(0));
    for text in ["innkeeper run guestbook.toml", "[machines.server]", "Exit status"] {
        assert!(help.stdout.contains(text), "{text:?} is missing in:\n{}", help.stdout);
    }
}

#[test]
fn version_is_told() {
    let said = Place::with(&[]).run(&["--version"]);
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (Some(0), concat!("innkeeper ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn wrong_usage_ends_with_status_2() {
    let place = Place::with(&[("test.toml", "name = \"test\"\nscript = \"test.sh\"\n")]);
    for (args, text) in [
        (&[][..], "Usage: innkeeper"),
        (&["run"], "TEST.toml"),
        (&["run", "absent.toml"], "the manifest `absent.toml` cannot be read"),
        (&["run", "test.toml", "--timeout", "soon"], "expected a time such as 90s"),
        (&["run", "test.toml"], "test.sh"),
        (&["run", "test.toml", "--script", "absent.py"], "absent.py"),
        (&["report", "absent"], "absent"),
        (&["needle", "absent.png", "--area", "0,0,1,1", "--name", "x"], "`absent.png` cannot be read"),
        (&["needle", "test.toml", "--area", "0,0,1,1", "--name", "x"], "`test.toml` is no screenshot"),
        (&["needle", "test.toml", "--area", "0,0,1", "--name", "x"], "expected four numbers"),
    ] {
        let said = place.run(args);
        assert_eq!(said.status, Some(2), "{args:?}: {said:?}");
        assert!(said.stderr.contains(text), "{args:?}: {said:?}");
    }
}
