//! Failures that guests bring about, each told by its kind.

use integration_tests::{Setup, need_vm};

use crate::machine;

/// Boots a machine, runs `script` when it is up, and looks whether the run fails in this way.
fn assert_fails(manifest: &str, script: &str, status: i32, kind: &str) {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("server.wait_for_unit(\"multi-user.target\")\n{script}\n");
    let run = Setup::new(&format!("{manifest}{}", machine("base")), &script).run();
    run.assert_status(status);
    run.assert_kind(Some(kind));
}

#[test]
fn a_failed_unit_on_the_console_fails_the_test_if_the_manifest_says_so() {
    let script = r#"server.succeed("systemd-run --wait -u boom false || true")
server.wait_for_console_text("boom.service: Failed with result")"#;
    assert_fails("[console]\nfail = [\"unit-failed\"]\n", script, 1, "console");
}

#[test]
fn a_unit_that_fails_while_it_is_waited_for() {
    // A service of the simple kind would be active for a moment, and that is all that the wait wants.
    let script = r#"server.execute("systemd-run --no-block -p Type=oneshot -u boom sh -c 'sleep 1; false'")
server.wait_for_unit("boom.service")"#;
    assert_fails("", script, 1, "unit_failed");
}

#[test]
fn a_condition_that_never_comes_true() {
    assert_fails("", "server.wait_for_file(\"/never\", timeout=2)", 1, "condition_never_true");
}

#[test]
fn a_guest_that_powers_off_in_the_middle_of_a_command() {
    assert_fails("", "server.succeed(\"echo o > /proc/sysrq-trigger; sleep 600\")", 3, "guest_gone");
}

#[test]
fn a_guest_that_reboots_in_the_middle_of_a_command() {
    assert_fails("", "server.succeed(\"echo b > /proc/sysrq-trigger; sleep 600\")", 3, "guest_gone");
}

#[test]
fn a_shell_that_is_killed_while_its_guest_goes_on() {
    assert_fails("", "server.succeed(\"sleep 0.5; kill -9 $PPID; sleep 600\")", 3, "shell_lost");
}

#[test]
fn a_hypervisor_that_refuses_what_it_is_told() {
    // Without a display device there is nothing to take a picture of.
    if need_vm("base").is_none() {
        return;
    }
    let manifest = format!("{}[machines.server.qemu]\nvga = \"none\"\n", machine("base"));
    let run = Setup::new(&manifest, "server.start()\nserver.screenshot(\"x\")\n").run();
    run.assert_status(3);
    run.assert_kind(Some("hypervisor_error"));
}

#[test]
fn a_kernel_that_panics_in_its_boot() {
    let Some(image) = need_vm("base") else { return };
    let setup = Setup::new("[machines.server]\nimage = \"./rootless\"\n", "server.wait_for_unit(\"x\")\n");
    // Neither the initial RAM disk's program nor a disk to mount.
    image.with_cmdline(&setup.dir().join("rootless"), "rdinit=/no-such-init root=/dev/no-such-disk");
    let run = setup.run();
    run.assert_status(3);
    run.assert_kind(Some("guest_panic"));
    run.assert_says(&[
        "a guest's kernel panicked (server: it came as far as the kernel)",
        "Unable to mount root",
    ]);
}

#[test]
fn a_command_that_succeeds_and_should_not() {
    assert_fails("", "server.fail(\"true\")", 1, "command_failed");
}
