//! How well engines read the corpus: `cargo run --release -p ocr --example score -- [ENGINE...]`. The engine `nixos`
//! stands for what NixOS's test driver does: tesseract three times, on the raw picture and on two that ImageMagick has
//! processed; of each line the best of the three counts.
//!
//! The error rate of a line of truth is its edit distance to the best place in the engine's text, with blanks collapsed;
//! what an engine reads beside that is not held against it.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use driver_core::{Deadline, Frame};

/// What is read of one picture: one text, or several of which each may have a line.
type Texts = Vec<String>;

/// What is counted.
#[derive(Default)]
struct Score {
    pictures: usize,
    errors: usize,
    characters: usize,
    lines: usize,
    exact: usize,
    rates: Vec<f64>,
    times: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut engines: Vec<_> = std::env::args().skip(1).collect();
    let verbose = engines.iter().position(|word| word == "-v").map(|at| engines.remove(at)).is_some();
    if engines.is_empty() {
        engines.push(ocr::DEFAULT.to_owned());
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut pictures: Vec<_> = fs::read_dir(&data)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    pictures.retain(|file| file.extension().is_some_and(|ending| ending == "png"));
    pictures.sort();
    println!(
        "engine      group     pictures  lines  exact    errors/characters  mean %  median %  median ms  max ms"
    );
    for engine in &engines {
        let mut groups: BTreeMap<String, Score> = BTreeMap::new();
        for picture in &pictures {
            let name = picture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let truth = fs::read_to_string(picture.with_extension("txt"))?;
            let (texts, time) = read(engine, picture)?;
            let group = name.split('-').next().unwrap_or_default().to_owned();
            for group in [group, "all".to_owned()] {
                groups.entry(group).or_default().add(&truth, &texts, time, verbose.then_some(name.as_str()));
            }
        }
        for (group, score) in &mut groups {
            score.print(engine, group);
        }
    }
    Ok(())
}

fn read(engine: &str, picture: &Path) -> Result<(Texts, Duration), Box<dyn Error>> {
    let bytes = fs::read(picture)?;
    if engine == "nixos" {
        let started = Instant::now();
        return Ok((as_nixos(picture)?, started.elapsed()));
    }
    let frame = Frame::from_png(&bytes)?;
    let opened = ocr::open(engine, &ocr::Settings::default()).ok_or("there is no such engine")??;
    let started = Instant::now();
    let reading = opened.read(&frame, Deadline::after(Duration::from_secs(600)))?;
    Ok((vec![reading.text()], started.elapsed()))
}

/// Source: `nixos/lib/test-driver/src/test_driver/machine/ocr.py` of nixpkgs, whose settings are facts of its contract.
fn as_nixos(picture: &Path) -> Result<Texts, Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let mut pictures = vec![picture.to_owned()];
    for negate in [false, true] {
        let out: PathBuf = place.path().join(format!("{negate}.png"));
        let mut command = Command::new("convert");
        command.args(["-filter", "Catrom", "-density", "72", "-resample", "300", "-contrast", "-normalize"]);
        command.args(["-despeckle", "-type", "grayscale", "-sharpen", "1", "-posterize", "3"]);
        command.args(if negate { &["-negate"][..] } else { &[] });
        command.args(["-gamma", "100", "-blur", "1x65535"]).arg(picture).arg(&out);
        if !command.status()?.success() {
            return Err("convert failed".into());
        }
        pictures.push(out);
    }
    let read = |picture: &PathBuf| -> Result<String, Box<dyn Error>> {
        let mut command = Command::new("tesseract");
        command.arg(picture).args(["-", "-c", "debug_file=/dev/null", "--psm", "11"]);
        Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
    };
    pictures.iter().map(read).collect()
}

impl Score {
    fn add(&mut self, truth: &str, texts: &Texts, time: Duration, name: Option<&str>) {
        let texts: Vec<Vec<char>> = texts.iter().map(|text| collapse(text)).collect();
        let (mut errors, mut characters) = (0, 0);
        for line in truth.lines().map(collapse).filter(|line| !line.is_empty()) {
            let best = texts.iter().map(|text| distance(&line, text)).min().unwrap_or(line.len());
            let best = best.min(line.len());
            errors += best;
            characters += line.len();
            self.lines += 1;
            self.exact += usize::from(best == 0);
            if let Some(name) = name.filter(|_| best > 0) {
                println!("{name}: {best} in {:?}", line.into_iter().collect::<String>());
            }
        }
        self.pictures += 1;
        self.errors += errors;
        self.characters += characters;
        self.rates.push(percent(errors, characters));
        self.times.push(time);
    }

    fn print(&mut self, engine: &str, group: &str) {
        self.rates.sort_by(f64::total_cmp);
        self.times.sort();
        let middle = self.pictures / 2;
        println!(
            "{engine:10}  {group:9} {:8} {:6} {:6}  {:>18}  {:6.2} {:9.2} {:10.1} {:7.1}",
            self.pictures,
            self.lines,
            self.exact,
            format!("{}/{}", self.errors, self.characters),
            percent(self.errors, self.characters),
            self.rates[middle],
            self.times[middle].as_secs_f64() * 1e3,
            self.times[self.pictures - 1].as_secs_f64() * 1e3,
        );
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of characters are small")]
    let share = part as f64 / whole.max(1) as f64;
    share * 100.0
}

fn collapse(text: &str) -> Vec<char> {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect()
}

/// The edit distance of `line` to the place in `text` that is nearest to it (Sellers, 1980).
fn distance(line: &[char], text: &[char]) -> usize {
    let mut row = vec![0; text.len() + 1];
    for (number, wanted) in line.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (at, found) in text.iter().enumerate() {
            let replaced = diagonal + usize::from(wanted != found);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row.into_iter().min().unwrap_or(line.len())
}
