//! Screenshots of real guests: `cargo xtask ocr-corpus` makes them.

#![expect(clippy::unwrap_used, reason = "what tests share is as much a test")]

use std::fs;
use std::path::{Path, PathBuf};

use driver_core::{Deadline, Frame, OcrEngine};
use ocr::{ConsoleEngine, ScreenEngine};

use crate::screen::distance;

/// The names of screenshots of consoles begin with these; all others show windows.
const CONSOLES: [&str; 4] = ["vga-", "fb-", "font-", "firmware-"];

/// And those of text on pictures with these.
const WALLPAPERS: [&str; 2] = ["wall-", "icewm-"];

fn pictures() -> Vec<(String, PathBuf)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = fs::read_dir(data).expect("the corpus").map(|entry| entry.expect("a file").path());
    let named = |file: PathBuf| Some((file.file_stem()?.to_str()?.to_owned(), file));
    files.filter(|file| file.extension().is_some_and(|ending| ending == "png")).filter_map(named).collect()
}

#[test]
fn consoles_are_read_to_the_letter_and_windows_are_none() {
    let engine = ConsoleEngine::builtin();
    let pictures = pictures();
    assert!(pictures.len() >= 60, "only {} pictures", pictures.len());
    let mut wrong = Vec::new();
    for (name, file) in pictures {
        let frame = Frame::from_png(&fs::read(&file).unwrap()).unwrap();
        let grid = engine.decode(&frame);
        if CONSOLES.iter().any(|start| name.starts_with(start)) {
            let truth = fs::read_to_string(file.with_extension("txt")).unwrap();
            let text = grid.unwrap_or_else(|| panic!("{name} is a console")).text();
            let rows: Vec<_> = text.lines().collect();
            let is_read = |(number, line): &(usize, &str)| {
                // Of firmware not all is known.
                let is_anywhere = name.starts_with("firmware-") && text.contains(line);
                is_anywhere || rows.get(*number) == Some(line)
            };
            let missed = truth.lines().enumerate().filter(|line| !is_read(line));
            wrong.extend(
                missed.map(|(number, line)| format!("{name}: {line:?} was read as {:?}", rows.get(number))),
            );
        } else {
            assert!(grid.is_none(), "{name} is no console");
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// In the order of the pictures' rates: the share of characters that is read wrongly.
fn rates(is_asked: impl Fn(&str) -> bool) -> Vec<f64> {
    let engine = ScreenEngine::builtin();
    let rate = |(_, file): (String, PathBuf)| {
        let frame = Frame::from_png(&fs::read(&file).unwrap()).unwrap();
        let truth = fs::read_to_string(file.with_extension("txt")).unwrap();
        let said = engine.read(&frame, Deadline::far()).unwrap().text();
        let errors: usize = truth.lines().map(|line| distance(line, &said)).sum();
        let characters = truth.split_whitespace().flat_map(str::chars).count();
        f64::from(u32::try_from(errors).unwrap()) / f64::from(u32::try_from(characters).unwrap())
    };
    let mut rates: Vec<f64> = pictures().into_iter().filter(|(name, _)| is_asked(name)).map(rate).collect();
    rates.sort_by(f64::total_cmp);
    rates
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / f64::from(u32::try_from(rates.len()).unwrap())
}

#[test]
fn windows_are_read_with_few_errors() {
    let starts = |name: &str, with: &[&str]| with.iter().any(|start| name.starts_with(start));
    let flat = rates(|name| !starts(name, &CONSOLES) && !starts(name, &WALLPAPERS));
    assert!(flat.len() >= 30, "only {} pictures", flat.len());
    assert!(mean(&flat) < 0.003 && flat[flat.len() / 2] < 0.001, "{flat:?}");
    let wallpapers = rates(|name| starts(name, &WALLPAPERS));
    assert!(mean(&wallpapers) < 0.01, "{wallpapers:?}");
}
