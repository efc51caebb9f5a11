//! The user's own configuration: `$XDG_CONFIG_HOME/innkeeper/config.toml`, or `~/.config/innkeeper/config.toml`.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::manifest::{PluginRef, read_file};

/// The plugins that it names, and where it is. Paths are relative to the file.
pub(super) fn plugins() -> anyhow::Result<Vec<(PluginRef, String)>> {
    let Some(file) = file() else { return Ok(Vec::new()) };
    let source = match std::fs::read_to_string(&file) {
        Ok(source) => source,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("`{}` cannot be read", file.display())),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let named =
        read_file(&file, &source, "the configuration", |section| Some(section.list::<PluginRef>("plugins")))?;
    let place = |plugin: PluginRef| {
        let plugin = PluginRef { path: folder.join(&plugin.path), ..plugin };
        (plugin, file.display().to_string())
    };
    Ok(named.into_iter().map(place).collect())
}

fn file() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("innkeeper/config.toml"))
}
