//! The OCR engines by name: those that are built in, and those of plugins.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use driver_core::OcrEngine;

use crate::plugins::Plugins;

/// The variable that names directories with fonts of consoles.
pub(crate) const FONTS_VARIABLE: &str = "INNKEEPER_FONTS";

/// Whether an engine of that name is built in.
pub(crate) fn is_built_in(word: &str) -> bool {
    let (name, _) = word.split_once(':').unwrap_or((word, ""));
    ocr::NAMES.contains(&name)
}

/// Says whether there is an engine of that name; else what to say about it.
pub(crate) fn find(plugins: &Plugins, word: &str) -> Result<(), String> {
    if is_built_in(word) || plugins.engines().any(|known| known == word) {
        return Ok(());
    }
    let known: Vec<_> =
        ocr::NAMES.iter().copied().chain(plugins.engines()).map(|name| format!("`{name}`")).collect();
    Err(format!("there is no OCR engine {word:?}: there are {}", known.join(", ")))
}

/// Makes the engine of that name.
pub(crate) fn open(plugins: &Plugins, word: &str) -> anyhow::Result<Arc<dyn OcrEngine>> {
    find(plugins, word).map_err(anyhow::Error::msg)?;
    if let Some(opened) = plugins.open_ocr(word) {
        return Ok(opened?);
    }
    let opened = ocr::open(word, &settings());
    Ok(opened.ok_or_else(|| anyhow!("the OCR engine {word:?} has nothing behind a colon"))??)
}

/// What the environment says.
pub(crate) fn settings() -> ocr::Settings {
    let directories = env::var_os(FONTS_VARIABLE).unwrap_or_default();
    let fonts = env::split_paths(&directories).filter(|path| *path != PathBuf::new()).collect();
    ocr::Settings { fonts }
}
