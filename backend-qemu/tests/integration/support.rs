//! QEMU, or the reason to skip a test.

pub(crate) use backend_kit::testing::{Guest, Image, Place, boot, soon, within_limit};
use backend_kit::testing::{image, skip};
use backend_qemu::Qemu;
use driver_core::Backend as _;

/// QEMU, or the reason to skip.
pub(crate) async fn qemu() -> Option<Qemu> {
    let backend = Qemu::new();
    match backend.probe().await {
        Ok(()) => Some(backend),
        Err(error) => skip("REQUIRE_VM", &error.to_string()),
    }
}

/// QEMU and the image `base`, or the reason to skip.
pub(crate) async fn qemu_and_image() -> Option<(Qemu, Image)> {
    Some((qemu().await?, image()?))
}
