//! The plugins of a call: those that flags, the user's configuration and the manifest name.

mod check;
mod config;
mod list;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use driver_core::{Backend, Capabilities, OcrEngine, Reporter};
use plugin_host::{Plugin, PluginError};
use serde_json::Value;

use crate::args::{PluginsArgs, PluginsCommand};
use crate::backends;
use crate::engines;
use crate::manifest::{PluginRef, Section};

/// The plugins that were loaded, each once.
#[derive(Debug, Default)]
pub(crate) struct Plugins(Vec<Loaded>);

/// A plugin and what was said of it.
#[derive(Debug)]
struct Loaded {
    plugin: Plugin,
    settings: Value,
    /// The file itself, whatever path leads there.
    file: PathBuf,
    /// Who has named it.
    from: String,
}

/// `innkeeper plugins`: says what there is, or checks one.
pub(crate) fn run(args: &PluginsArgs) -> anyhow::Result<u8> {
    match &args.command {
        None => list::run(&args.plugins),
        Some(PluginsCommand::Check(check_args)) => check::run(check_args),
    }
}

impl Plugins {
    /// Loads what the user's configuration and flags name.
    pub(crate) fn of_user(flags: &[PathBuf]) -> anyhow::Result<Self> {
        let mut plugins = Self::default();
        for (reference, from) in named_by_user(flags)? {
            plugins.add(&reference, from)?;
        }
        Ok(plugins)
    }

    /// Loads what the key `plugins` of a file names; `None` when something is wrong with that, which has been said.
    pub(crate) fn read(&mut self, section: &mut Section<'_, '_>, folder: &Path) -> Option<()> {
        let mut complete = Some(());
        for named in section.located_list::<PluginRef>("plugins") {
            let PluginRef { path, settings } = named.get_ref().clone();
            let reference = PluginRef { path: folder.join(path), settings };
            if let Err(error) = self.add(&reference, "the manifest".to_owned()) {
                section.problems().add_with_help(
                    named.span(),
                    error.to_string(),
                    "this plugin cannot be used",
                    error.chain().nth(1).map(ToString::to_string),
                );
                complete = None;
            }
        }
        complete
    }

    /// Loads one, unless it is there already: then its settings count that were said last.
    fn add(&mut self, reference: &PluginRef, from: String) -> anyhow::Result<()> {
        let file = reference.path.canonicalize().unwrap_or_else(|_| reference.path.clone());
        if let Some(known) = self.0.iter_mut().find(|known| known.file == file) {
            if !reference.settings.is_null() {
                known.settings.clone_from(&reference.settings);
            }
            return Ok(());
        }
        let plugin = Plugin::load(&reference.path)?;
        self.refuse_twins(&plugin)?;
        self.0.push(Loaded { plugin, settings: reference.settings.clone(), file, from });
        Ok(())
    }

    /// Two things of one kind and name could not be told apart.
    fn refuse_twins(&self, plugin: &Plugin) -> anyhow::Result<()> {
        let file = plugin.file().display();
        if let Some(word) = plugin.backend().map(|(word, _)| word).filter(|word| backends::is_built_in(word))
        {
            bail!(
                "plugin `{file}` offers a backend `{word}`, which innkeeper has itself (give it another name)"
            );
        }
        if let Some(word) = plugin.ocr().filter(|word| engines::is_built_in(word)) {
            bail!(
                "plugin `{file}` offers an OCR engine `{word}`, which innkeeper has itself (give it another name)"
            );
        }
        for known in self.0.iter().map(|known| &known.plugin) {
            let backend = |plugin: &Plugin| plugin.backend().map(|(word, _)| word.to_owned());
            let twins = [
                ("a plugin", Some(plugin.name().to_owned()), Some(known.name().to_owned())),
                ("a backend", backend(plugin), backend(known)),
                ("an OCR engine", plugin.ocr().map(str::to_owned), known.ocr().map(str::to_owned)),
                ("a reporter", plugin.reporter().map(str::to_owned), known.reporter().map(str::to_owned)),
            ];
            if let Some((what, Some(word), _)) =
                twins.into_iter().find(|(_, one, other)| one.is_some() && one == other)
            {
                let other = known.file().display();
                bail!("`{other}` and `{file}` are both {what} called `{word}` (leave one of the two out)");
            }
        }
        Ok(())
    }

    /// The names of the backends.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|loaded| loaded.plugin.backend().map(|(word, _)| word))
    }

    /// What the backends can do, each with its name.
    pub(crate) fn capabilities(&self) -> impl Iterator<Item = (String, Capabilities)> {
        let backends = self.0.iter().filter_map(|loaded| loaded.plugin.backend());
        backends.map(|(word, can)| (word.to_owned(), can))
    }

    /// Makes the backend of that name, if there is one.
    pub(crate) fn open_backend(&self, word: &str) -> Option<Result<Arc<dyn Backend>, PluginError>> {
        let is_it = |loaded: &&Loaded| loaded.plugin.backend().is_some_and(|(known, _)| known == word);
        let loaded = self.0.iter().find(is_it)?;
        loaded.plugin.open_backend(&loaded.settings)
    }

    /// The names of the OCR engines.
    pub(crate) fn engines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|loaded| loaded.plugin.ocr())
    }

    /// Makes the OCR engine of that name, if there is one.
    pub(crate) fn open_ocr(&self, word: &str) -> Option<Result<Arc<dyn OcrEngine>, PluginError>> {
        let loaded = self.0.iter().find(|loaded| loaded.plugin.ocr() == Some(word))?;
        loaded.plugin.open_ocr(&loaded.settings)
    }

    /// Makes all reporters, for a run whose result goes to `directory`.
    pub(crate) fn open_reporters(&self, directory: &Path) -> Result<Vec<Box<dyn Reporter>>, PluginError> {
        self.0.iter().filter_map(|loaded| loaded.plugin.open_reporter(&loaded.settings, directory)).collect()
    }
}

/// What the user's configuration and flags name, and who that was.
fn named_by_user(flags: &[PathBuf]) -> anyhow::Result<Vec<(PluginRef, String)>> {
    let mut named = config::plugins()?;
    let of_flag =
        |path: &PathBuf| (PluginRef { path: path.clone(), settings: Value::Null }, "--plugin".to_owned());
    named.extend(flags.iter().map(of_flag));
    Ok(named)
}
