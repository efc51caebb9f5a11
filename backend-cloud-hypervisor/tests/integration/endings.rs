//! Every way in which the program or its guest can end: with the right reason, soon, and with nothing left behind.
//!
//! The list is that of cloud-hypervisor.md, section 3.2.

use std::io::Write as _;
use std::time::{Duration, Instant};

use driver_core::{
    Backend as _, Boot, Deadline, Disk, DiskFormat, DriverError, ExitReason, GuestPort, Machine, MachineSpec,
};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Guest, Image, Place, boot, broken_kernel, program_and_image, signal, soon, within_limit,
};

/// How long after an event its machine's end may be known; also where all is slower.
const SOON: Duration = Duration::from_secs(5);

/// The image with its root shell for an init: the shortest way to a guest that can be told to end.
fn shell_only(image: &Image) -> Boot {
    let Boot::Kernel { kernel, initrd, cmdline, disks } = image.boot() else { panic!("no kernel") };
    let cmdline = format!("{cmdline} init=/usr/local/lib/innkeeper/backdoor");
    Boot::Kernel { kernel, initrd, cmdline, disks }
}

/// Fails if it took too long. Says how long it took also of a test that passes.
fn known_soon(what: &str, since: Instant) {
    let taken = since.elapsed();
    drop(writeln!(std::io::stderr(), "`{what}` was known after {taken:.2?}"));
    assert!(taken < SOON, "`{what}` was known after {taken:?}, not within {SOON:?}");
}

async fn ends(machine: &dyn Machine, since: Instant) -> ExitReason {
    let exit = machine.wait_exit(soon()).await.expect("it ends");
    known_soon(&exit.to_string(), since);
    exit.reason
}

/// Tells a guest to do something, and looks how its machine ends. The guest's way to the console's last line may take
/// its time.
async fn told_to(order: &str, last_line: &str, expected: ExitReason) {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &place.spec(shell_only(&image))).await.expect("a launch");
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        let mut shell = Guest::shell(machine.as_ref()).await;
        shell.say(&format!("{order}\n")).await;
        console.wait_for(last_line, soon()).await;
        let since = Instant::now();
        assert_eq!(ends(machine.as_ref(), since).await, expected, "after `{order}`");
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_power_off_is_one() {
    told_to("poweroff -ff", "reboot: Power down", ExitReason::GuestShutdown).await;
}

#[tokio::test]
async fn a_reboot_that_is_not_allowed_ends_the_machine() {
    told_to("reboot -ff", "reboot: Restarting system", ExitReason::GuestReset).await;
}

#[tokio::test]
async fn a_panic_ends_the_machine_whether_the_kernel_would_stay() {
    told_to(
        "sysctl -w kernel.panic=0 && echo c >/proc/sysrq-trigger",
        "Kernel panic - not syncing",
        ExitReason::GuestPanic,
    )
    .await;
}

#[tokio::test]
async fn a_panic_ends_the_machine_or_start_anew() {
    told_to(
        "sysctl -w kernel.panic=-1 && echo c >/proc/sysrq-trigger",
        "Kernel panic - not syncing",
        ExitReason::GuestPanic,
    )
    .await;
}

#[tokio::test]
async fn a_guest_that_may_reboot_does_and_one_that_halts_goes_on_until_it_is_ended() {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        let place = Place::new();
        let spec = MachineSpec { allow_reboot: true, ..place.spec(shell_only(&image)) };
        let machine = place.launch(&backend, &spec).await.unwrap();
        let mut shell = Guest::shell(machine.as_ref()).await;
        shell.say("reboot -ff\n").await;
        shell.wait_for("Spawning backdoor root shell...\n", boot()).await;
        assert!(place.log.says("the guest reboots"));
        shell.say("halt -ff\n").await;
        let error = machine.wait_exit(Deadline::after(Duration::from_secs(1))).await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
        machine.destroy().await;
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::Destroyed);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn what_is_done_to_the_program_is_told_apart() {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        for (sent, number) in [(Signal::TERM, 15), (Signal::KILL, 9)] {
            let place = Place::new();
            let machine = place.launch(&backend, &place.spec(image.boot())).await.unwrap();
            let since = Instant::now();
            signal(machine.as_ref(), sent);
            assert_eq!(ends(machine.as_ref(), since).await, ExitReason::Signal { number });
            let error = machine.request_shutdown(soon()).await.unwrap_err().to_string();
            assert!(error.contains("while trying to press the power button"), "{error}");
            place.assert_nothing_left();
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_whose_api_is_gone_is_ended_all_the_same() {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &place.spec(image.boot())).await.unwrap();
        signal(machine.as_ref(), Signal::STOP);
        let error = machine.request_shutdown(Deadline::after(Duration::from_secs(1))).await.unwrap_err();
        assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
        let since = Instant::now();
        machine.destroy().await;
        assert_eq!(ends(machine.as_ref(), since).await, ExitReason::Destroyed);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_started_is_told_with_the_programs_own_reasons() {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        let place = Place::new();
        let Boot::Kernel { initrd, cmdline, disks, .. } = image.boot() else { panic!("no kernel") };
        let kernel = broken_kernel(&place);
        let broken = place.spec(Boot::Kernel { kernel, initrd, cmdline, disks });
        let mut odd = place.spec(image.boot());
        odd.options = json!({ "config": { "memory": { "size": "much" } } });
        for spec in [broken, odd] {
            backend.check(&spec).await.unwrap();
            let since = Instant::now();
            let error = place.launch(&backend, &spec).await.unwrap_err();
            assert!(matches!(error, DriverError::Launch { .. }), "{error:?}");
            assert!(error.to_string().contains("Cloud Hypervisor does not want it: "), "{error}");
            known_soon(&error.to_string(), since);
            place.log.wait_until_released().await;
            place.assert_nothing_left();
        }
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_only_begins_as_one_is_named() {
    within_limit(async {
        let Some((backend, image)) = program_and_image().await else { return };
        let place = Place::new();
        let Boot::Kernel { kernel, initrd, cmdline, .. } = image.boot() else { panic!("no kernel") };
        let path = place.shared_dir().join("broken.qcow2");
        std::fs::write(&path, b"QFI\xfbthis is no disk").unwrap();
        let disks = vec![Disk { path: path.clone(), format: DiskFormat::Qcow2 }];
        let spec = place.spec(Boot::Kernel { kernel, initrd, cmdline, disks });
        backend.check(&spec).await.unwrap();
        let since = Instant::now();
        let error = place.launch(&backend, &spec).await.unwrap_err().to_string();
        assert!(error.contains(&format!("make an overlay of `{}`", path.display())), "{error}");
        known_soon(&error, since);
        place.assert_nothing_left();
    })
    .await;
}
