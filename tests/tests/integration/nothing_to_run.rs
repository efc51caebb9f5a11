//! Machines that cannot even be started.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use driver_core::event::Outcome;
use integration_tests::{Finished, Setup, need_vm};

use crate::{SOON, machine};

const SCRIPT: &str = "start_all()\nserver.succeed(\"true\")\n";

fn ends_with_3(setup: Setup, says: &[&str]) -> Finished {
    ends_with(3, setup, says)
}

fn ends_with(status: i32, setup: Setup, says: &[&str]) -> Finished {
    let run = setup.start().finish_within(SOON);
    run.assert_status(status);
    run.assert_says(says);
    assert_eq!(run.ended().outcome, Outcome::MachineFailed);
    run
}

/// A machine with a start script of these lines.
fn started_by(lines: &str) -> Setup {
    let setup = Setup::new("[machines.server]\nstart_script = \"run-server-vm\"\n", SCRIPT);
    let start_script = setup.dir().join("run-server-vm");
    fs::write(&start_script, format!("#!/bin/sh\n{lines}\n")).expect("a start script");
    fs::set_permissions(&start_script, fs::Permissions::from_mode(0o755)).expect("its mode");
    setup
}

#[test]
fn a_start_script_that_exits_1_after_printing_a_line() {
    let setup = started_by("echo no disk for you\nexit 1");
    ends_with_3(setup, &["machine `server`", "exited with status 1", "no disk for you"]);
}

#[test]
fn a_start_script_that_finds_the_disk_full() {
    let run = ends_with(5, started_by("exec cat /dev/zero >/dev/full"), &["No space left on device"]);
    run.assert_kind(Some("host_exhausted"));
}

#[test]
fn a_qemu_that_gets_no_memory() {
    if need_vm("base").is_none() {
        return;
    }
    let qemu = "ulimit -v 1500000\nexec qemu-system-x86_64 -machine none -display none -m 8G -machine pc";
    let run = ends_with(5, started_by(qemu), &["annot allocate memory"]);
    run.assert_kind(Some("host_exhausted"));
}

#[test]
fn a_qemu_that_is_not_there() {
    let setup = Setup::new("[machines.server]\nkernel = \"vmlinuz\"\n", SCRIPT);
    fs::write(setup.dir().join("vmlinuz"), "").unwrap();
    // A host with a shell and its tools, but without QEMU.
    let path = setup.dir().join("bin");
    fs::create_dir(&path).unwrap();
    for program in ["rm", "sleep"] {
        symlink(Path::new("/bin").join(program), path.join(program)).unwrap();
    }
    let path = path.display().to_string();
    // Not the machine's fault, but the host's.
    ends_with(5, setup.env("PATH", &path), &["qemu-system-", "apt install qemu-system"]);
}

#[test]
fn an_image_that_is_not_there() {
    let setup = Setup::new(&machine("no-such-image"), SCRIPT);
    let run = ends_with_3(setup, &["machine `server`", "no-such-image", "cargo xtask guests no-such-image"]);
    assert!(run.out().join("junit.xml").exists());
}

#[test]
fn a_kernel_that_is_not_there() {
    let setup = Setup::new("[machines.server]\nkernel = \"no-such-kernel\"\n", SCRIPT);
    ends_with_3(setup, &["machine `server`", "no-such-kernel"]);
}
