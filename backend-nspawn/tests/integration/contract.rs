//! The rules that every backend keeps.

use backend_kit::testing::{Place, boot, within_limit};
use driver_core::contract;

use crate::support::{assert_nothing_left, backend_and_boot};

#[tokio::test]
async fn the_backend_keeps_the_contract() {
    within_limit(async {
        let place = Place::new();
        let Some((_alone, backend, way)) = backend_and_boot(&place).await else { return };
        let findings = contract::check(&backend, &place.spec(way), boot().limit()).await;
        findings.assert_kept();
        assert_nothing_left(&place);
    })
    .await;
}
