//! Snapshots: memory and devices by the program, disks as copies of their overlays.
//!
//! The program cannot put a new overlay on a disk that is in use. But a guest that stands still writes nothing, and the
//! program has written all that it kept of the disks: so the overlays are copied (where the file system can, without
//! copying a byte), and copied back by a launch that begins from there. A chain of overlays grows by neither: the
//! program follows ten of them at most.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use backend_kit::disk;
use backend_kit::stopped::Stopped;
use driver_core::{Deadline, DriverError, Machine as _, MachineSpec, Snapshots};
use serde_json::{Value, json};
use tokio::fs;
use tokio::time::{sleep, timeout_at};

use crate::NAME;
use crate::control::{Control, ControlError};
use crate::machine::CloudHypervisorMachine;

/// The program's description of the machine.
const CONFIG: &str = "config.json";
/// The program's other files: devices and memory.
const STATE: [&str; 2] = ["state.json", "memory-ranges"];
/// The first release that writes all that it keeps of a disk when its machine is paused.
const FIRST_RELEASE: u32 = 54;
/// How long a guest may take to go on.
const GRACE: Duration = Duration::from_secs(10);
/// How soon to ask again whether all memory has been read.
const LOOK: Duration = Duration::from_millis(20);
/// What the program says while it still reads the memory of the last snapshot.
const STILL_READING: &str = "still in progress";

/// Has the disk at `index` begin as it is in the snapshot. What the machine has written to it since is given up.
pub(crate) async fn begin_from(
    snapshot: &Path,
    index: usize,
    spec: &MachineSpec,
    within: Deadline,
) -> Result<PathBuf, DriverError> {
    let (live, _) = disk::overlay_paths(index, &spec.state_dir);
    copy(&frozen(snapshot, index), &live, &spec.name, within).await?;
    Ok(live)
}

fn frozen(snapshot: &Path, index: usize) -> PathBuf {
    snapshot.join(format!("disk{index}.qcow2"))
}

/// Copies a file. What bears the final name is complete.
async fn copy(from: &Path, to: &Path, machine: &str, within: Deadline) -> Result<(), DriverError> {
    let unfinished = to.with_extension("unfinished");
    let copied = async {
        fs::copy(from, &unfinished).await?;
        fs::rename(&unfinished, to).await
    };
    let copied = timeout_at(within.instant(), copied).await.map_err(|_| DriverError::Timeout {
        machine: machine.to_owned(),
        awaited: format!("the copy of the disk `{}`", from.display()),
        limit: within.limit(),
        seen: None,
    })?;
    copied.map_err(|source| file_error("copy", from, source))
}

fn file_error(operation: &'static str, path: &Path, source: std::io::Error) -> DriverError {
    DriverError::File { operation, path: path.display().to_string(), source }
}

/// Fills the folder `place` with what the program is to begin from: a snapshot in which the machine is plugged in as
/// `config` says.
pub(crate) async fn prepare(snapshot: &Path, place: &Path, config: &Value) -> Result<(), DriverError> {
    let failed = |source| file_error("make the folder", place, source);
    fs::create_dir(place).await.map_err(failed)?;
    let saved = snapshot.join(CONFIG);
    let text = fs::read(&saved).await.map_err(|source| file_error("read", &saved, source))?;
    let mut described =
        serde_json::from_slice(&text).map_err(|error| file_error("read", &saved, error.into()))?;
    plug_in(&mut described, config);
    fs::write(place.join(CONFIG), described.to_string()).await.map_err(failed)?;
    for name in STATE {
        fs::symlink(snapshot.join(name), place.join(name)).await.map_err(failed)?;
    }
    Ok(())
}

/// Puts the paths of this launch into the description that was saved with a snapshot.
fn plug_in(saved: &mut Value, config: &Value) {
    if let Some(socket) = saved.pointer_mut("/serial/socket") {
        socket.clone_from(&config["serial"]["socket"]);
    }
    for (devices, key) in [("disks", "path"), ("net", "vhost_socket"), ("fs", "socket")] {
        let ours = config[devices].as_array().into_iter().flatten();
        let theirs = saved.get_mut(devices).and_then(Value::as_array_mut).into_iter().flatten();
        for (theirs, ours) in theirs.zip(ours) {
            theirs[key].clone_from(&ours[key]);
        }
    }
}

