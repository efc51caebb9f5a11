//! The test plan: what a manifest and the flags come to, complete enough to run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driver_core::event::ConsoleRules;
use driver_core::{Boot, DriverError, Image, ImageError, MachineConfig};

use crate::args::RunArgs;
use crate::backends::Backends;
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
    /// The machines as the manifest has them; [`TestPlan::machines`] makes them ready to run.
    pub(crate) wanted: Vec<Machine>,
    /// The agent for the guests; without it the plain shell serves.
    pub(crate) agent: Option<&'static [u8]>,
    /// How long a child of a command may hold its output; `None` waits for ever.
    pub(crate) grace: Option<Duration>,
}

impl TestPlan {
    /// The manifest's plan, with the flags' wishes instead of the manifest's where there are any.
    pub(crate) fn new(manifest: Manifest, args: &RunArgs) -> Self {
        Self {
            name: manifest.name,
            script: args.script.clone().unwrap_or(manifest.script),
            timeout: args.timeout.unwrap_or(manifest.timeout),
            console: manifest.console,
            wanted: manifest.machines,
            agent: if args.no_agent { None } else { agent_binary::AGENT },
            grace: Some(args.output_grace).filter(|grace| !grace.is_zero()),
        }
    }

    /// What a user should know although the run goes on.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let plugged: Vec<_> = self
            .wanted
            .iter()
            .filter(|machine| !machine.vlans.is_empty())
            .map(|machine| &*machine.name)
            .collect();
        if plugged.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "VLANs are not built yet: the `vlans` of {} are ignored, and the machines cannot reach each other",
            plugged.join(", ")
        )]
    }

    /// The machines with their images found.
    ///
    /// # Errors
    /// [`DriverError::Launch`] for an image that is not there or cannot be understood.
    pub(crate) fn machines(self) -> Result<Vec<MachineConfig>, DriverError> {
        let backends = Backends::default();
        self.wanted.into_iter().map(|machine| machine_config(machine, &backends)).collect()
    }
}

fn machine_config(machine: Machine, backends: &Backends) -> Result<MachineConfig, DriverError> {
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
        boot_timeout: machine.boot_timeout,
        allow_reboot: machine.allow_reboot,
        options: machine.options,
        ..MachineConfig::new(machine.name, backends.get(machine.backend), image)
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
