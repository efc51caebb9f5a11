//! `innkeeper plugins`: what was found, where, in which version, and what it offers.

use std::path::PathBuf;

use driver_core::{Capabilities, Facet};
use plugin_host::Plugin;

use super::{Loaded, Plugins, named_by_user};
use crate::{console, exit};

/// Lists all plugins, also after one that cannot be used.
pub(super) fn run(flags: &[PathBuf]) -> anyhow::Result<u8> {
    let named = named_by_user(flags)?;
    if named.is_empty() {
        console::out(
            "no plugins: name some with --plugin, in a manifest (plugins = [\"./libNAME.so\"]), or in the same way in \
             ~/.config/innkeeper/config.toml",
        );
        return Ok(exit::PASSED);
    }
    let mut plugins = Plugins::default();
    let mut status = exit::PASSED;
    for (reference, from) in named {
        if let Err(error) = plugins.add(&reference, from) {
            console::err(&crate::describe_error(&error));
            status = exit::USAGE;
        }
    }
    for Loaded { plugin, from, .. } in &plugins.0 {
        console::out(&format!("{}\n  named by {from}", describe(plugin)));
    }
    Ok(status)
}

/// A plugin in a few lines.
pub(super) fn describe(plugin: &Plugin) -> String {
    let (major, minor) = plugin.abi();
    let mut lines = vec![
        format!("{} {}", plugin.name(), plugin.version()),
        format!("  file {}", plugin.file().display()),
        format!("  built for ABI {major}.{minor}"),
    ];
    lines.extend(plugin.backend().map(|(word, can)| format!("  backend `{word}` {}", facets(can))));
    lines.extend(plugin.ocr().map(|word| format!("  OCR engine `{word}`")));
    lines.extend(plugin.reporter().map(|word| format!("  reporter `{word}`")));
    lines.join("\n")
}

fn facets(can: Capabilities) -> String {
    let there: Vec<_> = Facet::ALL.into_iter().filter(|facet| can.has(*facet)).map(Facet::word).collect();
    if there.is_empty() { "without facets".to_owned() } else { format!("with {}", there.join(", ")) }
}
