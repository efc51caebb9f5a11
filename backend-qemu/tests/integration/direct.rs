//! Machines that are described by kernel and disks.

use std::time::{Duration, Instant};

use driver_core::{ExitReason, GuestPort, parse_keys};

use crate::support::{Guest, Place, boot, qemu_and_image, soon, within_limit};

#[tokio::test]
async fn a_machine_serves_its_ports_and_facets_keeps_its_disk_and_tells_of_a_panic() {
    within_limit(async {
        let Some((backend, image)) = qemu_and_image().await else { return };
        let place = Place::new();
        let spec = place.spec(image.boot());
        let before = std::fs::metadata(&image.disk).unwrap().modified().unwrap();
        let machine = place.launch(&backend, &spec).await.unwrap();
        assert!(place.log.says("accelerator: "), "{:?}", place.log);

        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        console.wait_for("Linux version", boot()).await;
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("echo hello").await, "hello\n");
        shell.run("udevadm settle").await;
        assert_eq!(shell.run("ip link set eth0 up; cat /sys/class/net/eth0/carrier").await, "1\n");
        assert!(machine.connect(GuestPort::Shell, soon()).await.is_err(), "a port opens once");

        std::fs::write(place.shared_dir().join("note"), "from the host").unwrap();
        assert_eq!(shell.run("cat /tmp/shared/note").await, "from the host");

        let picture = place.shared_dir().join("screen.png");
        machine.screen().unwrap().capture(&picture, soon()).await.unwrap();
        assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG\r\n"));
        let status = machine.monitor().unwrap().command("info status", soon()).await.unwrap();
        assert!(status.contains("running"), "{status}");

        // The keyboard's driver is there once udev is done; the terminal of the display then gets a line.
        shell.say("systemctl stop getty@tty1; exec 3</dev/tty1; echo listening\n").await;
        shell.wait_for("listening\n", soon()).await;
        for keys in ["shift-a", "0x02", "ret"] {
            let (chord, hold) = (parse_keys(keys).unwrap(), Duration::from_millis(10));
            machine.keyboard().unwrap().press(&chord, hold, soon()).await.unwrap();
        }
        assert_eq!(shell.run("head -n 1 <&3").await, "A1\n");

        shell.run("echo kept > /root/note; sync").await;
        shell.say("echo c > /proc/sysrq-trigger\n").await;
        let panicked = Instant::now();
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::GuestPanic, "{exit:?}");
        assert!(panicked.elapsed() < Duration::from_secs(5), "{:?}", panicked.elapsed());
        place.assert_nothing_left();

        let machine = place.launch(&backend, &spec).await.unwrap();
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("cat /root/note").await, "kept\n");
        // The power button works once the guest has a driver for it and somebody who listens.
        shell.run("systemctl is-system-running --wait; udevadm settle").await;
        machine.request_shutdown(soon()).await.unwrap();
        let exit = machine.wait_exit(boot()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::GuestShutdown, "{exit:?}");
        place.assert_nothing_left();
        assert_eq!(
            std::fs::metadata(&image.disk).unwrap().modified().unwrap(),
            before,
            "the base was written"
        );
    })
    .await;
}
