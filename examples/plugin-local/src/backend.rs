//! The backend: what this host allows, and whether a description can be launched.

use std::path::Path;
use std::sync::Arc;

use plugin_sdk::driver_core::{
    Backend, Boot, Capabilities, Deadline, DriverError, Machine, MachineLog, MachineSpec,
};
use plugin_sdk::{Value, async_trait};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::machine::LocalMachine;
use crate::options::Options;
use crate::process::{NAMESPACES, World};

/// What a machine does first in namespaces of its own, tried without one.
const TRIAL: &str = "mount -t tmpfs innkeeper /run && hostname trial && ip link set lo up";

/// Launches process trees.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Why the host allows no namespaces, if it does not.
    refusal: OnceCell<Option<String>>,
}

impl Local {
    /// Makes the backend; it has no settings but those of its machines.
    pub(crate) fn open(settings: Value) -> Result<Self, String> {
        match settings {
            Value::Null => Ok(Self::default()),
            other => Err(format!("`local` has no settings of its own, and was given {other}")),
        }
    }

    /// Whether the host allows namespaces, tried once.
    async fn refusal(&self) -> Option<String> {
        let refusal = self.refusal.get_or_init(|| async {
            let tried = Command::new("unshare").args(NAMESPACES).args(["bash", "-c", TRIAL]).output().await;
            match tried {
                Ok(output) if output.status.success() => None,
                Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
                Err(error) => Some(format!("`unshare` cannot be started: {error}")),
            }
        });
        refusal.await.clone()
    }

    async fn world(&self, spec: &MachineSpec, log: &dyn MachineLog) -> Result<World, DriverError> {
        let wanted = Options::of(spec)?.namespaces;
        match (wanted, self.refusal().await) {
            (Some(false), _) => Ok(World::Host),
            (_, None) => Ok(World::Own),
            (None, Some(reason)) => {
                log.warning(&format!(
                    "this host gives the machine no namespaces of its own ({reason}): its processes are plain ones \
                     of the host, with your rights"
                ));
                Ok(World::Host)
            }
            (Some(true), Some(reason)) => Err(DriverError::Launch {
                machine: spec.name.clone(),
                problem: format!("this host gives it no namespaces of its own: {reason}"),
                way_out: "allow unprivileged user namespaces, or leave `namespaces` out".to_owned(),
            }),
        }
    }
}

#[async_trait]
impl Backend for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn probe(&self) -> Result<(), DriverError> {
        let tried = Command::new("bash").args(["-c", "exit"]).output().await;
        tried.map(drop).map_err(|error| DriverError::Host {
            backend: self.name().to_owned(),
            problem: format!("`bash` cannot be started: {error}"),
            way_out: "install bash".to_owned(),
        })
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        Options::of(spec)?;
        let refused = |problem, way_out: &str| DriverError::Launch {
            machine: spec.name.clone(),
            problem,
            way_out: way_out.to_owned(),
        };
        let mut files: Vec<(&str, &Path)> =
            spec.boot.disks().iter().map(|disk| ("disk", disk.path.as_path())).collect();
        match &spec.boot {
            Boot::Kernel { kernel, initrd, .. } => {
                files.push(("kernel", kernel));
                files.extend(initrd.as_ref().map(|initrd| ("initrd", initrd.as_path())));
            }
            Boot::StartScript { .. } => {
                let problem = "a start script brings its own hypervisor".to_owned();
                return Err(refused(problem, "leave `backend` out, or the start script"));
            }
            Boot::Firmware { .. } => {}
        }
        if let Some(share) = spec.shares.first() {
            let problem = format!("it shares the directory `{}`", share.path.display());
            return Err(refused(problem, "leave out `shares`: it can read the host's files where they are"));
        }
        // Nothing of it is booted; but what would be wrong elsewhere is no better here.
        match files.into_iter().find(|(_, path)| !path.exists()) {
            None => Ok(()),
            Some((what, path)) => {
                Err(refused(format!("its {what} `{}` is not there", path.display()), "correct the path"))
            }
        }
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        _within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let world = self.world(spec, log.as_ref()).await?;
        let launched = LocalMachine::launch(spec, world, log);
        let machine = launched.map_err(|error| DriverError::Control {
            machine: spec.name.clone(),
            operation: "start its processes".to_owned(),
            source: Box::new(error),
        })?;
        Ok(Arc::new(machine))
    }
}
