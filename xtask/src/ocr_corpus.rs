//! `cargo xtask ocr-corpus`: makes the screenshots in ocr/tests/data again, with real guests, and reads one live.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use png::{BitDepth, ColorType, Compression, Filter, Transformations};

use crate::command;

/// What there is to do, each a manifest and a script in ocr/corpus.
const PARTS: [&str; 3] = ["text", "graphics", "clicks"];

/// Which screenshots to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these: `text` (consoles and firmware), `graphics` (windows), or `clicks`, which keeps no screenshots: a
    /// terminal is found by its text, clicked and typed into
    #[arg(value_parser = PARTS)]
    parts: Vec<String>,
    /// Take the pictures from these results of `innkeeper run` instead of booting a guest
    #[arg(long, value_name = "FOLDER")]
    from: Vec<PathBuf>,
}

/// Boots the guests, and keeps what they showed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let data = command::root().join("ocr/tests/data");
    fs::create_dir_all(&data)?;
    for results in &args.from {
        keep(results, &data)?;
    }
    if !args.from.is_empty() {
        return Ok(());
    }
    command::run(&mut command::cargo(&["run", "--quiet", "-p", "xtask", "--", "guests", "desktop"]))?;
    for part in PARTS {
        if !args.parts.is_empty() && !args.parts.iter().any(|wanted| wanted == part) {
            continue;
        }
        let place = tempfile::tempdir()?;
        let manifest = place.path().join("corpus.toml");
        let corpus = command::root().join("ocr/corpus");
        fs::copy(corpus.join(format!("{part}.toml")), &manifest)?;
        fs::copy(corpus.join(format!("{part}.py")), place.path().join(format!("{part}.py")))?;
        // What firmware finds nothing on.
        File::create(place.path().join("empty.raw"))?.set_len(1 << 20)?;
        // The script puts GRUB there before it boots it.
        fs::write(place.path().join("grub.img"), "nothing yet")?;
        let results = place.path().join("results");
        let (manifest, out) = (manifest.display().to_string(), results.display().to_string());
        command::run(&mut command::cargo(&["run", "--quiet", "--", "run", &manifest, "-o", &out]))?;
        keep(&results, &data)?;
    }
    Ok(())
}

/// Takes over every picture that has its truth beside it.
fn keep(results: &Path, data: &Path) -> Result<()> {
    for entry in fs::read_dir(results).with_context(|| format!("{} cannot be read", results.display()))? {
        let picture = entry?.path();
        let truth = picture.with_extension("txt");
        if picture.extension().is_none_or(|ending| ending != "png") || !truth.exists() {
            continue;
        }
        let name = picture.file_name().context("a picture has a name")?;
        shrink(&picture, &data.join(name)).with_context(|| format!("{}", picture.display()))?;
        fs::copy(&truth, data.join(name).with_extension("txt"))?;
    }
    Ok(())
}

/// Writes a picture of 256 colours at most with a palette, in as few bytes as may be.
fn shrink(from: &Path, to: &Path) -> Result<()> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(from)?));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("it is too large")?];
    let info = reader.next_frame(&mut pixels)?;
    ensure!(info.color_type == ColorType::Rgb, "it is not in red, green and blue");
    let mut palette = BTreeMap::new();
    for pixel in pixels.chunks_exact(3) {
        palette.entry([pixel[0], pixel[1], pixel[2]]).or_insert(0_u8);
        if palette.len() > 256 {
            break;
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(to)?), info.width, info.height);
    encoder.set_compression(Compression::High);
    if palette.len() > 256 {
        encoder.set_color(ColorType::Rgb);
        encoder.write_header()?.write_image_data(&pixels)?;
        return Ok(());
    }
    for (number, index) in (0_u8..=255).zip(palette.values_mut()) {
        *index = number;
    }
    let bits: u8 = match palette.len() {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        _ => 8,
    };
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::from_u8(bits).context("a depth that PNG has")?);
    encoder.set_palette(palette.keys().flatten().copied().collect::<Vec<_>>());
    // Neighbouring numbers of a palette have nothing in common.
    encoder.set_filter(Filter::NoFilter);
    let mut packed = Vec::new();
    for row in pixels.chunks_exact(info.width as usize * 3) {
        let numbers: Vec<_> =
            row.chunks_exact(3).map(|pixel| palette[&[pixel[0], pixel[1], pixel[2]]]).collect();
        let per_byte = usize::from(8 / bits);
        packed.extend(numbers.chunks(per_byte).map(|group| {
            let shift = |at: usize| 8 - bits * u8::try_from(at + 1).unwrap_or(8);
            group.iter().enumerate().fold(0, |byte, (at, number)| byte | number << shift(at))
        }));
    }
    encoder.write_header()?.write_image_data(&packed)?;
    Ok(())
}
