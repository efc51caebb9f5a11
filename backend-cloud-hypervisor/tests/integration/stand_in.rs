//! The backend without the program: a stand-in gives the answers and events that the real one gave.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backend_cloud_hypervisor::CloudHypervisor;
use driver_core::{Backend as _, Boot, Disk, DiskFormat, DriverError, ExitReason, GuestPort, contract};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Guest, Place, broken_kernel, signal, soon, within_limit};

pub(crate) fn backend() -> CloudHypervisor {
    CloudHypervisor::with_stand_in(stand_in())
}

fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in")
}

/// The same as another version, or on another host: what its names are, the stand-in tells.
pub(crate) fn another(place: &Place, name: &str) -> CloudHypervisor {
    let program = place.shared_dir().join(name);
    std::os::unix::fs::symlink(stand_in(), &program).expect("a link in a directory of ours");
    CloudHypervisor::with_stand_in(program)
}

/// What looks enough like a kernel and a disk to a program that boots neither.
pub(crate) fn boot(place: &Place) -> Boot {
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = place.shared_dir().join(name);
        std::fs::write(&path, content).expect("a file of ours");
        path
    };
    Boot::Kernel {
        kernel: file("vmlinuz", b"MZ"),
        initrd: None,
        cmdline: String::new(),
        disks: vec![Disk { path: file("disk", &[0; 4096]), format: DiskFormat::Raw }],
    }
}

#[tokio::test]
async fn the_backend_keeps_the_contract() {
    within_limit(async {
        let place = Place::new();
        let spec = place.spec(boot(&place));
        contract::check(&backend(), &spec, Duration::from_secs(30)).await.assert_kept();
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_signal_is_no_power_off() {
    within_limit(async {
        let place = Place::new();
        let machine = place.launch(&backend(), &place.spec(boot(&place))).await.unwrap();
        signal(machine.as_ref(), Signal::TERM);
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::Signal { number: 15 });
        place.assert_nothing_left();
    })
    .await;
}

/// The program says so on standard error alone: its events and its status are those of a power-off.
#[tokio::test]
async fn a_kvm_that_fails_is_no_power_off() {
    within_limit(async {
        let place = Place::new();
        let backend = another(&place, "bad-kvm");
        let machine = place.launch(&backend, &place.spec(boot(&place))).await.unwrap();
        machine.request_shutdown(soon()).await.unwrap();
        let exit = machine.wait_exit(soon()).await.unwrap();
        assert_eq!(exit.reason, ExitReason::Status { code: 0 });
        assert!(exit.last_words.iter().any(|line| line.contains("VCPU generated error")), "{exit:?}");
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_a_machine_unless_it_may_reboot() {
    within_limit(async {
        let place = Place::new();
        let mut spec = place.spec(boot(&place));
        let machine = place.launch(&backend(), &spec).await.unwrap();
        machine.power().unwrap().reset(soon()).await.unwrap();
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::GuestReset);
        spec.allow_reboot = true;
        let machine = place.launch(&backend(), &spec).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        console.wait_for("Linux version", soon()).await;
        machine.power().unwrap().reset(soon()).await.unwrap();
        console.wait_for("Linux version", soon()).await;
        machine.destroy().await;
        console.wait_for_end(soon()).await;
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::Destroyed);
        assert!(place.log.says("the guest reboots"));
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn what_the_program_refuses_is_told_with_its_reasons() {
    within_limit(async {
        let place = Place::new();
        let no_kernel = Boot::Kernel {
            kernel: broken_kernel(&place),
            initrd: None,
            cmdline: String::new(),
            disks: Vec::new(),
        };
        let error = place.launch(&backend(), &place.spec(no_kernel)).await.unwrap_err();
        assert!(matches!(error, DriverError::Launch { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "machine `web`: Cloud Hypervisor does not want it: Error from API: The VM could not boot: Cannot load the \
             kernel into memory: Kernel Loader: failed to load bzImage kernel image: Kernel Loader: Invalid bzImage: \
             Kernel Loader: Invalid bzImage"
        );
        place.log.wait_until_released().await;
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_machine_may_name_its_own_program_where_the_usual_one_is_missing() {
    let place = Place::new();
    let usual = CloudHypervisor::with_stand_in("/nowhere/cloud-hypervisor");
    let mut spec = place.spec(boot(&place));
    usual.probe().await.unwrap();
    let error = usual.check(&spec).await.unwrap_err().to_string();
    assert!(error.contains("`/nowhere/cloud-hypervisor`"), "{error}");
    spec.options = json!({ "binary": stand_in() });
    usual.check(&spec).await.unwrap();
    spec.options = json!({ "binary": "true" });
    let error = usual.check(&spec).await.unwrap_err().to_string();
    assert!(error.contains("does not say which Cloud Hypervisor it is"), "{error}");
}

#[tokio::test]
async fn a_directory_with_too_long_a_path_is_refused_at_once() {
    within_limit(async {
        let place = Place::new();
        let mut spec = place.spec(boot(&place));
        spec.state_dir = spec.state_dir.join("x".repeat(100));
        std::fs::create_dir(&spec.state_dir).unwrap();
        let error = place.launch(&backend(), &spec).await.unwrap_err().to_string();
        assert!(error.contains("at most 107 bytes") && error.contains("TMPDIR"), "{error}");
    })
    .await;
}
