//! The rules that every backend keeps.

use driver_core::contract;

use crate::support::{Place, boot, qemu_and_image, within_limit};

#[tokio::test]
async fn the_backend_keeps_the_contract() {
    within_limit(async {
        let Some((backend, image)) = qemu_and_image().await else { return };
        let place = Place::new();
        let findings = contract::check(&backend, &place.spec(image.boot()), boot().limit()).await;
        findings.assert_kept();
        place.assert_nothing_left();
    })
    .await;
}
