//! Machines that die while somebody needs them: the run ends at once, and says which and how.

use driver_core::event::{Event, Outcome, Record};
use integration_tests::{Run, Setup, need_vm};
use rustix::process::Signal;

use crate::{SOON, machine};

/// Starts a run whose script boots the machine and then runs `command` in it, and waits for that.
fn run_until(command: &str, arguments: &[&str]) -> Run {
    let script = format!("server.wait_for_unit(\"multi-user.target\")\nserver.succeed({command:?})\n");
    let run = Setup::new(&machine("base"), &script).args(arguments).start();
    run.wait_for(
        "the command's step",
        |record: &Record| matches!(&record.event, Event::ScopeStarted { text, .. } if text.contains(command)),
    );
    run
}

crate::both!(
    qemu_killed_in_the_middle_of_a_command,
    qemu_killed_in_the_middle_of_a_command_without_the_agent,
    kill_qemu
);

fn kill_qemu(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = run_until("sleep 600", arguments);
    run.signal_qemu(Signal::KILL);
    let run = run.finish_within(SOON);
    run.assert_status(3);
    run.assert_says(&["machine `server`", "killed by signal 9", "sleep 600"]);
    assert_eq!(run.ended().outcome, Outcome::MachineFailed);
    run.assert_kind(Some("hypervisor_died"));
}

crate::both!(
    a_kernel_panic_while_a_command_runs,
    a_kernel_panic_while_a_command_runs_without_the_agent,
    panic_kernel
);

fn panic_kernel(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = run_until("echo c > /proc/sysrq-trigger; sleep 600", arguments);
    run.wait_for(
        "the panic",
        |record: &Record| matches!(&record.event, Event::Console { line } if line.contains("Kernel panic")),
    );
    let run = run.finish_within(SOON);
    run.assert_status(3);
    run.assert_says(&["machine `server`", "panic"]);
    assert_eq!(run.ended().outcome, Outcome::MachineFailed);
    run.assert_kind(Some("guest_panic"));
}
