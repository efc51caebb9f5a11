//! A loaded library: what it says about itself, checked before anything of it is called.

use std::error::Error;
use std::fs::File;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_core::{Backend, Capabilities, OcrEngine, Reporter};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::{Object as _, ObjectSegment as _, ReadCache};
use plugin_abi::{
    ABI_MAJOR, ABI_MINOR, BackendTable, MAGIC, OcrTable, PluginHeader, ReporterTable, SYMBOL, Str,
};
use serde_json::Value;

use crate::backend::{Facets, PluginBackend};
use crate::error::PluginError;
use crate::gate::{Fault, Gate, Limits, SharedGate};
use crate::ocr::PluginOcr;
use crate::reporter::PluginReporter;
use crate::table::{self, Table};

/// The longest name and version that a plugin may have.
const NAME_LIMIT: usize = 64;

/// A loaded plugin.
#[derive(Debug)]
pub struct Plugin {
    file: PathBuf,
    name: String,
    version: String,
    abi: (u32, u32),
    backend: Option<(String, BackendTable, Facets)>,
    ocr: Option<(String, OcrTable)>,
    reporter: Option<(String, ReporterTable)>,
    gate: SharedGate,
}

impl Plugin {
    /// Loads a library, and checks what it exports. Nothing of it is called but what the system calls when it
    /// loads any library. It stays loaded.
    ///
    /// # Errors
    /// Every [`PluginError`] but [`PluginError::Refused`].
    pub fn load(file: &Path) -> Result<Self, PluginError> {
        Self::load_with(file, Limits::default())
    }

    /// As [`Plugin::load`], with a patience of the caller's choice.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn load_with(file: &Path, limits: Limits) -> Result<Self, PluginError> {
        let owned = || file.to_owned();
        let unreadable = |source| PluginError::Unreadable { file: owned(), source };
        // The absolute path, too: a bare name would be searched for among the system's libraries.
        let path = file.canonicalize().map_err(unreadable)?;
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(PluginError::NotAFile { file: owned() });
        }
        let not_a_library =
            |source: Box<dyn Error + Send + Sync>| PluginError::NotALibrary { file: owned(), source };
        is_whole(&path).map_err(not_a_library)?;
        // All symbols at once: one that is missing must fail here, and not end the program in the middle of a run.
        // SAFETY: what runs when a library is loaded is the choice of who has named it.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| not_a_library(Box::new(error)))?;
        // SAFETY: only the address is taken.
        let symbol = unsafe { library.get::<*const PluginHeader>(SYMBOL.as_bytes()) };
        let header = symbol.map(|symbol| *symbol).map_err(|_| PluginError::NotAPlugin {
            file: owned(),
            problem: "is a shared library that exports no `INNKEEPER_PLUGIN`",
        })?;
        // Its threads and its tables are there for as long as the program.
        std::mem::forget(library);
        Self::inspect(owned(), header, limits)
    }

    /// Reads the header in the order that keeps it from being taken for what it is not.
    fn inspect(file: PathBuf, header: *const PluginHeader, limits: Limits) -> Result<Self, PluginError> {
        let broken = |problem: String| PluginError::Broken { file: file.clone(), problem };
        if header.is_null() || !header.is_aligned() {
            return Err(broken("its header stands at no proper address".to_owned()));
        }
        // SAFETY: the symbol is there, and every plugin begins with these bytes.
        let magic: [u8; 8] = unsafe { field(header, offset_of!(PluginHeader, magic)) };
        if magic != MAGIC {
            let problem = "exports an `INNKEEPER_PLUGIN` that does not begin with the ABI's magic bytes";
            return Err(PluginError::NotAPlugin { file, problem });
        }
        // SAFETY: the two numbers follow in every version.
        let abi: [u32; 2] = unsafe { field(header, offset_of!(PluginHeader, abi_major)) };
        if abi[0] != ABI_MAJOR {
            return Err(other_major(file, abi[0]));
        }
        // SAFETY: of our major version, it has its size there.
        let size: usize = unsafe { field(header, offset_of!(PluginHeader, size)) };
        if size < size_of::<PluginHeader>() {
            return Err(broken(format!(
                "its header has {size} bytes, while the first version of this ABI has {}",
                size_of::<PluginHeader>()
            )));
        }
        // SAFETY: it is as long as it must be, and never written to.
        let header = unsafe { header.read() };
        // SAFETY: the plugin answers for its tables being where its header says; the same below.
        let backend = unsafe { offer(header.backend, |table| table.name) }.map_err(&broken)?;
        let facets = backend.as_ref().map(|(_, table)| Facets::read(table)).transpose().map_err(&broken)?;
        // SAFETY: as above.
        let ocr = unsafe { offer(header.ocr, |table| table.name) }.map_err(&broken)?;
        // SAFETY: as above.
        let reporter = unsafe { offer(header.reporter, |table| table.name) }.map_err(&broken)?;
        if backend.is_none() && ocr.is_none() && reporter.is_none() {
            return Err(broken("it offers nothing: no backend, no OCR engine, no reporter".to_owned()));
        }
        let name = read_name("name", header.name).map_err(&broken)?;
        let version = read_text("version", header.version).map_err(&broken)?;
        let backend = backend.zip(facets).map(|((name, table), facets)| (name, table, facets));
        let gate = Arc::new(Gate::new(file.display().to_string(), limits));
        Ok(Self { file, name, version, abi: (abi[0], abi[1]), backend, ocr, reporter, gate })
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What the plugin is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's own version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Major and minor version of the ABI that it was built for.
    #[must_use]
    pub fn abi(&self) -> (u32, u32) {
        self.abi
    }

    /// The name of the backend that it offers, and what that can do.
    #[must_use]
    pub fn backend(&self) -> Option<(&str, Capabilities)> {
        self.backend.as_ref().map(|(name, _, facets)| (name.as_str(), facets.capabilities()))
    }

    /// The name of the OCR engine that it offers.
    #[must_use]
    pub fn ocr(&self) -> Option<&str> {
        self.ocr.as_ref().map(|(name, _)| name.as_str())
    }

    /// The name of the reporter that it offers.
    #[must_use]
    pub fn reporter(&self) -> Option<&str> {
        self.reporter.as_ref().map(|(name, _)| name.as_str())
    }

    /// Makes the backend, if it offers one, with the plugin's settings.
    ///
    /// # Errors
    /// [`PluginError::Refused`] with what the plugin says.
    pub fn open_backend(&self, settings: &Value) -> Option<Result<Arc<dyn Backend>, PluginError>> {
        let (name, table, facets) = self.backend.as_ref()?;
        let opened = PluginBackend::open(name, *table, *facets, Arc::clone(&self.gate), settings);
        Some(
            opened.map(|backend| Arc::new(backend) as Arc<dyn Backend>).map_err(|fault| self.refused(&fault)),
        )
    }

    /// Makes the OCR engine, if it offers one, with the plugin's settings.
    ///
    /// # Errors
    /// [`PluginError::Refused`] with what the plugin says.
    pub fn open_ocr(&self, settings: &Value) -> Option<Result<Arc<dyn OcrEngine>, PluginError>> {
        let (name, table) = self.ocr.as_ref()?;
        let opened = PluginOcr::open(name, *table, Arc::clone(&self.gate), settings);
        Some(
            opened.map(|engine| Arc::new(engine) as Arc<dyn OcrEngine>).map_err(|fault| self.refused(&fault)),
        )
    }

    /// Makes the reporter for a run whose result goes to `directory`, if it offers one, with the plugin's settings.
    ///
    /// # Errors
    /// [`PluginError::Refused`] with what the plugin says.
    pub fn open_reporter(
        &self,
        settings: &Value,
        directory: &Path,
    ) -> Option<Result<Box<dyn Reporter>, PluginError>> {
        let (_, table) = self.reporter.as_ref()?;
        let file = self.file.display().to_string();
        let opened = PluginReporter::open(*table, file, Arc::clone(&self.gate), settings, directory);
        Some(
            opened
                .map(|reporter| Box::new(reporter) as Box<dyn Reporter>)
                .map_err(|fault| self.refused(&fault)),
        )
    }

    fn refused(&self, fault: &Fault) -> PluginError {
        let problem = match fault {
            Fault::Said { message, .. } => message.clone(),
            Fault::Aside { reason, .. } => format!("it {reason}"),
            Fault::Nonsense { problem, .. } => format!("it {problem}"),
        };
        PluginError::Refused { file: self.file.clone(), problem }
    }
}

