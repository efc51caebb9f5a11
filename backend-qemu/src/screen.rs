//! Pictures of the guest's display, by QMP's `screendump`.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use driver_core::{Deadline, DriverError, Screen};
use qapi_qmp::{ImageFormat, screendump};

use crate::machine::QemuMachine;

/// Numbers the files, as several captures may run at once.
static NEXT: AtomicU64 = AtomicU64::new(0);

#[async_trait]
impl Screen for QemuMachine {
    async fn capture(&self, file: &Path, within: Deadline) -> Result<(), DriverError> {
        self.dump(file, ImageFormat::png, within).await
    }

    /// As a PPM: packing a PNG takes longer than all else.
    async fn capture_quickly(&self, file: &Path, within: Deadline) -> Result<(), DriverError> {
        self.dump(file, ImageFormat::ppm, within).await
    }
}

impl QemuMachine {
    async fn dump(&self, file: &Path, format: ImageFormat, within: Deadline) -> Result<(), DriverError> {
        // QEMU writes where it may, and only a complete picture gets the name that was asked for.
        let name = format!("screen{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let written = Temporary(self.state_dir().join(name));
        let failed =
            |source| DriverError::File { operation: "write", path: file.display().to_string(), source };
        let Some(filename) = written.0.to_str().map(str::to_owned) else {
            return Err(failed(io::Error::other(
                "QMP cannot name the machine's directory, which is not UTF-8",
            )));
        };
        let command = screendump { device: None, format: Some(format), head: None, filename };
        self.execute(command, "capture the screen", within).await?;
        match tokio::fs::rename(&written.0, file).await {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                tokio::fs::copy(&written.0, file).await.map(|_| ())
            }
            result => result,
        }
        .map_err(failed)
    }
}

/// A file that does not outlive this.
struct Temporary(std::path::PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is not there when it was moved away, or never written.
        let _ = std::fs::remove_file(&self.0);
    }
}
