//! Recipes: what guests/NAME/recipe.toml says, joined with the recipe that it extends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::command;

/// Part of every image's hash: raise it when the code of this module's siblings changes what they make.
const BUILD_VERSION: u32 = 1;

/// What one recipe.toml says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    extends: Option<String>,
    /// Whether it is built only when it is named.
    #[serde(default)]
    on_request: bool,
    suite: Option<String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    enable: Vec<String>,
    #[serde(default)]
    mask: Vec<String>,
    /// Kernel modules beside those of the kernel that is extended.
    #[serde(default)]
    modules: Vec<String>,
    kernel: Option<Kernel>,
    #[serde(default)]
    image: Image,
}

/// The kernel, its command line and its modules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kernel {
    pub(super) package: String,
    pub(super) cmdline: Vec<String>,
    pub(super) early_modules: Vec<String>,
    pub(super) share_modules: Vec<String>,
    pub(super) modules: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    memory: Option<String>,
    free_mib: Option<u32>,
}

/// A recipe with all that it extends: lists joined, the base's first; of single values the last.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) name: String,
    /// The recipes' folders, the base's first. Each may have an `overlay/` and a `customize`.
    pub(super) layers: Vec<Layer>,
    pub(super) suite: String,
    pub(super) packages: Vec<String>,
    pub(super) enable: Vec<String>,
    pub(super) mask: Vec<String>,
    pub(super) kernel: Kernel,
    pub(super) memory: String,
    pub(super) free_mib: u32,
    pub(super) on_request: bool,
}

/// One recipe's folder.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) folder: PathBuf,
}

impl Recipe {
    /// Reads a recipe and those that it extends.
    pub(super) fn load(name: &str) -> Result<Recipe> {
        let mut files = Vec::new();
        let mut layers = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next {
            let folder = command::root().join("guests").join(&name);
            let path = folder.join("recipe.toml");
            let text =
                fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
            let file: File = toml::from_str(&text).with_context(|| format!("`{}`", path.display()))?;
            if layers.iter().any(|layer: &Layer| layer.name == name) {
                bail!("recipe `{name}` extends itself");
            }
            next = file.extends.clone();
            layers.insert(0, Layer { name, folder });
            files.insert(0, file);
        }

        let joined = |list: fn(&File) -> &Vec<String>| files.iter().flat_map(list).cloned().collect();
        let last = files.iter().rev();
        let missing = |what: &str| format!("recipe `{name}` and those that it extends have no {what}");
        let mut kernel: Kernel =
            last.clone().find_map(|file| file.kernel.clone()).with_context(|| missing("[kernel]"))?;
        kernel.modules.extend(joined(|file| &file.modules));
        Ok(Recipe {
            name: name.to_owned(),
            layers,
            packages: joined(|file| &file.packages),
            enable: joined(|file| &file.enable),
            mask: joined(|file| &file.mask),
            suite: last.clone().find_map(|file| file.suite.clone()).with_context(|| missing("suite"))?,
            kernel,
            on_request: files.last().is_some_and(|file| file.on_request),
            memory: last
                .clone()
                .find_map(|file| file.image.memory.clone())
                .with_context(|| missing("memory"))?,
            free_mib: last
                .clone()
                .find_map(|file| file.image.free_mib)
                .with_context(|| missing("free_mib"))?,
        })
    }

    /// Twelve hex digits that change with anything that goes into the image: names, contents and
    /// executable bits of the recipes' files and of guests/tools, and the version of our own code.
    pub(super) fn hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(BUILD_VERSION.to_le_bytes());
        let tools = command::root().join("guests/tools");
        for folder in self.layers.iter().map(|layer| &layer.folder).chain([&tools]) {
            for file in files(folder)? {
                let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
                let metadata = file.symlink_metadata()?;
                let (kind, content) = if metadata.is_symlink() {
                    (2, fs::read_link(&file)?.to_string_lossy().into_owned().into_bytes())
                } else {
                    (u8::from(metadata.permissions().mode() & 0o100 != 0), fs::read(&file)?)
                };
                for part in [name.as_bytes(), &[kind], &content] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
            }
        }
        Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guestbook_extends_base() {
        let (base, book) = (Recipe::load("base").unwrap(), Recipe::load("guestbook").unwrap());
        assert!(book.packages.starts_with(&base.packages));
        assert!(book.packages.contains(&"nginx".to_owned()));
        assert_eq!((base.memory.as_str(), book.memory.as_str()), ("512M", "1G"));
        assert_eq!(
            book.layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(),
            ["base", "guestbook"]
        );
        assert_eq!(book.hash().unwrap(), Recipe::load("guestbook").unwrap().hash().unwrap());
        assert_ne!(book.hash().unwrap(), base.hash().unwrap());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = toml::from_str::<File>("pakages = []").unwrap_err();
        assert!(error.to_string().contains("pakages"), "{error}");
    }
}
