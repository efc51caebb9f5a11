//! The test plan: what a manifest and the flags come to, complete enough to run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driver_core::event::ConsoleRules;
use driver_core::{
    Backend, Boot, Capabilities, Deadline, DriverError, EvidencePolicy, Image, ImageError, MachineConfig,
    VlanConfig,
};

use crate::args::RunArgs;
use crate::backends::Opened;
use crate::manifest::{ImageRef, Machine, Manifest, Source};

/// Everything that a run needs to know.
#[derive(Debug)]
pub(crate) struct TestPlan {
    /// The test's name.
    pub(crate) name: String,
    /// The test script.
    pub(crate) script: PathBuf,
    /// The time that the whole run may take.
    pub(crate) timeout: Duration,
    /// What the consoles may show.
    pub(crate) console: ConsoleRules,
    /// The machines as the manifest has them; [`machines`] makes them ready to run.
    pub(crate) wanted: Vec<Machine>,
    /// What there is to say of VLANs, besides which machines are on them.
    pub(crate) vlans: Vec<VlanConfig>,
    /// Where the randomness of networks starts; `None` takes a new seed.
    pub(crate) seed: Option<u64>,
    /// The agent for the guests; without it the plain shell serves.
    pub(crate) agent: Option<&'static [u8]>,
    /// How long a child of a command may hold its output; `None` waits for ever.
    pub(crate) grace: Option<Duration>,
    /// The name of the OCR engine.
    pub(crate) ocr: String,
    /// The directory of the needles.
    pub(crate) needles: Option<PathBuf>,
    /// What is gathered after a failure.
    pub(crate) evidence: EvidencePolicy,
    /// Whether what screens show is kept.
    pub(crate) video: bool,
    /// Whether the machines of a failed test stay up for a while.
    pub(crate) pauses: bool,
}

impl TestPlan {
    /// The manifest's plan, with the flags' wishes instead of the manifest's where there are any.
    pub(crate) fn new(mut manifest: Manifest, args: &RunArgs) -> Self {
        let mut vlans = manifest.vlans;
        if args.capture {
            capture_all(&mut vlans, &manifest.machines);
        }
        if args.vnc {
            manifest.machines.iter_mut().filter(|machine| machine.backend == "qemu").for_each(offer_screen);
        }
        // Nobody types by the clock.
        let usual = if args.interactive { Deadline::far().limit() } else { manifest.timeout };
        Self {
            name: manifest.name,
            script: args.script.clone().unwrap_or(manifest.script),
            timeout: args.timeout.unwrap_or(usual),
            console: manifest.console,
            wanted: manifest.machines,
            vlans,
            seed: args.seed,
            agent: if args.no_agent { None } else { agent_binary::AGENT },
            grace: Some(args.output_grace).filter(|grace| !grace.is_zero()),
            ocr: args.ocr.clone().or(manifest.ocr).unwrap_or_else(|| ocr::DEFAULT.to_owned()),
            needles: manifest.needles,
            evidence: args.evidence.unwrap_or(manifest.evidence),
            video: args.video || manifest.video,
            pauses: args.pause_on_failure,
        }
    }

    /// The first thing that a machine needs, as its manifest says, and that its backend lacks.
    pub(crate) fn unmet(&self, backends: &Opened, choice: &[(String, Capabilities)]) -> Option<DriverError> {
        self.wanted.iter().find_map(|machine| {
            let can = backends.get(&machine.backend)?.capabilities();
            let facet = *machine.needs.iter().find(|facet| !can.has(**facet))?;
            let having = choice.iter().filter(|(_, can)| can.has(facet));
            Some(DriverError::LacksFacet {
                backend: machine.backend.clone(),
                facet,
                needed_by: format!("machine `{}`", machine.name),
                having: having.map(|(name, _)| name.clone()).collect(),
            })
        })
    }
}

/// Machines with their images found.
///
/// # Errors
/// [`DriverError::Launch`] for an image that is not there or cannot be understood.
pub(crate) fn machines(wanted: Vec<Machine>, backends: &Opened) -> Result<Vec<MachineConfig>, DriverError> {
    let config = |machine: Machine| {
        let backend = backends
            .get(&machine.backend)
            .ok_or_else(|| DriverError::usage(format!("there is no backend `{}`", machine.backend)))?;
        machine_config(machine, Arc::clone(backend))
    };
    wanted.into_iter().map(config).collect()
}

/// Has a machine of QEMU's offer its screen to viewers.
fn offer_screen(machine: &mut Machine) {
    if machine.options.is_null() {
        machine.options = serde_json::json!({});
    }
    machine.options["vnc"] = true.into();
}

/// Has everything recorded that passes on any VLAN.
fn capture_all(vlans: &mut Vec<VlanConfig>, machines: &[Machine]) {
    for &number in machines.iter().flat_map(|machine| &machine.vlans) {
        if vlans.iter().all(|vlan| vlan.number != number) {
            vlans.push(VlanConfig::new(number));
        }
    }
    for vlan in vlans {
        vlan.capture = true;
    }
}

fn machine_config(machine: Machine, backend: Arc<dyn Backend>) -> Result<MachineConfig, DriverError> {
    let without_memory = |boot| Image { boot, memory_mib: None };
    let mut image = match machine.source {
        Source::Boot(boot) => without_memory(boot),
        Source::StartScript(script) => without_memory(start_script(&machine.name, &script)?),
        Source::Image(image) => find_image(&machine.name, &image)?,
    };
    image.memory_mib = machine.memory_mib.or(image.memory_mib);
    Ok(MachineConfig {
        cores: machine.cores,
        shares: machine.shares,
        vlans: machine.vlans,
        boot_timeout: machine.boot_timeout,
        allow_reboot: machine.allow_reboot,
        options: machine.options,
        ..MachineConfig::new(machine.name, backend, image)
    })
}

/// The command that runs a start script. What would keep it from running is told before anything starts.
fn start_script(machine: &str, script: &Path) -> Result<Boot, DriverError> {
    let launch_error = |problem, way_out: &str| DriverError::Launch {
        machine: machine.to_owned(),
        problem,
        way_out: way_out.to_owned(),
    };
    let shown = script.display();
    let unreadable = |error| launch_error(format!("its start script `{shown}` cannot be read: {error}"), "");
    let metadata = std::fs::metadata(script).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(launch_error(
            format!("its start script `{shown}` is not a file"),
            "the script is the file `bin/run-NAME-vm` in what Nix has built",
        ));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(launch_error(
            format!("its start script `{shown}` may not be executed"),
            &format!("`chmod +x {shown}` makes it a program"),
        ));
    }
    // The hypervisor runs in a directory of its own, by way of a shell.
    let absolute = std::path::absolute(script).map_err(unreadable)?;
    let command = format!("'{}'", absolute.display().to_string().replace('\'', r"'\''"));
    Ok(Boot::StartScript { command })
}

fn find_image(machine: &str, image: &ImageRef) -> Result<Image, DriverError> {
    let found = match image {
        ImageRef::Name(name) => Image::named(name),
        ImageRef::Path(dir) => Image::read(dir),
    };
    found.map_err(|ImageError { problem, way_out }| DriverError::Launch {
        machine: machine.to_owned(),
        problem,
        way_out,
    })
}
