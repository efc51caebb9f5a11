//! Cloud Hypervisor, or the reason to skip a test.

use std::path::PathBuf;

use backend_cloud_hypervisor::{CloudHypervisor, NAME, PROGRAM_VARIABLE, version};
pub(crate) use backend_kit::testing::{Guest, Image, Place, boot, soon, within_limit};
use backend_kit::testing::{image, skip_or_fail};
use driver_core::{Backend as _, Machine};
use rustix::process::{Pid, Signal, kill_process};

/// Set by `cargo xtask test-cloud-hypervisor`: a test that cannot run fails.
const REQUIRED_BY: &str = "REQUIRE_CLOUD_HYPERVISOR";

/// The program and the image `base`, or the reason to skip.
pub(crate) async fn program_and_image() -> Option<(CloudHypervisor, Image)> {
    let backend = CloudHypervisor::new();
    let found = match version(&program()).await {
        Ok(_) => backend.probe().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(()) => Some((backend, image()?)),
        Err(error) => skip_or_fail(
            REQUIRED_BY,
            format!("{error} (`cargo xtask test-cloud-hypervisor`, with {PROGRAM_VARIABLE})"),
        ),
    }
}

fn program() -> PathBuf {
    std::env::var_os(PROGRAM_VARIABLE).unwrap_or_else(|| NAME.into()).into()
}

/// Sends a signal to the program of a machine.
pub(crate) fn signal(machine: &dyn Machine, signal: Signal) {
    let pid = machine.process_id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    kill_process(pid.expect("the machine has a process"), signal).expect("it runs");
}

/// A file that is no kernel.
pub(crate) fn broken_kernel(place: &Place) -> PathBuf {
    let path = place.state_dir().join("vmlinuz");
    std::fs::write(&path, "this boots nothing").expect("a file in a directory of ours");
    path
}
