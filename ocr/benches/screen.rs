//! How long the `screen` engine takes: a screen full of text, the same again, and with one line changed.
//! `cargo bench -p ocr`; the least of some runs, since a machine has other work as well.
#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::{Duration, Instant};

use driver_core::{Deadline, Frame, OcrEngine, Rect};
use ocr::ScreenEngine;

/// A terminal of 1024x768 pixels with some fifty rows.
const TERMINAL: &[u8] = include_bytes!("../tests/data/screen/terminal.png");
const RUNS: usize = 10;

fn least(what: &str, mut run: impl FnMut(usize) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let mut best = Duration::MAX;
    for number in 0..RUNS {
        let began = Instant::now();
        run(number)?;
        best = best.min(began.elapsed());
    }
    println!("{what}: {:.1} ms", best.as_secs_f64() * 1e3);
    Ok(())
}

/// The frame with some pixels of its first line moved, each time others.
fn changed(frame: &Frame, number: usize) -> Option<Frame> {
    let mut rgb = frame.rgb().to_vec();
    let across = frame.width() as usize * 3;
    for row in rgb.chunks_exact_mut(across).take(16) {
        row[30..across - 30].rotate_left((number + 1) * 30);
    }
    Frame::new(frame.width(), frame.height(), rgb)
}

fn main() -> Result<(), Box<dyn Error>> {
    let frame = Frame::from_png(TERMINAL)?;
    least("model loaded, one word read", |_| {
        let word = Rect { x: 0, y: 0, width: 100, height: 16 };
        ScreenEngine::builtin().read_part(&frame, word, Deadline::far()).transpose()?;
        Ok(())
    })?;
    least("screen of 1024x768", |_| {
        let engine = ScreenEngine::builtin();
        engine.read_part(&frame, Rect { x: 0, y: 0, width: 100, height: 16 }, Deadline::far()).transpose()?;
        let began = Instant::now();
        engine.read(&frame, Deadline::far())?;
        println!("  {:.1} ms after the model was loaded", began.elapsed().as_secs_f64() * 1e3);
        Ok(())
    })?;
    let engine = ScreenEngine::builtin();
    engine.read(&frame, Deadline::far())?;
    least("the same again", |_| Ok(engine.read(&frame, Deadline::far()).map(drop)?))?;
    let frames: Vec<Frame> = (0..RUNS).filter_map(|number| changed(&frame, number)).collect();
    least("one line changed, whole screen", |number| {
        Ok(engine.read(&frames[number], Deadline::far()).map(drop)?)
    })?;
    let engine = ScreenEngine::builtin();
    let line = Rect { x: 0, y: 0, width: frame.width(), height: 17 };
    engine.read_part(&frame, line, Deadline::far()).transpose()?;
    least("one line changed, that line", |number| {
        Ok(engine.read_part(&frames[number], line, Deadline::far()).transpose().map(drop)?)
    })
}
