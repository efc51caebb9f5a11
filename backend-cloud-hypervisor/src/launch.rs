//! The backend: checks descriptions, and launches machines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use backend_kit::{Kvm, KvmVerdict, disk};
use driver_core::{Backend, Boot, Capabilities, Deadline, DriverError, Machine, MachineLog, MachineSpec};

use crate::config::Options;
use crate::start::{Launch, Start};
use crate::{NAME, description, programs, shares, snapshots};

/// The backend for Cloud Hypervisor.
#[derive(Debug)]
pub struct CloudHypervisor {
    /// The program of machines that name none.
    program: PathBuf,
    kvm: Kvm,
}

impl Default for CloudHypervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl CloudHypervisor {
    /// A backend that has not looked at the host yet.
    #[must_use]
    pub fn new() -> Self {
        Self { program: programs::usual(), kvm: Kvm::default() }
    }

    /// A backend for a program that stands in for the real one and needs no KVM. For tests.
    #[must_use]
    pub fn with_stand_in(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kvm: Kvm::known(KvmVerdict::Usable.into()) }
    }

    fn program_of<'a>(&'a self, options: &'a Options) -> &'a Path {
        options.binary.as_deref().unwrap_or(&self.program)
    }

    /// There is no way without KVM.
    async fn need_kvm(&self) -> Result<(), DriverError> {
        let found = self.kvm.probe().await;
        if found.is_usable() {
            return Ok(());
        }
        let or = if found.way_out().is_empty() { String::new() } else { format!("{}, or ", found.way_out()) };
        Err(DriverError::Host {
            backend: NAME.to_owned(),
            problem: format!("it needs KVM, and {found}"),
            way_out: format!("{or}take backend = \"qemu\", which can do without"),
        })
    }
}

#[async_trait]
impl Backend for CloudHypervisor {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { power: true, snapshots: true, nics: true, ..Capabilities::default() }
    }

    /// The programs are each machine's own affair: [`Backend::check`].
    async fn probe(&self) -> Result<(), DriverError> {
        self.need_kvm().await
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let options = Options::parse(&spec.options, &spec.name)?;
        let cannot = |problem: String, way_out: &str| DriverError::Launch {
            machine: spec.name.clone(),
            problem,
            way_out: way_out.to_owned(),
        };
        match &spec.boot {
            Boot::StartScript { .. } => {
                let problem = "it has a start script, and those start QEMU".to_owned();
                return Err(cannot(problem, "take backend = \"qemu\", or describe it by kernel and disks"));
            }
            Boot::Kernel { .. } => {}
            Boot::Firmware { .. } => match &options.firmware {
                Some(firmware) => {
                    let unusable = |problem| disk::unusable(&spec.name, "firmware", firmware, problem);
                    disk::check_readable(firmware).map(drop).map_err(unusable)?;
                }
                None => {
                    let problem = "it boots from its disk, and has no firmware that could do that".to_owned();
                    return Err(cannot(
                        problem,
                        "set `firmware` in its table `cloud-hypervisor`: rust-hypervisor-firmware, or OVMF built for it",
                    ));
                }
            },
        }
        disk::check_boot(&spec.boot, &spec.name)?;
        disk::check_shares(&spec.shares, &spec.name)?;
        if !shares::of(spec, &options).is_empty() {
            programs::find_virtiofsd(options.virtiofsd.as_deref())?;
        }
        programs::version(self.program_of(&options)).await?;
        if !spec.boot.disks().is_empty() {
            programs::find_img(options.img_binary.as_deref())?;
        }
        Ok(())
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        self.need_kvm().await?;
        let options = Options::parse(&spec.options, &spec.name)?;
        let program = programs::find(self.program_of(&options))?;
        let mut overlays = Vec::new();
        if !spec.boot.disks().is_empty() {
            let qemu_img = programs::find_img(options.img_binary.as_deref())?;
            for (index, disk) in spec.boot.disks().iter().enumerate() {
                overlays.push(match &spec.snapshot {
                    Some(snapshot) => snapshots::begin_from(snapshot, index, spec, within).await?,
                    None => disk::overlay(disk, index, &spec.state_dir, &qemu_img, &spec.name).await?,
                });
            }
        }
        let stays = programs::can_stay(&program).await;
        let start =
            Start::new(&spec.state_dir, &program, stays, &log).map_err(|error| DriverError::Launch {
                machine: spec.name.clone(),
                problem: format!("`{}` cannot be started: {error}", program.display()),
                way_out: String::new(),
            })?;
        start.share(spec, &options, &log)?;
        let config = description::describe(spec, &options, &overlays, start.files());
        if let Some(snapshot) = &spec.snapshot {
            snapshots::prepare(snapshot, &start.files().snapshot(), &config).await?;
        }
        let launch = Launch { spec, stays, start, log };
        Ok(Arc::new(launch.finish(&config, within).await?))
    }
}
