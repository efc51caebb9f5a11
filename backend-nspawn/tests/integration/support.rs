//! When the tests can run, and what a host must not have after them.

use std::fs;
use std::path::Path;

use backend_kit::testing::{Place, image, skip_or_fail};
use backend_nspawn::Nspawn;
use driver_core::{Backend as _, Boot, Disk, DiskFormat};
use tokio::sync::{Mutex, MutexGuard};

/// Set to 1 where containers must be there.
const REQUIRED: &str = "REQUIRE_CONTAINERS";

/// Held by the test that has containers: what one leaves must not be another's that is there yet.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The backend and a description that it can launch, or the reason to skip. No other test has containers meanwhile.
pub(crate) async fn backend_and_boot(place: &Place) -> Option<(MutexGuard<'static, ()>, Nspawn, Boot)> {
    let image = image()?;
    let (backend, boot) =
        (Nspawn, Boot::Firmware { disks: vec![Disk { path: image.disk, format: DiskFormat::Raw }] });
    let able = async {
        backend.probe().await?;
        backend.check(&place.spec(boot.clone())).await
    };
    match able.await {
        Ok(()) => Some((ALONE.lock().await, backend, boot)),
        Err(error) => skip_or_fail(REQUIRED, error.chain()),
    }
}

/// Fails if mounts, control groups or anything in the machine's place tells of a container that has ended.
pub(crate) fn assert_nothing_left(place: &Place) {
    place.assert_nothing_left();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    let state = place.state_dir();
    let state = state.to_str().expect("a path in UTF-8");
    assert!(!mounts.contains(state), "mounts are left: {mounts}");
    assert_eq!(groups(), [""; 0], "control groups are left");
}

/// The control groups of this process's containers.
pub(crate) fn groups() -> Vec<String> {
    let name = format!("innkeeper-{}-", std::process::id());
    let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let entries = trees.iter().filter_map(|tree| fs::read_dir(tree).ok()).flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|entry| entry.starts_with(&name)).collect()
}
