//! Images: directories with an `image.toml` that says how to boot what lies beside it (docs/manifest.md).

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::spec::{Boot, Disk, DiskFormat};

/// The file that makes a directory an image.
pub const DESCRIPTION: &str = "image.toml";

/// An image that is there.
#[derive(Debug, Clone)]
pub struct Image {
    /// How to boot it.
    pub boot: Boot,
    /// The memory that it wants, in MiB, if it says.
    pub memory_mib: Option<u64>,
}

/// An image that cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ImageError {
    /// What is wrong.
    pub problem: String,
    /// What to do; may be empty.
    pub way_out: String,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        if self.way_out.is_empty() { Ok(()) } else { write!(f, " ({})", self.way_out) }
    }
}

impl Image {
    /// The image of that name, in the directories of `INNKEEPER_IMAGES` or where `cargo xtask guests` puts it.
    ///
    /// # Errors
    /// When there is none, with the places that were looked at; as [`Image::read`].
    pub fn named(name: &str) -> Result<Self, ImageError> {
        let places: Vec<PathBuf> = image_dirs().into_iter().map(|dir| dir.join(name)).collect();
        match places.iter().find(|place| place.join(DESCRIPTION).is_file()) {
            Some(place) => Self::read(place),
            None => Err(no_image(name, &places, &way_out(name))),
        }
    }

    /// Reads the description of the image in `dir`.
    ///
    /// # Errors
    /// When there is none, or it cannot be understood.
    pub fn read(dir: &Path) -> Result<Self, ImageError> {
        let path = dir.join(DESCRIPTION);
        if !path.is_file() {
            let way_out = format!("an image is a directory with an {DESCRIPTION}");
            return Err(no_image(&dir.display().to_string(), &[dir.to_owned()], &way_out));
        }
        let unusable = |problem: String| ImageError {
            problem: format!("the image in `{}` cannot be used: {}", dir.display(), problem.trim_end()),
            way_out: String::new(),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
        let description: Description = toml::from_str(&text)
            .map_err(|error| unusable(format!("{DESCRIPTION} cannot be understood\n{error}")))?;
        Ok(description.image(dir))
    }
}

/// `image.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    #[serde(default)]
    cmdline: String,
    memory: Option<Memory>,
    #[serde(default)]
    disks: Vec<DiskDescription>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DiskDescription {
    path: PathBuf,
    format: Option<DiskFormat>,
}

impl Description {
    fn image(self, dir: &Path) -> Image {
        let disks = self.disks.into_iter().map(|disk| Disk {
            format: disk.format.unwrap_or_else(|| DiskFormat::of(&disk.path)),
            path: dir.join(disk.path),
        });
        let disks = disks.collect();
        let boot = match self.kernel {
            Some(kernel) => Boot::Kernel {
                kernel: dir.join(kernel),
                initrd: self.initrd.map(|initrd| dir.join(initrd)),
                cmdline: self.cmdline,
                disks,
            },
            None => Boot::Firmware { disks },
        };
        Image { boot, memory_mib: self.memory.map(|memory| memory.0) }
    }
}

/// An amount of memory in MiB.
#[derive(Debug, Clone, Copy)]
struct Memory(u64);

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let mebibytes = match Written::deserialize(deserializer)? {
            Written::Number(number) => Some(number).filter(|number| *number > 0),
            Written::Text(text) => parse_mebibytes(&text),
        };
        let wrong = || serde::de::Error::custom(format!("expected {MEBIBYTES}"));
        mebibytes.map(Self).ok_or_else(wrong)
    }
}

/// What a person is told to write for an amount of memory.
pub const MEBIBYTES: &str = "an amount of memory such as \"512M\", \"2G\" or 1024 (MiB)";

/// Reads an amount of memory with its unit, and returns MiB.
#[must_use]
pub fn parse_mebibytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let factor = match unit.trim() {
        "M" | "MiB" => 1,
        "G" | "GiB" => 1024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|mebibytes| *mebibytes > 0)
}

fn no_image(image: &str, places: &[PathBuf], way_out: &str) -> ImageError {
    let places: Vec<_> = places.iter().map(|place| format!("`{}`", place.display())).collect();
    let looked = match places.as_slice() {
        [] => "there is no place to look, since neither INNKEEPER_IMAGES nor HOME is set".to_owned(),
        places => format!("looked for {}", places.join(" and ")),
    };
    ImageError { problem: format!("there is no image `{image}`; {looked}"), way_out: way_out.to_owned() }
}

fn way_out(name: &str) -> String {
    let mut built: Vec<_> = image_dirs().iter().flat_map(|dir| images_in(dir)).collect();
    built.sort();
    built.dedup();
    let built: Vec<_> = built.into_iter().map(|image| format!("`{image}`")).collect();
    let built = match built.as_slice() {
        [] => String::new(),
        built => format!("there are {}; ", built.join(", ")),
    };
    format!(
        "{built}build it with `cargo xtask guests {name}` in innkeeper's source tree, or write the path of a \
         directory with an {DESCRIPTION}, such as `./{name}`"
    )
}

/// Where images are looked for, in order: the directories of `INNKEEPER_IMAGES`, then the cache.
#[must_use]
pub fn image_dirs() -> Vec<PathBuf> {
    let own = env::var_os("INNKEEPER_IMAGES").unwrap_or_default();
    let own = env::split_paths(&own).filter(|dir| !dir.as_os_str().is_empty()).collect::<Vec<_>>();
    own.into_iter().chain(cache_dir().map(|cache| cache.join("images"))).collect()
}

/// The directory that keeps what is costly to make, if the environment names one.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("INNKEEPER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("innkeeper")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/innkeeper")))
}

/// The names of the images in `dir`, sorted. A directory that another name leads to goes by that name.
#[must_use]
pub fn images_in(dir: &Path) -> Vec<String> {
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
