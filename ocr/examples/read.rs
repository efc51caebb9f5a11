//! Reads pictures, and counts the errors where a `.txt` of the same name says what stands there:
//! `cargo run --release -p ocr --example read -- PICTURE.png...`
#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use driver_core::{Deadline, Frame, OcrEngine};
use ocr::ScreenEngine;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut all_errors, mut all) = (0, 0);
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let frame = Frame::from_png(&std::fs::read(&path)?)?;
        let engine = ScreenEngine::builtin();
        let began = Instant::now();
        let text = engine.read(&frame, Deadline::far())?.text();
        let first = began.elapsed();
        let again = Instant::now();
        engine.read(&frame, Deadline::far())?;
        println!("{}: {first:.1?}, again {:.1?}", path.display(), again.elapsed());
        let Ok(truth) = std::fs::read_to_string(path.with_extension("txt")) else {
            println!("{text}");
            continue;
        };
        let said: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
        let (mut errors, mut characters) = (0, 0);
        for line in truth.lines() {
            let line: Vec<char> = line.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
            let (distance, found) = nearest(&line, &said);
            if distance > 0 {
                println!("  {}\n  {found}", line.iter().collect::<String>());
            }
            errors += distance;
            characters += line.len();
        }
        println!("  {errors} of {characters}");
        all_errors += errors;
        all += characters;
    }
    println!("{all_errors} errors in {all} characters");
    Ok(())
}

/// The edits that make `line` from the part of `text` that is most like it, and that part.
fn nearest(line: &[char], text: &[char]) -> (usize, String) {
    let mut costs: Vec<(usize, usize)> = (0..=text.len()).map(|at| (0, at)).collect();
    for (row, char) in line.iter().enumerate() {
        let mut before = costs[0];
        costs[0] = (row + 1, 0);
        for column in 1..=text.len() {
            let above = costs[column];
            let replaced = (before.0 + usize::from(text[column - 1] != *char), before.1);
            costs[column] =
                replaced.min((above.0 + 1, above.1)).min((costs[column - 1].0 + 1, costs[column - 1].1));
            before = above;
        }
    }
    let best = costs
        .iter()
        .enumerate()
        .min_by_key(|(_, cost)| cost.0)
        .map_or((0, 0, 0), |(end, cost)| (cost.0, cost.1, end));
    (best.0, text[best.1..best.2].iter().collect())
}
