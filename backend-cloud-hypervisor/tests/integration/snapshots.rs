//! Snapshots as far as the stand-in goes: what is asked of the program, and what becomes of the disks.

use std::path::PathBuf;

use backend_cloud_hypervisor::CloudHypervisor;
use driver_core::{DriverError, Machine, MachineSpec};

use crate::stand_in::{another, backend, boot};
use crate::support::{Guest, Place, soon, within_limit};

/// The overlay that a machine here writes to.
fn live(place: &Place) -> PathBuf {
    place.state_dir().join("disk0.qcow2")
}

/// Takes a snapshot into a folder of its own.
async fn save(place: &Place, machine: &dyn Machine, name: &str) -> Result<PathBuf, DriverError> {
    let dir = place.shared_dir().join(name);
    std::fs::create_dir(&dir).expect("a new folder");
    machine.snapshots().expect("the facet is there").save(&dir, soon()).await.map(|()| dir)
}

async fn goes_on_from_its_snapshots(place: &Place, backend: &CloudHypervisor) {
    let spec = place.spec(boot(place));
    let machine = place.launch(backend, &spec).await.expect("a launch");
    // The stand-in does not look at its disks.
    std::fs::write(live(place), "as saved").expect("an overlay");
    let snapshot = save(place, machine.as_ref(), "snapshot").await.expect("a snapshot");
    let mut shell = Guest::shell(machine.as_ref()).await;
    assert_eq!(shell.run("echo $((6 * 7))").await, "42\n", "the guest goes on");
    machine.destroy().await;
    for _ in 0..2 {
        std::fs::write(live(place), "as left").expect("an overlay");
        let spec = MachineSpec { snapshot: Some(snapshot.clone()), ..spec.clone() };
        let machine = place.launch(backend, &spec).await.expect("a launch from the snapshot");
        assert_eq!(std::fs::read(live(place)).expect("an overlay"), b"as saved");
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("echo again").await, "again\n");
        let second = place.shared_dir().join("second");
        save(place, machine.as_ref(), "second").await.expect("a snapshot of a machine that was restored");
        std::fs::remove_dir_all(second).expect("a folder of ours");
        machine.destroy().await;
        place.assert_nothing_left();
    }
}

#[tokio::test]
async fn a_machine_goes_on_from_its_snapshots() {
    within_limit(async { goes_on_from_its_snapshots(&Place::new(), &backend()).await }).await;
}

#[tokio::test]
async fn memory_is_copied_where_page_faults_cannot_be_handled() {
    within_limit(async {
        let place = Place::new();
        goes_on_from_its_snapshots(&place, &another(&place, "no-userfaultfd")).await;
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_that_fails_leaves_nothing_and_the_guest_goes_on() {
    within_limit(async {
        let place = Place::new();
        let machine = place.launch(&backend(), &place.spec(boot(&place))).await.unwrap();
        std::fs::remove_file(live(&place)).unwrap();
        let error = save(&place, machine.as_ref(), "snapshot").await.unwrap_err();
        assert!(error.to_string().starts_with("failed to copy `"), "{error}");
        assert_eq!(std::fs::read_dir(place.shared_dir().join("snapshot")).unwrap().count(), 0);
        let mut shell = Guest::shell(machine.as_ref()).await;
        assert_eq!(shell.run("echo goes on").await, "goes on\n");
        machine.destroy().await;
        place.assert_nothing_left();
    })
    .await;
}
