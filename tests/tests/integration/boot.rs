//! A machine that runs, but never gets as far as a shell.

use std::time::Duration;

use driver_core::event::{Event, MachineState, Outcome, Record};
use integration_tests::{Setup, need_vm};

use crate::SOON;

/// Long enough for a kernel to say its first line, on a busy host without KVM too.
const BOOT_TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn an_image_that_boots_no_shell_ends_at_its_deadline_and_tells_how_far_it_came() {
    let Some(image) = need_vm("base") else { return };
    let machines =
        format!("[machines.server]\nimage = \"./mute\"\nboot_timeout = {}\n", BOOT_TIMEOUT.as_secs());
    let setup = Setup::new(&machines, "server.succeed(\"true\")\n");
    image.with_cmdline(&setup.dir().join("mute"), "systemd.mask=backdoor.service");
    let run = setup.start();
    run.wait_for("a running machine", |record: &Record| {
        matches!(record.event, Event::MachineState { state: MachineState::Running })
    });
    let run = run.finish_within(BOOT_TIMEOUT + SOON);
    run.assert_status(3);
    run.assert_says(&["machine `server`", "30s", "the boot came as far as"]);
    assert_eq!(run.ended().outcome, Outcome::MachineFailed);
    run.assert_kind(Some("never_booted"));
    run.assert_says(&["a machine never booted (server: it "]);
}
