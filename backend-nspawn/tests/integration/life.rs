//! What containers do that the contract does not ask for: reboots, shares, ends of all kinds.

use std::fs;

use backend_kit::testing::{Guest, Place, boot, soon, within_limit};
use driver_core::{ExitReason, GuestPort, Share};

use crate::support::{assert_nothing_left, backend_and_boot};

#[tokio::test]
async fn a_container_reboots_shares_directories_and_leaves_nothing_when_it_is_killed() {
    within_limit(async {
        let place = Place::new();
        let Some((_alone, backend, way)) = backend_and_boot(&place).await else { return };
        let shared = tempfile::tempdir().unwrap();
        fs::write(shared.path().join("file"), "of the host").unwrap();
        let mut spec = place.spec(way);
        spec.allow_reboot = true;
        spec.shares = vec![Share { tag: "data".to_owned(), path: shared.path().to_owned() }];
        let machine = place.launch(&backend, &spec).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("cat /tmp/data/file; echo of the guest >/tmp/shared/file").await, "of the host");
        assert_eq!(fs::read_to_string(place.shared_dir().join("file")).unwrap(), "of the guest\n");
        // The journal is on the console, as it is on a machine's.
        shell.run("logger said by the guest").await;
        console.wait_for("said by the guest", soon()).await;

        let before = shell.run("cat /proc/sys/kernel/random/boot_id").await;
        shell.say("systemctl reboot\n").await;
        shell.wait_for("Spawning backdoor root shell...\n", boot()).await;
        assert!(place.log.says("the guest reboots"));
        assert_ne!(shell.run("cat /proc/sys/kernel/random/boot_id").await, before);
        assert!(shared.path().join("file").exists(), "what is shared outlives a boot");

        machine.destroy().await;
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::Destroyed);
        shell.wait_for_end(soon()).await;
        assert_nothing_left(&place);
    })
    .await;
}

#[tokio::test]
async fn a_reboot_that_is_not_allowed_and_a_root_that_cannot_boot_are_ends_with_a_reason() {
    within_limit(async {
        let place = Place::new();
        let Some((_alone, backend, way)) = backend_and_boot(&place).await else { return };
        let machine = place.launch(&backend, &place.spec(way.clone())).await.unwrap();
        let mut shell = Guest::shell(machine.as_ref()).await;
        shell.say("systemctl reboot\n").await;
        let exit = machine.wait_exit(boot()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::GuestReset);
        assert_nothing_left(&place);

        let place = Place::new();
        let empty = tempfile::tempdir().unwrap();
        let mut spec = place.spec(way);
        spec.boot = driver_core::Boot::Firmware {
            disks: vec![driver_core::Disk {
                path: empty.path().to_owned(),
                format: driver_core::DiskFormat::Raw,
            }],
        };
        let error = place.launch(&backend, &spec).await.unwrap_err().chain();
        assert!(error.contains("web") && error.contains("starting"), "{error}");
        assert!(place.log.says("doesn't look like an OS"), "{:?}", place.log.lines);
        assert_nothing_left(&place);
    })
    .await;
}
