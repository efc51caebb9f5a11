//! `innkeeper ocr learn`: glyph packs, from a guest that shows its characters, or from font files.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use driver_core::Frame;
use ocr::{Font, Lesson};
use serde::Deserialize;

use crate::args::{LearnArgs, RunArgs, When};
use crate::{console, exit, run};

/// What the guest is made to do; `OUT`, `MACHINE` and `BEFORE` are set before it.
const SCRIPT: &str = include_str!("learn.py");

/// What the script writes beside each picture.
#[derive(Deserialize)]
struct Cells {
    columns: usize,
    cells: Vec<Option<char>>,
}

/// Learns, writes the pack, and returns the exit status.
pub(super) fn run(args: &LearnArgs, color: When) -> anyhow::Result<u8> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args.output.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let fonts = match args.sources.as_slice() {
        [manifest] if manifest.extension().is_some_and(|ending| ending == "toml") => {
            let place = tempfile::tempdir().context("no place for what the guest shows")?;
            let status = show_characters(args, manifest, place.path(), color)?;
            if status != exit::PASSED {
                return Ok(status);
            }
            let lessons = lessons_in(place.path())?;
            vec![ocr::learn(&name, &lessons).map_err(|problem| anyhow!("no font was learnt: {problem}"))?]
        }
        files => {
            let mut fonts = Vec::new();
            for file in files {
                fonts.extend(ocr::read_fonts(file)?);
            }
            fonts
        }
    };
    fs::write(
        &args.output,
        ocr::write_pack("Made by `innkeeper ocr learn`; it holds marks of glyphs, no pixels.", &fonts),
    )
    .with_context(|| format!("the pack `{}` cannot be written", args.output.display()))?;
    for font in &fonts {
        console::out(&describe(font));
    }
    Ok(exit::PASSED)
}

fn describe(font: &Font) -> String {
    let size = font.size();
    format!(
        "{}: cells of {}x{} pixels, {} glyphs",
        font.name(),
        size.width,
        size.height,
        font.characters().len()
    )
}

/// Has the machine show its characters, and returns the run's exit status.
fn show_characters(args: &LearnArgs, manifest: &Path, place: &Path, color: When) -> anyhow::Result<u8> {
    let file = place.join("learn.py");
    // JSON's texts and lists are Python's, too.
    let out = serde_json::to_string(&place.display().to_string())?;
    let machine = serde_json::to_string(args.machine.as_deref().unwrap_or_default())?;
    let before = serde_json::to_string(&args.before)?;
    fs::write(&file, format!("OUT = {out}\nMACHINE = {machine}\nBEFORE = {before}\n{SCRIPT}"))?;
    run::run(&RunArgs::quietly(manifest.to_owned(), file, place.join("results")), color)
}

fn lessons_in(place: &Path) -> anyhow::Result<Vec<Lesson>> {
    let mut lessons = Vec::new();
    for number in 0.. {
        let Ok(text) = fs::read(place.join(format!("{number}.json"))) else { break };
        let Cells { columns, cells } = serde_json::from_slice(&text)?;
        let frame = Frame::from_png(&fs::read(place.join(format!("{number}.png")))?)?;
        lessons.push(Lesson { frame, columns, cells });
    }
    if lessons.is_empty() {
        bail!("the guest has shown nothing");
    }
    Ok(lessons)
}
