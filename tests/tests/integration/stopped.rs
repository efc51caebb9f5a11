//! Runs that are stopped from outside, and runs that take too long: everything they started is ended.

use std::process::Command;
use std::time::Duration;

use driver_core::event::{Event, MachineState, Outcome, Record};
use integration_tests::{Leaks, Setup, need_vm, program};
use rustix::process::Signal;

use crate::{SOON, machine};

/// A script that waits for its machine to boot, and then runs a command that takes long.
fn setup() -> Setup {
    Setup::new(
        &machine("base"),
        "server.wait_for_unit(\"multi-user.target\")\nserver.succeed(\"sleep 600\")\n",
    )
}

crate::both!(
    ctrl_c_in_the_middle_of_a_command,
    ctrl_c_in_the_middle_of_a_command_without_the_agent,
    interrupt_a_command
);

fn interrupt_a_command(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = setup().args(arguments).start();
    run.wait_for("the command's step", |record: &Record| {
        matches!(&record.event, Event::ScopeStarted { text, .. } if text.contains("sleep 600"))
    });
    run.signal(Signal::INT);
    let run = run.finish_within(SOON);
    run.assert_status(130);
    run.assert_says(&["Ctrl-C"]);
    assert!(!run.out().join("evidence").exists(), "a person waits");
    assert_eq!(run.ended().outcome, Outcome::Interrupted);
    run.assert_kind(Some("interrupted"));
}

#[test]
fn sigterm_while_a_machine_boots() {
    if need_vm("base").is_none() {
        return;
    }
    let run = setup().start();
    run.wait_for("a running machine", |record: &Record| {
        matches!(record.event, Event::MachineState { state: MachineState::Running })
    });
    run.signal(Signal::TERM);
    let run = run.finish_within(SOON);
    run.assert_status(143);
    run.assert_says(&["SIGTERM"]);
    assert!(run.out().join("evidence/server.screen.png").exists());
    assert_eq!(run.ended().exit_status, 143);
    run.assert_kind(Some("interrupted"));
}

#[test]
fn kill_9_leaves_no_qemu_and_a_result_that_can_be_reported() {
    if need_vm("base").is_none() {
        return;
    }
    let run = setup().start();
    run.wait_for("a line on the console", |record: &Record| matches!(record.event, Event::Console { .. }));
    let processes = Leaks::of(run.mark());
    run.signal(Signal::KILL);
    let left = processes.gone_within(Duration::from_secs(2));
    assert!(left.is_empty(), "{left:#?}");
    let run = run.finish_within(SOON);
    run.assert_status(137);
    let report = Command::new(program()).arg("report").arg(run.out()).output().unwrap();
    let said = String::from_utf8_lossy(&report.stdout);
    assert_eq!(report.status.code(), Some(3), "{report:?}");
    assert!(said.contains("cut off") && said.contains("Kind cut_off: "), "{said}");
    for view in ["junit.xml", "console/server.log"] {
        assert!(run.out().join(view).exists(), "{view}");
    }
}

#[test]
fn a_run_that_takes_too_long() {
    if need_vm("base").is_none() {
        return;
    }
    let run = setup().arg("--timeout=2s").start();
    let run = run.finish_within(SOON + Duration::from_secs(2));
    run.assert_status(1);
    run.assert_says(&["the test took longer than the 2s"]);
    assert_eq!(run.ended().outcome, Outcome::TimedOut);
    run.assert_kind(Some("timed_out"));
}
