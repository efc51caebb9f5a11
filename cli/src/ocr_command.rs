//! `innkeeper ocr`: reads the text in a picture, as tests read screens.

mod learn;

use std::path::Path;

use anyhow::Context as _;
use driver_core::{Deadline, Frame};

use crate::args::{OcrArgs, OcrCommand, When};
use crate::plugins::Plugins;
use crate::{console, engines, exit};

/// Bytes that a picture's file may have.
const LIMIT: u64 = 256 << 20;

/// Reads, prints, and returns the exit status.
pub(crate) fn run(args: &OcrArgs, color: When) -> anyhow::Result<u8> {
    if let Some(OcrCommand::Learn(learn_args)) = &args.command {
        return learn::run(learn_args, color);
    }
    let image = args.image.as_deref().context("no picture is named")?;
    let frame = picture(image)?;
    let engine = engines::open(&Plugins::of_user(&args.plugins)?, &args.engine)?;
    let reading = match engine.read(&frame, Deadline::after(args.timeout)) {
        Ok(reading) => reading,
        Err(error) => {
            console::err(&format!("error: {error}"));
            return Ok(exit::HOST);
        }
    };
    if let Some(file) = &args.boxes {
        std::fs::write(file, ocr::boxes(&frame, &reading)?)
            .with_context(|| format!("the boxes cannot be written to `{}`", file.display()))?;
    }
    if args.json {
        console::out(&serde_json::to_string_pretty(&reading)?);
    } else if !reading.lines.is_empty() {
        console::out(reading.text().trim_end_matches('\n'));
    }
    Ok(exit::PASSED)
}

fn picture(file: &Path) -> anyhow::Result<Frame> {
    let shown = file.display();
    let failed = || format!("the picture `{shown}` cannot be read");
    let size = std::fs::metadata(file).with_context(failed)?.len();
    anyhow::ensure!(size <= LIMIT, "the picture `{shown}` is too large: it has {size} bytes");
    Frame::from_png(&std::fs::read(file).with_context(failed)?).with_context(|| format!("`{shown}`"))
}
