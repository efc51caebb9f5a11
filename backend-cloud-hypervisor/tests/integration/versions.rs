//! Older and newer versions of the program, as altered recordings of the one that was tried: they are met with
//! tolerance, or with one clear sentence.

use std::time::Duration;

use driver_core::{DriverError, ExitReason, contract};

use crate::stand_in::{another, boot};
use crate::support::{Place, soon, within_limit};

#[tokio::test]
async fn what_a_newer_version_says_besides_is_passed_over() {
    within_limit(async {
        let place = Place::new();
        let backend = another(&place, "newer");
        let spec = place.spec(boot(&place));
        contract::check(&backend, &spec, Duration::from_secs(30)).await.assert_kept();
        let machine = place.launch(&backend, &spec).await.unwrap();
        machine.power().unwrap().reset(soon()).await.unwrap();
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::GuestReset);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn an_older_version_runs_machines_and_takes_no_snapshots() {
    within_limit(async {
        let place = Place::new();
        let backend = another(&place, "older");
        let spec = place.spec(boot(&place));
        contract::check(&backend, &spec, Duration::from_secs(30)).await.assert_kept();
        let machine = place.launch(&backend, &spec).await.unwrap();
        let dir = place.shared_dir().join("snapshot");
        std::fs::create_dir(&dir).unwrap();
        let error = machine.snapshots().unwrap().save(&dir, soon()).await.unwrap_err();
        assert!(matches!(error, DriverError::Host { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "backend `cloud-hypervisor`: Cloud Hypervisor 48 cannot freeze the disks of a machine (take version 54 or \
             newer, or backend = \"qemu\")"
        );
        machine.destroy().await;
        place.assert_nothing_left();
    })
    .await;
}