/// Whether nothing of a library is missing at its end. The system maps one that was cut off as if it were whole, and
/// the first look at what is missing ends the program.
fn is_whole(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let content = ReadCache::new(file);
    let library = object::File::parse(&content)?;
    // The table of sections, which nobody needs for loading, stands behind everything else.
    let ends = library.segments().map(|segment| segment.file_range());
    let end = ends.map(|(start, size)| start.saturating_add(size)).max().unwrap_or(0);
    if end > length {
        return Err(format!("it has {length} bytes, and should have {end} at least").into());
    }
    Ok(())
}

/// Reads a field of a header that is not known to be whole.
///
/// # Safety
/// The header reaches beyond that field.
unsafe fn field<T>(header: *const PluginHeader, offset: usize) -> T {
    // SAFETY: the caller says so; in a `repr(C)` struct it is aligned.
    unsafe { header.wrapping_byte_add(offset).cast::<T>().read() }
}

/// Reads a table and its name.
///
/// # Safety
/// As for [`table::read`].
unsafe fn offer<T: Table>(table: *const T, name: fn(&T) -> Str) -> Result<Option<(String, T)>, String> {
    // SAFETY: the caller says so.
    let table = unsafe { table::read(table) }?;
    table.map(|table| Ok((read_name(&format!("{}'s name", T::WHAT), name(&table))?, table))).transpose()
}

fn other_major(file: PathBuf, theirs: u32) -> PluginError {
    let way_out = if theirs > ABI_MAJOR {
        format!("innkeeper is too old: update it, or rebuild the plugin with `plugin-abi` {ABI_MAJOR}.x")
    } else {
        format!("the plugin is too old: rebuild it with `plugin-abi` {ABI_MAJOR}.{ABI_MINOR}")
    };
    PluginError::OtherMajor { file, theirs, ours: ABI_MAJOR, way_out }
}

/// A name that people write in manifests.
fn read_name(what: &str, name: Str) -> Result<String, String> {
    let text = read_text(what, name)?;
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(text) } else { Err(format!("its {what} is {text:?}, not letters, digits, `-` and `_`")) }
}

fn read_text(what: &str, text: Str) -> Result<String, String> {
    if text.length > NAME_LIMIT {
        return Err(format!("its {what} has {} bytes, more than {NAME_LIMIT}", text.length));
    }
    // SAFETY: the plugin answers for its texts being there; they are part of the header or a table.
    let bytes = unsafe { text.bytes() };
    let text = str::from_utf8(bytes).map_err(|_| format!("its {what} is not UTF-8"))?;
    Ok(text.chars().filter(|c| !c.is_control()).collect())
}
