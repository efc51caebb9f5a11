//! Kinds of failure that need no machine: each is named, and has its status.

use std::process::Command;

use crate::{Place, Said};

/// Runs a script without machines, and looks how the run fails.
fn assert_fails(name: &str, script: &str, args: &[&str], (status, kind): (i32, &str)) {
    let place =
        Place::with(&[("test.toml", &format!("name = \"test\"\nscript = {name:?}\n")), (name, script)]);
    let said = place.run(&[&["run", "test.toml"], args].concat());
    assert_eq!(said.status, Some(status), "{script}: {said:?}");
    assert!(said.stderr.contains(&format!("        Kind {kind}: ")), "{kind}: {script}: {said:?}");
}

#[test]
fn scripts_that_fail_in_python() {
    let fails = |script, expected| assert_fails("test.py", script, &[], expected);
    fails("assert 1 == 2, 'no'\n", (1, "assertion"));
    fails("1 / 0\n", (1, "script_error"));
    fails("server.succeed('true')\n", (1, "script_error"));
    fails("def broken(:\n", (1, "script_syntax"));
    fails("if True:\nprint()\n", (1, "script_syntax"));
    fails("import sys\nsys.exit(3)\n", (1, "script_ended"));
    fails("import os\nos.kill(os.getpid(), 9)\n", (1, "script_ended"));
    fails("raise RuntimeError('from the test')\n", (1, "script_error"));
}

#[test]
fn scripts_that_fail_in_perl() {
    let fails = |script, expected| assert_fails("test.pl", script, &[], expected);
    fails("die 'no';\n", (1, "assertion"));
    fails("nobody->calls();\n", (1, "script_error"));
    fails("if ( {\n", (1, "script_syntax"));
    fails("exit 3;\n", (1, "script_ended"));
}

#[test]
fn a_run_that_takes_too_long() {
    let script = "import time\ntime.sleep(600)\n";
    assert_fails("test.py", script, &["--timeout", "1"], (1, "timed_out"));
}

#[test]
fn a_run_that_a_signal_stops() {
    let script = "import os, signal\nos.kill(int(os.environ['DRIVER']), signal.SIGTERM)\nimport time\ntime.sleep(600)\n";
    let place = Place::with(&[("test.toml", "name = \"test\"\nscript = \"test.py\"\n"), ("test.py", script)]);
    // The shell's number becomes the program's.
    let command = "DRIVER=$$ exec \"$0\" run test.toml";
    let program = place.program();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).arg(program.get_program()).current_dir(place.path());
    let said = Said::of(shell.output().expect("a shell"));
    assert_eq!(said.status, Some(128 + 15), "{said:?}");
    assert!(said.stderr.contains("        Kind interrupted: somebody stopped the run"), "{said:?}");
}

#[test]
fn machines_that_cannot_be_launched() {
    for (machine, told) in [
        ("kernel = \"no-such-kernel\"\n", "no-such-kernel"),
        ("[[machines.server.disks]]\npath = \"no-such-disk.raw\"\n", "no-such-disk.raw"),
    ] {
        let manifest = format!("name = \"test\"\nscript = \"test.py\"\n[machines.server]\n{machine}");
        let place = Place::with(&[("test.toml", &manifest), ("test.py", "")]);
        let said = place.run(&["run", "test.toml"]);
        assert_eq!(said.status, Some(3), "{said:?}");
        assert!(
            said.stderr.contains("        Kind not_launched: ") && said.stderr.contains(told),
            "{said:?}"
        );
    }
}

#[test]
fn a_host_without_qemu() {
    let manifest = "name = \"test\"\nscript = \"test.py\"\n[machines.server]\nkernel = \"test.py\"\n\
                    [machines.server.qemu]\nbinary = \"no-such-qemu\"\n";
    let place = Place::with(&[("test.toml", manifest), ("test.py", "")]);
    let said = place.run(&["run", "test.toml"]);
    assert_eq!(said.status, Some(5), "{said:?}");
    assert!(said.stderr.contains("        Kind host_unfit: "), "{said:?}");
}

#[test]
fn a_job_on_github_gets_a_summary() {
    let place = Place::with(&[
        ("test.toml", "name = \"test\"\nscript = \"test.py\"\n"),
        ("test.py", "assert 1 == 2, 'no'\n"),
    ]);
    let summary = place.path().join("summary.md");
    place.program().args(["run", "test.toml"]).env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    let text = std::fs::read_to_string(summary).unwrap();
    assert!(text.starts_with("### ❌ test: failed, ") && text.contains("(`assertion`)"), "{text}");
}
