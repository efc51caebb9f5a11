//! `innkeeper plugins check LIB`: a plugin is loaded and opened, and a backend put through the contract suite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use driver_core::contract::{self, Findings, Verdict};
use driver_core::{
    Backend, Boot, Capabilities, Deadline, DriverError, Guard, Image, Machine, MachineLog, MachineSpec,
};
use plugin_host::Plugin;
use serde_json::Value;

use super::list::describe;
use crate::args::CheckArgs;
use crate::{console, exit};

/// The memory of the machine, in MiB, if its image wants none in particular.
const MEMORY_MIB: u64 = 512;

/// Checks one plugin.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let plugin = Plugin::load(&args.plugin)?;
    let settings: Value = args
        .settings
        .as_deref()
        .map_or(Ok(Value::Null), serde_json::from_str)
        .context("the settings are no JSON")?;
    console::out(&describe(&plugin));
    let place = tempfile::Builder::new().prefix("innkeeper-check-").tempdir()?;
    if let Some(opened) = plugin.open_ocr(&settings) {
        drop(opened?);
        console::out("  the OCR engine opens and closes");
    }
    if let Some(opened) = plugin.open_reporter(&settings, place.path()) {
        drop(opened?);
        console::out("  the reporter opens and closes");
    }
    let Some(backend) = plugin.open_backend(&settings) else { return Ok(exit::PASSED) };
    let findings = check_backend(backend?, args, place.path())?;
    console::out(findings.to_string().trim_end());
    let is_broken = findings.rules.iter().any(|(_, verdict)| matches!(verdict, Verdict::Broken(_)));
    Ok(if is_broken { exit::FAILED } else { exit::PASSED })
}

fn check_backend(backend: Arc<dyn Backend>, args: &CheckArgs, place: &Path) -> anyhow::Result<Findings> {
    let image = match &args.image {
        Some(name) => {
            Image::named(name).map_err(|error| anyhow::anyhow!("{} ({})", error.problem, error.way_out))?
        }
        None => Image { boot: Boot::Firmware { disks: Vec::new() }, memory_mib: None },
    };
    let (state_dir, shared_dir) = (place.join("state"), place.join("shared"));
    for directory in [&state_dir, &shared_dir] {
        std::fs::create_dir(directory)?;
    }
    let memory_mib = image.memory_mib.unwrap_or(MEMORY_MIB);
    let spec = MachineSpec::new("check", image.boot, memory_mib, state_dir, shared_dir);
    // Whatever ends this program, nothing of the machines is left.
    let guard = Arc::new(Guard::start(place)?);
    let guarded = Guarded { backend, guard: Arc::clone(&guard) };
    let runtime = tokio::runtime::Runtime::new()?;
    let findings = runtime.block_on(contract::check(&guarded, &spec, args.boot));
    runtime.shutdown_timeout(Duration::from_secs(1));
    guard.finish();
    Ok(findings)
}

/// A backend whose process groups a guard is told of.
#[derive(Debug)]
struct Guarded {
    backend: Arc<dyn Backend>,
    guard: Arc<Guard>,
}

/// Tells both the log and the guard.
#[derive(Debug)]
struct GuardedLog {
    log: Arc<dyn MachineLog>,
    guard: Arc<Guard>,
}

#[async_trait]
impl Backend for Guarded {
    fn name(&self) -> &str {
        self.backend.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    async fn probe(&self) -> Result<(), DriverError> {
        self.backend.probe().await
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        self.backend.check(spec).await
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let log = Arc::new(GuardedLog { log, guard: Arc::clone(&self.guard) });
        self.backend.launch(spec, log, within).await
    }
}

impl MachineLog for GuardedLog {
    fn info(&self, text: &str) {
        console::out(&format!("  it says: {text}"));
        self.log.info(text);
    }

    fn warning(&self, text: &str) {
        console::out(&format!("  it warns: {text}"));
        self.log.warning(text);
    }

    fn guard_group(&self, pgid: u32) {
        self.guard.group(pgid);
        self.log.guard_group(pgid);
    }

    fn release_group(&self, pgid: u32) {
        self.log.release_group(pgid);
        self.guard.release(pgid);
    }

    fn guest_reset(&self) {
        self.log.guest_reset();
    }
}
