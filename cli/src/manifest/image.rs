//! Images: directories with an `image.toml` that says how to boot what lies beside it.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use driver_core::Boot;

use super::machine::read_disks;
use super::reader::{Section, read_file};
use super::values::Mebibytes;

/// The file that makes a directory an image.
const DESCRIPTION: &str = "image.toml";

/// Which image a manifest means.
#[derive(Debug)]
pub(crate) enum ImageRef {
    /// The name of an image that `cargo xtask guests` built.
    Name(String),
    /// A directory.
    Path(PathBuf),
}

impl ImageRef {
    /// A word without a slash is a name, anything else a path relative to `folder`.
    pub(super) fn new(word: &str, folder: &Path) -> Self {
        if word.contains('/') || word.is_empty() || word == "." || word == ".." {
            Self::Path(folder.join(word))
        } else {
            Self::Name(word.to_owned())
        }
    }

    /// Finds the image.
    pub(crate) fn locate(&self) -> Result<PathBuf, NoImage> {
        let places = match self {
            Self::Name(name) => image_dirs().into_iter().map(|dir| dir.join(name)).collect(),
            Self::Path(path) => vec![path.clone()],
        };
        let found = places.iter().find(|place| place.join(DESCRIPTION).is_file()).cloned();
        found.ok_or_else(|| NoImage { image: self.to_string(), places, way_out: self.way_out() })
    }

    fn way_out(&self) -> String {
        match self {
            Self::Name(name) => {
                let mut built: Vec<_> = image_dirs().iter().flat_map(|dir| images_in(dir)).collect();
                built.sort();
                built.dedup();
                let built: Vec<_> = built.into_iter().map(|image| format!("`{image}`")).collect();
                let built = match built.as_slice() {
                    [] => String::new(),
                    built => format!("there are {}; ", built.join(", ")),
                };
                format!(
                    "{built}build it with `cargo xtask guests {name}` in innkeeper's source tree, \
                     or write the path of a directory with an {DESCRIPTION}, such as `./{name}`"
                )
            }
            Self::Path(_) => format!("an image is a directory with an {DESCRIPTION}"),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// An image that is not there.
#[derive(Debug)]
pub(crate) struct NoImage {
    pub(crate) image: String,
    pub(crate) places: Vec<PathBuf>,
    pub(crate) way_out: String,
}

/// An image that is there.
#[derive(Debug)]
pub(crate) struct Image {
    /// How to boot it.
    pub(crate) boot: Boot,
    /// The memory that it wants, in MiB, if it says.
    pub(crate) memory_mib: Option<u64>,
}

impl Image {
    /// Reads the description of the image in `dir`.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(DESCRIPTION);
        let source = std::fs::read_to_string(&path)?;
        let read = |section: &mut Section<'_, '_>| {
            let kernel = section.optional::<PathBuf>("kernel");
            let initrd = section.optional::<PathBuf>("initrd");
            let cmdline = section.optional::<String>("cmdline").unwrap_or_default();
            let memory_mib = section.optional::<Mebibytes>("memory").map(|memory| memory.0);
            let disks = read_disks(section, dir);
            let boot = match kernel {
                Some(kernel) => Boot::Kernel {
                    kernel: dir.join(kernel),
                    initrd: initrd.map(|initrd| dir.join(initrd)),
                    cmdline,
                    disks,
                },
                None => Boot::Firmware { disks },
            };
            Some(Self { boot, memory_mib })
        };
        Ok(read_file(&path, &source, "the image's description", read)?)
    }
}

/// Where images are looked for, in order: the directories of `INNKEEPER_IMAGES`, then the cache.
pub(crate) fn image_dirs() -> Vec<PathBuf> {
    let own = env::var_os("INNKEEPER_IMAGES").unwrap_or_default();
    let own = env::split_paths(&own).filter(|dir| !dir.as_os_str().is_empty()).collect::<Vec<_>>();
    own.into_iter().chain(cache_dir().map(|cache| cache.join("images"))).collect()
}

/// The directory that keeps what is costly to make, if the environment names one.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("INNKEEPER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("innkeeper")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/innkeeper")))
}

/// The names of the images in `dir`, sorted. A directory that another name leads to goes by that name.
pub(crate) fn images_in(dir: &Path) -> Vec<String> {
    let entries = || std::fs::read_dir(dir).into_iter().flatten().flatten();
    let targets: Vec<_> = entries().filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    let mut names: Vec<_> = entries()
        .filter(|entry| entry.path().join(DESCRIPTION).is_file())
        .filter(|entry| !targets.iter().any(|target| target.as_path() == Path::new(&entry.file_name())))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
