//! `innkeeper needle`: cuts a needle from a screenshot, such as one that a wait in vain has kept.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use driver_core::screen::{Area, AreaKind, Needle, Point};
use driver_core::{Frame, Rect};

use crate::console;

/// `innkeeper needle`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NeedleArgs {
    /// The screenshot, a PNG.
    #[arg(value_name = "FRAME.png")]
    frame: PathBuf,

    /// What must be on the screen, in pixels from the left and from above. Can be given several times.
    #[arg(long = "area", value_name = "X,Y,W,H", required = true, value_parser = rect)]
    areas: Vec<Rect>,

    /// What does not count, such as a clock. Can be given several times.
    #[arg(long = "exclude", value_name = "X,Y,W,H", value_parser = rect)]
    excluded: Vec<Rect>,

    /// What it is called: letters, digits, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Another name, which several needles may share. Can be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// How similar the screen must be, in percent.
    #[arg(long = "match", value_name = "PERCENT", value_parser = percent, default_value = "96")]
    wanted: f64,

    /// How far from its place it may be, in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 50)]
    margin: u32,

    /// Where click_needle clicks, in pixels of the screen, inside the last area [default: its middle].
    #[arg(long, value_name = "X,Y", value_parser = point)]
    click: Option<(u32, u32)>,

    /// The directory of the needles: `needles` of the manifest.
    #[arg(short, long, value_name = "DIR", default_value = "needles")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  innkeeper needle innkeeper-results/gui/server-missed-1.png --area 300,200,120,40 --name ok-button
      Write needles/ok-button.png and needles/ok-button.json; `assert_screen(\"ok-button\")` waits for it.

Exit status: 0 when it was written, 2 when it cannot be.";

/// Writes the needle, and says where.
pub(crate) fn run(args: &NeedleArgs) -> anyhow::Result<u8> {
    let frame = read(&args.frame)?;
    if !is_name(&args.name) {
        bail!("{:?} cannot be a needle's name (letters, digits, `-`, `_` and `.`, none in front)", args.name);
    }
    for rect in args.areas.iter().chain(&args.excluded) {
        if rect.within(frame.whole()) != *rect || rect.is_empty() {
            bail!(
                "{},{},{},{} is not inside of the picture, which has {}x{} pixels",
                rect.x,
                rect.y,
                rect.width,
                rect.height,
                frame.width(),
                frame.height()
            );
        }
    }
    let needle = Needle {
        name: args.name.clone(),
        tags: args.tags.clone(),
        areas: areas(args)?,
        png: args.output.join(format!("{}.png", args.name)),
    };
    let path = needle.write(&frame, &args.output)?;
    console::out(&format!("{} and {}", path.display(), needle.png.display()));
    Ok(0)
}

fn read(path: &Path) -> anyhow::Result<Frame> {
    let bytes = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Frame::from_png(&bytes).with_context(|| format!("`{}` is no screenshot", path.display()))
}

fn areas(args: &NeedleArgs) -> anyhow::Result<Vec<Area>> {
    let area =
        |rect: &Rect| Area { wanted: args.wanted, margin: args.margin, ..Area::new(*rect, AreaKind::Match) };
    let mut areas: Vec<Area> = args.areas.iter().map(area).collect();
    if let (Some((x, y)), Some(last)) = (args.click, areas.last_mut()) {
        let click = Rect { x, y, width: 1, height: 1 };
        if click.within(last.rect) != click {
            bail!("the click at {x},{y} is not inside of the last area");
        }
        last.click = Some(Point { x: x - last.rect.x, y: y - last.rect.y });
    }
    areas.extend(args.excluded.iter().map(|rect| Area::new(*rect, AreaKind::Exclude)));
    Ok(areas)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let parsed: Result<Vec<u32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    parsed.ok()?.try_into().ok()
}

fn rect(text: &str) -> Result<Rect, String> {
    let [x, y, width, height] =
        numbers(text).ok_or("expected four numbers such as 300,200,120,40: left, top, width and height")?;
    Ok(Rect { x, y, width, height })
}

fn point(text: &str) -> Result<(u32, u32), String> {
    let [x, y] = numbers(text).ok_or("expected two numbers such as 320,210: left and top")?;
    Ok((x, y))
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent) && *percent > 0.0);
    percent.ok_or_else(|| "expected a percentage above 0, up to 100".to_owned())
}