/// Has the program make a machine from a folder that was [`prepare`]d, and lets the guest go on.
pub(crate) async fn restore(
    control: &Control,
    place: &Path,
    serial: &Path,
    within: Deadline,
) -> Result<(), ControlError> {
    let restore = |mode| {
        let order = json!({ "source_url": url(place), "memory_restore_mode": mode });
        async move { control.put("vm.restore", Some(&order), within).await }
    };
    if let Err(ControlError::Refused { reasons, .. }) = restore("OnDemand").await {
        // Not every host lets everybody handle page faults. What is wrong otherwise is told again.
        tracing::debug!(reasons, "Cloud Hypervisor copies the memory");
        // What it made for the first try.
        drop(fs::remove_file(serial).await);
        restore("Copy").await?;
    }
    control.put("vm.resume", None, within).await
}

fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

#[async_trait]
impl Snapshots for CloudHypervisorMachine {
    async fn save(&self, dir: &Path, within: Deadline) -> Result<(), DriverError> {
        if let Some(release) = self.program().release().filter(|release| *release < FIRST_RELEASE) {
            return Err(DriverError::Host {
                backend: NAME.to_owned(),
                problem: format!("Cloud Hypervisor {release} cannot freeze the disks of a machine"),
                way_out: format!("take version {FIRST_RELEASE} or newer, or backend = \"qemu\""),
            });
        }
        let control = self.control().clone();
        // An order that is not answered in time is obeyed all the same, once the program has done what it does.
        let go_on = async move { control.put("vm.resume", None, Deadline::after(GRACE)).await };
        let stopped = Stopped::new(go_on);
        let saved = self.stop_and_save(dir, within).await;
        if saved.is_err() {
            for name in [CONFIG].iter().chain(&STATE) {
                drop(fs::remove_file(dir.join(name)).await);
            }
        }
        let gone_on = stopped.go_on().await;
        saved?;
        match gone_on {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failed(error, "let the guest go on").await),
        }
    }
}

impl CloudHypervisorMachine {
    async fn stop_and_save(&self, dir: &Path, within: Deadline) -> Result<(), DriverError> {
        self.order("vm.pause", None, "stop the guest", within).await?;
        for index in 0..self.disks() {
            let (live, _) = disk::overlay_paths(index, self.state_dir());
            copy(&live, &frozen(dir, index), self.name(), within).await?;
        }
        let order = json!({ "destination_url": url(dir) });
        loop {
            match self.control().put("vm.snapshot", Some(&order), within).await {
                Err(ControlError::Refused { reasons, .. })
                    if reasons.contains(STILL_READING) && !within.is_over() =>
                {
                    sleep(LOOK).await;
                }
                Err(error) => return Err(self.failed(error, "save the guest's memory").await),
                Ok(()) => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::plug_in;

    #[test]
    fn a_snapshot_is_plugged_in_where_its_machine_is_now_and_is_else_as_it_was() {
        let mut saved = json!({
            "cpus": { "boot_vcpus": 2 },
            "serial": { "mode": "Socket", "socket": "/then/serial.sock" },
            "disks": [{ "id": "_disk0", "path": "/then/disk0.qcow2", "newer": true }],
            "net": [{ "id": "_net1", "vhost_socket": "/then/u" }, { "id": "_net2", "vhost_socket": "/then/v" }],
        });
        plug_in(
            &mut saved,
            &json!({
                "cpus": { "boot_vcpus": 4 },
                "serial": { "mode": "Socket", "socket": "/now/serial.sock" },
                "disks": [{ "path": "/now/disk0.qcow2" }],
                "net": [{ "vhost_socket": "/now/u" }, { "vhost_socket": "/now/v" }],
            }),
        );
        assert_eq!(
            saved,
            json!({
                "cpus": { "boot_vcpus": 2 },
                "serial": { "mode": "Socket", "socket": "/now/serial.sock" },
                "disks": [{ "id": "_disk0", "path": "/now/disk0.qcow2", "newer": true }],
                "net": [{ "id": "_net1", "vhost_socket": "/now/u" }, { "id": "_net2", "vhost_socket": "/now/v" }],
            })
        );
    }
}
