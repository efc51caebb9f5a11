//! Snapshots: memory and devices by migration to a file, disks as overlays that are never written again.
//!
//! While the guest stands still, a fresh overlay is put on top of each disk's present one, so that what is frozen stays
//! as it is, however often it is begun from and whatever is saved afterwards. No file is renamed: QEMU opens a disk
//! anew, by its name, when it is no longer written to. The snapshot's directory has links to what is frozen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use driver_core::{Deadline, Disk, DiskFormat, DriverError, Machine as _, MachineSpec, Snapshots};
use qapi_qmp::{BlockdevSnapshotSync, NewImageMode, TransactionAction};
use tokio::fs;

use backend_kit::disk;
use backend_kit::stopped::Stopped;

use crate::control::{Control, ControlError};
use crate::machine::QemuMachine;
use crate::migration::{self, Progress};
use crate::programs;

/// The file of memory and devices.
const STATE: &str = "state";
/// How long a migration may take to be given up, and a guest to go on.
const GRACE: Duration = Duration::from_secs(10);

/// Has the disk at `index` begin as it is in the snapshot. What the machine has written to it since is given up.
pub(crate) async fn begin_from(
    snapshot: &Path,
    index: usize,
    spec: &MachineSpec,
    qemu_img: &Path,
) -> Result<(), DriverError> {
    let (live, _) = disk::overlay_paths(index, &spec.state_dir);
    disk::make_overlay(&frozen(snapshot, index), &live, qemu_img, &spec.name).await
}

fn frozen(snapshot: &Path, index: usize) -> Disk {
    Disk { path: snapshot.join(format!("disk{index}")), format: DiskFormat::Qcow2 }
}

#[async_trait]
impl Snapshots for QemuMachine {
    async fn save(&self, dir: &Path, within: Deadline) -> Result<(), DriverError> {
        self.execute(qapi_qmp::stop {}, "stop the guest", within).await?;
        let control = self.control().clone();
        let stopped = Stopped::new(async move { go_on(&control).await });
        let saved = self.save_stopped(dir, within).await;
        if saved.is_err() {
            // It is of no use, and may be large. The disks may be in use.
            drop(fs::remove_file(dir.join(STATE)).await);
        }
        saved.and(stopped.go_on().await.map_err(|source| self.failed("let the guest go on", source)))
    }
}

impl QemuMachine {
    async fn save_stopped(&self, dir: &Path, within: Deadline) -> Result<(), DriverError> {
        self.freeze_disks(dir, within).await?;
        let failed = |source| self.failed("save the guest's memory", source);
        migration::save(self.control(), &dir.join(STATE), within).await.map_err(failed)
    }

    /// Fills a machine that was started with `-incoming defer`, and lets it go on.
    pub(crate) async fn load(&self, snapshot: &Path, within: Deadline) -> Result<(), DriverError> {
        let loaded = migration::load(self.control(), &snapshot.join(STATE), within).await;
        match loaded {
            Ok(()) => self.execute(qapi_qmp::cont {}, "let the guest go on", within).await.map(drop),
            // Why QEMU is gone says more than that it is.
            Err(migration::Failure::Control(ControlError::Closed)) => {
                self.execute(qapi_qmp::query_status {}, "load the snapshot", within).await.map(drop)
            }
            Err(source) => Err(self.failed("load the snapshot", source)),
        }
    }

    fn failed(&self, operation: &str, source: migration::Failure) -> DriverError {
        let machine = self.name().to_owned();
        DriverError::Control { machine, operation: operation.to_owned(), source: Box::new(source) }
    }

    /// Puts fresh overlays on top of the present ones: on all disks, or on none.
    async fn freeze_disks(&self, dir: &Path, within: Deadline) -> Result<(), DriverError> {
        let mut made = Vec::new();
        let frozen = self.add_overlays(dir, &mut made, within).await;
        if frozen.is_err() {
            for overlay in made {
                // The last overlay is the one that the next launch writes to.
                if let Err(error) = fs::remove_file(&overlay).await {
                    tracing::error!(%error, overlay = %overlay.display(), "an overlay is in the way");
                }
            }
        }
        frozen
    }

    async fn add_overlays(
        &self,
        dir: &Path,
        made: &mut Vec<PathBuf>,
        within: Deadline,
    ) -> Result<(), DriverError> {
        if self.disks() == 0 {
            return Ok(());
        }
        let qemu_img = programs::find(self.img_binary())?;
        let mut actions = Vec::new();
        for index in 0..self.disks() {
            let (live, next) = disk::overlay_paths(index, self.state_dir());
            let frozen = frozen(dir, index);
            fs::symlink(&live, &frozen.path).await.map_err(|source| DriverError::File {
                operation: "make the link",
                path: frozen.path.display().to_string(),
                source,
            })?;
            disk::make_overlay(&frozen, &next, &qemu_img, self.name()).await?;
            actions.push(TransactionAction::from(BlockdevSnapshotSync {
                device: Some(format!("disk{index}")),
                format: Some("qcow2".to_owned()),
                mode: Some(NewImageMode::existing),
                node_name: None,
                snapshot_node_name: None,
                snapshot_file: utf8(&next)?,
            }));
            made.push(next);
        }
        let freeze = qapi_qmp::transaction { properties: None, actions };
        self.execute(freeze, "freeze the disks", within).await.map(drop)
    }
}

async fn go_on(control: &Control) -> Result<(), migration::Failure> {
    let within = Deadline::after(GRACE);
    if let Progress::UnderWay = migration::progress(control, within).await? {
        migration::give_up(control, within).await?;
    }
    control.execute(qapi_qmp::cont {}, within).await?;
    Ok(())
}

fn utf8(path: &Path) -> Result<String, DriverError> {
    path.to_str().map(str::to_owned).ok_or_else(|| DriverError::File {
        operation: "name to QEMU",
        path: path.display().to_string(),
        source: std::io::Error::other("it is not UTF-8"),
    })
}
