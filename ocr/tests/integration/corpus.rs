//! Screenshots of real guests: `cargo xtask ocr-corpus` makes them.

use std::fs;
use std::path::{Path, PathBuf};

use driver_core::Frame;
use ocr::ConsoleEngine;

/// The names of screenshots of consoles begin with these; all others show windows.
const CONSOLES: [&str; 4] = ["vga-", "fb-", "font-", "firmware-"];

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
