//! QEMU, or the reason to skip a test.

pub(crate) use backend_kit::testing::{Guest, Image, Place, boot, soon, within_limit};
use backend_kit::testing::{image, skip_or_fail};
use backend_qemu::{Options, Qemu, qemu_version};

/// QEMU, or the reason to skip.
pub(crate) async fn qemu() -> Option<Qemu> {
    match qemu_version(&Options::default().binary).await {
        Ok(_) => Some(Qemu::new()),
        Err(error) => skip_or_fail("REQUIRE_VM", error),
    }
}

/// QEMU and the image `base`, or the reason to skip.
pub(crate) async fn qemu_and_image() -> Option<(Qemu, Image)> {
    Some((qemu().await?, image()?))
}
