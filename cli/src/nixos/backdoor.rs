//! The SSH backdoor (compat.md 3.7): one `vhost-device-vsock` for all machines, through which OpenSSH on this host
//! reaches each guest without a network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use driver_core::event::Level;
use driver_core::{Deadline, Driver, DriverError};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::plan::Vm;

/// The program that carries what is said between the guests' vsock and this host's sockets.
const PROGRAM: &str = "vhost-device-vsock";
/// How long it may take to listen, and how often that is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// The first address of a guest's; those below have meanings.
const FIRST_CID: u32 = 3;

/// What is needed to reach the machines of a test.
#[derive(Debug)]
pub(super) struct Backdoor {
    program: PathBuf,
    entries: Vec<Entry>,
}

/// One machine's.
#[derive(Debug)]
struct Entry {
    name: String,
    cid: u32,
    /// Where QEMU finds the device.
    guest: PathBuf,
    /// Where whoever is on this host finds the guest.
    host: PathBuf,
}

impl Backdoor {
    /// For these machines, whose directories are below `base`.
    ///
    /// # Errors
    /// [`DriverError::Host`] without the program.
    pub(super) fn new(vms: &[Vm], base: &Path) -> Result<Self, DriverError> {
        let way_out = || "its package has the same name; the test goes on without".to_owned();
        let program = backend_kit::programs::find("the SSH backdoor", Path::new(PROGRAM), way_out)?;
        let entry = |(vm, cid): (&Vm, u32)| {
            let dir = base.join(format!("vm-state-{}", vm.name));
            let (guest, host) = (dir.join("vsock-guest.socket"), dir.join("vsock-host.socket"));
            Entry { name: vm.name.clone(), cid, guest, host }
        };
        Ok(Self { program, entries: vms.iter().zip(FIRST_CID..).map(entry).collect() })
    }

    /// What QEMU needs to be told for a machine.
    pub(super) fn arguments(&self, machine: &str) -> Vec<String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == machine) else { return Vec::new() };
        let path = entry.guest.display().to_string().replace(',', ",,");
        vec![
            "-chardev".to_owned(),
            format!("socket,id=vsock_ssh,path={path}"),
            "-device".to_owned(),
            "vhost-user-vsock-pci,chardev=vsock_ssh".to_owned(),
        ]
    }

    /// The lines that say how to reach each machine.
    pub(super) fn told(&self) -> Vec<String> {
        let width = self.entries.iter().map(|entry| entry.name.len() + 1).max().unwrap_or_default();
        let mut told = vec![
            "SSH backdoor enabled, the machines can be accessed like this:".to_owned(),
            "Note: this requires systemd-ssh-proxy(1) to be enabled (default on NixOS 25.05 and newer)."
                .to_owned(),
        ];
        told.extend(self.entries.iter().map(|entry| {
            format!(
                "    {:<width$} ssh -o User=root vsock-mux/{}",
                format!("{}:", entry.name),
                entry.host.display()
            )
        }));
        told
    }

    /// What the client is told of it.
    pub(super) fn describe(&self) -> Value {
        let sockets: serde_json::Map<String, Value> = self
            .entries
            .iter()
            .map(|entry| {
                let (host, guest) = (entry.host.display().to_string(), entry.guest.display().to_string());
                (entry.name.clone(), json!({ "host": host, "guest": guest, "cid": entry.cid }))
            })
            .collect();
        json!({ "sockets": sockets, "told": self.told() })
    }

    /// Starts the program, and returns when QEMU can connect with it. It lives as long as what is returned, and no
    /// longer than the run.
    ///
    /// # Errors
    /// [`DriverError::File`] when it does not start, or does not listen in time.
    pub(super) async fn start(&self, driver: &Driver) -> Result<Child, DriverError> {
        driver.journal().step(None, "start vhost-device-vsock", None, self.try_to_start(driver)).await
    }

    async fn try_to_start(&self, driver: &Driver) -> Result<Child, DriverError> {
        let failed = |source| DriverError::File {
            operation: "start",
            path: self.program.display().to_string(),
            source,
        };
        let mut command = Command::new(&self.program);
        for Entry { cid, guest, host, .. } in &self.entries {
            // Those of an earlier run, whose machines' directories were kept.
            for stale in [guest, host] {
                let _ = std::fs::remove_file(stale);
            }
            let mut word = OsString::from(format!("guest-cid={cid},socket="));
            word.push(guest);
            word.push(",uds-path=");
            word.push(host);
            command.arg("--vm").arg(word);
        }
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(pid) = child.id() {
            driver.guard().group(pid);
        }
        let limit = Deadline::after(PATIENCE);
        while !self.entries.iter().all(|entry| entry.guest.exists()) {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Err(failed(std::io::Error::other(format!("it ended at once, with {status}"))));
            }
            if limit.is_over() {
                let problem = format!("it does not listen after {PATIENCE:?}");
                return Err(failed(std::io::Error::other(problem)));
            }
            sleep(PAUSE).await;
        }
        driver.journal().log(
            Level::Info,
            None,
            format!("vhost-device-vsock running (pid {})", child.id().unwrap_or(0)),
        );
        Ok(child)
    }
}
