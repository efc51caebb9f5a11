//! The test plan: what a manifest and the flags come to, complete enough to run.

use std::path::PathBuf;
use std::time::Duration;

use driver_core::{Boot, DriverError, MachineConfig};

use crate::backends::Backends;
use crate::manifest::{Image, ImageRef, Machine, Manifest, Source};

/// The memory of a machine of which neither manifest nor image says any, in MiB.
const DEFAULT_MEMORY_MIB: u64 = 1024;

/// Everything that a run needs to know.
#[derive(Debug)]
pub(crate) struct TestPlan {
    /// The test's name.
    pub(crate) name: String,
    /// The test script.
    pub(crate) script: PathBuf,
    /// The time that the whole run may take.
    pub(crate) timeout: Duration,
    /// The machines as the manifest has them; [`TestPlan::machines`] makes them ready to run.
    pub(crate) wanted: Vec<Machine>,
}

impl TestPlan {
    /// The manifest's plan, with the flags' wishes instead of the manifest's where there are any.
    pub(crate) fn new(manifest: Manifest, script: Option<PathBuf>, timeout: Option<Duration>) -> Self {
        Self {
            name: manifest.name,
            script: script.unwrap_or(manifest.script),
            timeout: timeout.unwrap_or(manifest.timeout),
            wanted: manifest.machines,
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
    let (boot, memory_of_image) = match machine.source {
        Source::Boot(boot) => (boot, None),
        Source::Image(image) => find_image(&machine.name, &image)?,
    };
    Ok(MachineConfig {
        name: machine.name,
        backend: backends.get(machine.backend),
        boot,
        memory_mib: machine.memory_mib.or(memory_of_image).unwrap_or(DEFAULT_MEMORY_MIB),
        cores: machine.cores,
        shares: machine.shares,
        boot_timeout: machine.boot_timeout,
        allow_reboot: machine.allow_reboot,
        options: machine.options,
    })
}

fn find_image(machine: &str, image: &ImageRef) -> Result<(Boot, Option<u64>), DriverError> {
    let launch_error =
        |problem, way_out| DriverError::Launch { machine: machine.to_owned(), problem, way_out };
    let dir = image.locate().map_err(|missing| {
        let places: Vec<_> = missing.places.iter().map(|place| format!("`{}`", place.display())).collect();
        let problem = format!("there is no image `{}`; looked for {}", missing.image, places.join(" and "));
        launch_error(problem, missing.way_out)
    })?;
    let image = Image::read(&dir).map_err(|error| {
        launch_error(format!("the image in `{}` cannot be used: {error:#}", dir.display()), String::new())
    })?;
    Ok((image.boot, image.memory_mib))
}
