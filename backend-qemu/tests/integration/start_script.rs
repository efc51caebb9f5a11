//! Start scripts in the manner of NixOS, and others.

use std::time::{Duration, Instant};

use backend_qemu::Qemu;
use driver_core::{Boot, Deadline, DriverError, ExitReason, GuestPort, MachineSpec};

use crate::support::{Guest, Image, Place, boot, qemu, qemu_and_image, soon, within_limit};

fn script(place: &Place, command: impl Into<String>) -> MachineSpec {
    place.spec(Boot::StartScript { command: command.into() })
}

/// Writes what NixOS's `system.build.vm` would: a script that makes its disk and becomes QEMU.
fn run_web_vm(place: &Place, image: &Image) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let file = place.shared_dir().join("run-web-vm");
    let Image { kernel, initrd, cmdline, disk } = image;
    let (kernel, initrd, disk) = (kernel.display(), initrd.display(), disk.display());
    let text = format!(
        r#"#!/bin/sh
set -e
test "$USE_TMPDIR" = 1
cd "$TMPDIR"
test -e web.qcow2 || qemu-img create -q -f qcow2 -F raw -b {disk} web.qcow2
echo "starting $NIX_EFI_VARS"
exec qemu-system-x86_64 -name web -m 512 -smp 1 -machine type=q35,accel=tcg -cpu max \
  -device virtio-rng-pci -net nic,netdev=user.0,model=virtio -netdev user,id=user.0 \
  -virtfs local,path="$SHARED_DIR",security_model=none,mount_tag=shared \
  -drive cache=unsafe,file=web.qcow2,if=none,id=root -device virtio-blk-pci,drive=root \
  -kernel {kernel} -initrd {initrd} -append "{cmdline} $QEMU_KERNEL_PARAMS" $QEMU_OPTS "$@"
"#
    );
    std::fs::write(&file, text).expect("the script is written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).expect("and can be executed");
    file.display().to_string()
}

#[tokio::test]
async fn a_nixos_start_script_boots_and_says_what_it_does() {
    within_limit(async {
        let Some((backend, image)) = qemu_and_image().await else { return };
        let place = Place::new();
        let machine = place.launch(&backend, &script(&place, run_web_vm(&place, &image))).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        let variables = place.state_dir().join("web-efi-vars.fd");
        console.wait_for(&format!("starting {}", variables.display()), soon()).await;
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("ls /tmp/shared").await, "run-web-vm\n");
        let picture = place.shared_dir().join("screen.png");
        machine.screen().unwrap().capture(&picture, soon()).await.unwrap();
        shell.say("poweroff\n").await;
        let exit = machine.wait_exit(boot()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::GuestShutdown, "{exit:?}");
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_shell_that_stays_around_qemu_ends_with_it() {
    within_limit(async {
        let Some((backend, image)) = qemu_and_image().await else { return };
        // A command with a variable, another process, and something to do after QEMU.
        let place = Place::new();
        let command = format!(
            "export QEMU_OPTS='-uuid 01234567-89ab-cdef-0123-456789abcdef'; sleep 600 & trap 'echo over >&2' EXIT; {}",
            run_web_vm(&place, &image)
        );
        let machine = place.launch(&backend, &script(&place, command)).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        console.wait_for("Linux version", boot()).await;
        let uuid = machine.monitor().unwrap().command("info uuid", soon()).await.unwrap();
        assert!(uuid.contains("89ab-cdef"), "{uuid}");
        machine.destroy().await;
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::Destroyed);
        assert!(place.log.says("over"), "the script was not given time to clean up: {:?}", place.log);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn the_death_of_qemu_under_a_shell_is_told_as_what_it_was() {
    within_limit(async {
        let Some(backend) = qemu().await else { return };
        let place = Place::new();
        // A list of commands, of which the last gets the arguments: the shell cannot become QEMU.
        let command = "qemu() { qemu-system-x86_64 -nodefaults -pidfile pid \"$@\"; return $?; }; qemu";
        let machine = place.launch(&backend, &script(&place, command)).await.unwrap();
        let pid = std::fs::read_to_string(place.state_dir().join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::Signal { number: 9 }, "{exit:?}");
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_script_that_fails_is_quoted_at_once() {
    within_limit(async {
        let place = Place::new();
        let spec = script(&place, "echo 'no disk in this drive'; echo 'giving up' >&2; exit 1;");
        let started = Instant::now();
        let error = place.launch(&Qemu::new(), &spec).await.map(|_| ()).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let DriverError::Exited { exit, .. } = &error else { panic!("{error}") };
        assert_eq!(exit.reason, ExitReason::Status { code: 1 });
        let mut words = exit.last_words.clone();
        words.sort();
        assert_eq!(words, ["giving up", "no disk in this drive"]);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_script_that_never_becomes_qemu_is_ended_at_the_deadline() {
    within_limit(async {
        let place = Place::new();
        let spec = script(&place, "echo waiting for a licence; sleep 600 & sleep 600; true");
        let log = std::sync::Arc::clone(&place.log) as _;
        let backend = Qemu::new();
        let within = Deadline::after(Duration::from_millis(300));
        let error = driver_core::Backend::launch(&backend, &spec, log, within).await.map(|_| ()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("QEMU's connection to the driver did not happen within 300ms"), "{text}");
        assert!(text.contains("last seen: `waiting for a licence`"), "{text}");
        place.log.wait_until_released().await;
        place.assert_nothing_left();
    })
    .await;
}
