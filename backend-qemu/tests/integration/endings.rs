//! Machines that end, or never begin: each at once, with its reason, and with nothing left behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backend_qemu::Qemu;
use driver_core::{Backend as _, Boot, Deadline, Disk, DiskFormat, DriverError, ExitReason, GuestPort};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Guest, Place, qemu, soon, within_limit};

/// A machine without a disk, whose firmware finds nothing to boot: up in a moment.
fn empty() -> Boot {
    Boot::Firmware { disks: Vec::new() }
}

#[tokio::test]
async fn a_killed_qemu_is_noticed_at_once() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &place.spec(empty())).await.unwrap();
        let pid = Pid::from_raw(machine.process_id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let killed = Instant::now();
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::Signal { number: 9 });
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        let error = machine.request_shutdown(soon()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "machine `web`: the hypervisor was killed by signal 9 (SIGKILL) (while trying to press the power button)"
        );
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_a_machine_unless_it_may_reboot() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let mut spec = place.spec(empty());
        let machine = place.launch(&backend, &spec).await.unwrap();
        machine.power().unwrap().reset(soon()).await.unwrap();
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::GuestReset);

        spec.allow_reboot = true;
        let machine = place.launch(&backend, &spec).await.unwrap();
        machine.power().unwrap().reset(soon()).await.unwrap();
        let answer = machine.monitor().unwrap().command("info status", soon()).await.unwrap();
        assert!(answer.contains("running"), "{answer}");
        let error = machine.wait_exit(Deadline::after(Duration::ZERO)).await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
        machine.destroy().await;
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::Destroyed);
        assert!(place.log.says("the guest reboots"));
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn quit_on_the_monitor_is_answered_and_ends_the_machine() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &place.spec(empty())).await.unwrap();
        machine.monitor().unwrap().command("quit", soon()).await.unwrap();
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::Status { code: 0 });
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_dropped_machine_is_gone() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &place.spec(empty())).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        drop(machine);
        // The console ends with the last process that holds it.
        console.wait_for_end(soon()).await;
        place.log.wait_until_released().await;
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn qemus_own_complaint_is_its_last_word() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        let mut spec = place.spec(empty());
        spec.options = json!({"extra_args": ["-device", "flux-capacitor"]});
        let error = place.launch(&backend, &spec).await.unwrap_err();
        let DriverError::Exited { exit, .. } = &error else { panic!("{error}") };
        assert_eq!(exit.reason, ExitReason::Status { code: 1 });
        assert!(error.to_string().contains("'flux-capacitor' is not a valid device model name"), "{error}");
        assert!(place.log.says("flux-capacitor"));
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_missing_qemu_is_named_with_the_way_out() {
    let place = Place::new();
    let mut spec = place.spec(empty());
    spec.options = json!({"binary": "/nowhere/qemu-system-x86_64"});
    let backend = Qemu::new();
    for error in [
        backend.check(&spec).await.unwrap_err(),
        place.launch(&backend, &spec).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, DriverError::Host { .. }), "{error:?}");
        assert!(error.to_string().contains("apt install qemu-system-x86"), "{error}");
    }
    place.assert_nothing_left();
}

#[tokio::test]
async fn the_machines_own_program_is_asked_what_it_is_and_no_other() {
    let place = Place::new();
    let mut spec = place.spec(empty());
    let backend = Qemu::new();
    backend.probe().await.expect("no program is needed for that");
    spec.options = json!({"binary": "true"});
    let error = backend.check(&spec).await.unwrap_err().to_string();
    assert!(error.contains("/true` does not say which QEMU it is"), "{error}");
}

#[tokio::test]
async fn files_that_are_not_there_are_named_before_anything_starts() {
    let Some(backend) = qemu().await else { return };
    let place = Place::new();
    let kernel = place.state_dir().join("vmlinuz");
    std::fs::write(&kernel, "a kernel").unwrap();
    let gone = PathBuf::from("/nowhere/disk.ext4");
    let spec = place.spec(Boot::Kernel {
        kernel,
        initrd: None,
        cmdline: String::new(),
        disks: vec![Disk { path: gone, format: DiskFormat::Raw }],
    });
    let error = backend.check(&spec).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "machine `web`: its disk `/nowhere/disk.ext4` cannot be read: No such file or directory (os error 2)"
    );
}
