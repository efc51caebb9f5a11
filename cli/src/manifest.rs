//! The manifest: a TOML file that names a test's script and machines (docs/manifest.md).
//!
//! Reading it looks at nothing but its text and the plugins that it names, which bring words of their own;
//! whether other files are there is [`crate::plan`]'s business.

mod console;
mod fields;
mod machine;
mod problem;
mod reader;
mod values;
mod vlan;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use driver_core::event::ConsoleRules;
use driver_core::{EvidencePolicy, VlanConfig};

pub(crate) use fields::fields_of;
pub(crate) use machine::{ImageRef, Machine, Source};
pub(crate) use problem::FileError;
pub(crate) use values::{PluginRef, parse_duration};

pub(crate) use reader::{Section, read_file};

use crate::backends::Backends;
use crate::engines;
use crate::plugins::Plugins;

/// The time that a test may take when its manifest does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A manifest as it was written, with paths made relative to the working directory.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The test's name; fit for a directory's.
    pub(crate) name: String,
    /// The test script.
    pub(crate) script: PathBuf,
    /// The time that the whole run may take.
    pub(crate) timeout: Duration,
    /// What the consoles may show.
    pub(crate) console: ConsoleRules,
    /// The machines, sorted by name.
    pub(crate) machines: Vec<Machine>,
    /// What is said of VLANs, besides which machines are on them.
    pub(crate) vlans: Vec<VlanConfig>,
    /// The name of the OCR engine; one that is built in, or that a plugin offers.
    pub(crate) ocr: Option<String>,
    /// The directory of the needles.
    pub(crate) needles: Option<PathBuf>,
    /// What is gathered after a failure.
    pub(crate) evidence: EvidencePolicy,
    /// Whether what screens show is kept.
    pub(crate) video: bool,
}

impl Manifest {
    /// Reads the manifest at `path`, and loads the plugins that it names. `usual` is the backend of machines that
    /// name none.
    pub(crate) fn read(path: &Path, plugins: &mut Plugins, usual: Option<&str>) -> anyhow::Result<Self> {
        let source = std::fs::read_to_string(path)
            .with_context(|| format!("the manifest `{}` cannot be read", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut unknown = None;
        let read = read_file(path, &source, "the manifest", |section| {
            Self::from_section(section, folder, plugins, usual, &mut unknown)
        });
        match unknown {
            Some(unknown) => Err(unknown),
            None => Ok(read?),
        }
    }

    fn from_section(
        section: &mut Section<'_, '_>,
        folder: &Path,
        plugins: &mut Plugins,
        usual: Option<&str>,
        unknown: &mut Option<anyhow::Error>,
    ) -> Option<Self> {
        let name = section.required::<String>("name");
        if let Some(name) = &name
            && !is_file_name(name.get_ref())
        {
            section.problems().add(
                name.span(),
                format!("{:?} cannot be a test's name", name.get_ref()),
                "a result directory bears it: no `/`, no `.` in front, no control characters",
            );
        }
        let script = section.required::<PathBuf>("script");
        let timeout = section.optional("timeout").unwrap_or(DEFAULT_TIMEOUT);
        let evidence = section.optional("evidence").unwrap_or_default();
        let video = section.optional("video").unwrap_or_default();
        let loaded = plugins.read(section, folder);
        let ocr = section.located::<String>("ocr");
        if let Some(word) = &ocr
            && loaded.is_some()
            && let Err(problem) = engines::find(plugins, word.get_ref())
        {
            section.problems().add(word.span(), "this OCR engine is not there", problem);
        }
        let needles = section.optional::<PathBuf>("needles").map(|dir| folder.join(dir));
        let console = console::read(section);
        let mut backends = Backends::new(plugins);
        if let Some(usual) = usual {
            match backends.with_usual(usual) {
                Ok(with_usual) => backends = with_usual,
                // No fault of the manifest's. Where its plugins could not be loaded, one of them may have it, and
                // why they could not says more.
                Err(error) if loaded.is_some() => *unknown = Some(error),
                Err(_) => {}
            }
        }
        let machines = machine::read_all(section, folder, &backends);
        let vlans = vlan::read_all(section);
        Some(Self {
            name: name?.into_inner(),
            script: folder.join(script?.into_inner()),
            timeout,
            console,
            machines: machines?,
            vlans,
            ocr: ocr.map(toml::Spanned::into_inner),
            needles,
            evidence,
            video,
        })
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c.is_control())
}
