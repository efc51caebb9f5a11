//! The `screen` engine over pictures whose text is known, and over such as have none.
//!
//! `training/screens.py` drew the pictures in tests/data/screen, with texts that training did not see.

#![expect(clippy::unwrap_used, reason = "what tests share is as much a test")]

use std::path::Path;
use std::time::Duration;

use driver_core::{Deadline, Frame, OcrEngine, Rect};
use ocr::ScreenEngine;

/// A picture, its text, and how many of a thousand characters may be wrong. The model's own, so that a worse one is
/// seen.
macro_rules! reads {
    ($name:ident, $per_mille:expr) => {
        #[test]
        fn $name() {
            let picture = include_bytes!(concat!("../data/screen/", stringify!($name), ".png"));
            let truth = include_str!(concat!("../data/screen/", stringify!($name), ".txt"));
            assert_reads(&Frame::from_png(picture).unwrap(), truth, $per_mille);
        }
    };
}

reads!(terminal, 5);
reads!(dialog, 25);
reads!(headings, 10);
reads!(gradient, 10);
reads!(latin, 15);

/// Letters in white on black, which the tests below put on something.
const LABELS: &[u8] = include_bytes!("../data/screen/labels.png");
const LABELS_TEXT: &str = include_str!("../data/screen/labels.txt");

fn assert_reads(frame: &Frame, truth: &str, per_mille: usize) {
    let said = ScreenEngine::builtin().read(frame, Deadline::far()).unwrap().text();
    let (mut errors, mut characters, mut wrong) = (0, 0, Vec::new());
    for line in truth.lines() {
        let distance = distance(line, &said);
        errors += distance;
        characters += line.chars().count();
        if distance > 0 {
            wrong.push(line);
        }
    }
    assert!(errors * 1000 <= characters * per_mille, "{errors} errors in {characters}: {wrong:#?}\n{said}");
}

/// The least edits between a line and any part of a text, both without regard to the width of gaps.
pub(crate) fn distance(line: &str, text: &str) -> usize {
    let plain =
        |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect::<Vec<_>>();
    let (line, text) = (plain(line), plain(text));
    let mut costs = vec![0; text.len() + 1];
    for (row, char) in line.iter().enumerate() {
        let mut before = costs[0];
        costs[0] = row + 1;
        for (column, other) in text.iter().enumerate() {
            let replaced = before + usize::from(char != other);
            before = costs[column + 1];
            costs[column + 1] = replaced.min(before + 1).min(costs[column] + 1);
        }
    }
    costs.into_iter().min().unwrap_or(0)
}

/// Numbers that look like chance, the same in every run.
fn noise() -> impl FnMut() -> u8 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(state >> 24).unwrap()
    }
}

/// Letters in `ink` on what `paper` gives for each pixel.
fn written(ink: [u8; 3], mut paper: impl FnMut(u32, u32) -> [u8; 3]) -> Frame {
    let letters = Frame::from_png(LABELS).unwrap();
    let mut rgb = Vec::new();
    for (index, letter) in letters.rgb().chunks_exact(3).enumerate() {
        let index = u32::try_from(index).unwrap();
        let paper = paper(index % letters.width(), index / letters.width());
        let share = u32::from(letter[0]);
        let mix = |ink: u8, paper: u8| {
            u8::try_from((u32::from(ink) * share + u32::from(paper) * (255 - share)) / 255).unwrap()
        };
        rgb.extend((0..3).map(|part| mix(ink[part], paper[part])));
    }
    Frame::new(letters.width(), letters.height(), rgb).unwrap()
}

#[test]
fn any_colour_on_any_other() {
    for (ink, paper) in [
        ([255; 3], [0; 3]),
        ([0; 3], [255; 3]),
        ([46, 52, 54], [238, 238, 236]),
        ([255, 0, 0], [0, 0, 160]),
        ([140; 3], [200; 3]),
    ] {
        assert_reads(&written(ink, |_, _| paper), LABELS_TEXT, 10);
    }
}

#[test]
fn on_a_gradient_and_on_two_colours_at_once() {
    let gradient = |x: u32, y: u32| [u8::try_from(x / 4).unwrap(), u8::try_from(y / 3).unwrap(), 60];
    assert_reads(&written([255; 3], gradient), LABELS_TEXT, 10);
    let halves = |x: u32, _: u32| if x < 120 { [0, 90, 40] } else { [150, 30, 90] };
    assert_reads(&written([250, 250, 240], halves), LABELS_TEXT, 20);
}

#[test]
fn white_on_a_picture() {
    let mut noise = noise();
    let picture = written([255; 3], |x, y| {
        let wave = u8::try_from((x * 3 + y * 5) % 97).unwrap();
        [40 + wave + noise() / 6, 110 - wave / 2 + noise() / 6, 60 + noise() / 5]
    });
    assert_reads(&picture, LABELS_TEXT, 30);
}

#[test]
fn with_an_outline() {
    let letters = Frame::from_png(LABELS).unwrap();
    let around = |x: u32, y: u32| {
        let near = |x: u32, y: u32| letters.rgb()[(y * letters.width() + x) as usize * 3];
        let columns = x.saturating_sub(1)..(x + 2).min(letters.width());
        columns
            .flat_map(|x| (y.saturating_sub(1)..(y + 2).min(letters.height())).map(move |y| (x, y)))
            .map(|(x, y)| near(x, y))
            .max()
            .unwrap()
    };
    let paper = |x: u32, y: u32| [150 - around(x, y) / 2, 140 - around(x, y) / 2, 160 - around(x, y) / 2];
    assert_reads(&written([255; 3], paper), LABELS_TEXT, 20);
}

#[test]
fn words_lie_where_they_stand() {
    let frame = written([255; 3], |_, _| [20; 3]);
    let reading = ScreenEngine::builtin().read(&frame, Deadline::far()).unwrap();
    assert_eq!(reading.engine, "screen");
    let words: Vec<_> = reading.lines.iter().flat_map(|line| &line.words).collect();
    assert!(words.len() > 5, "{words:?}");
    for word in words {
        let rect = word.rect.unwrap();
        let bright = |x: u32, y: u32| frame.rgb()[(y * frame.width() + x) as usize * 3] > 60;
        let (right, bottom) = (rect.x + rect.width, rect.y + rect.height);
        // The box is tight: ink on all sides of it, none beside it.
        assert!((rect.y..bottom).any(|y| bright(rect.x, y)), "left of {word:?}");
        assert!((rect.y..bottom).any(|y| bright(right - 1, y)), "right of {word:?}");
        assert!((rect.y..bottom).all(|y| !bright(right, y)), "beside {word:?}");
        assert!(word.confidence.unwrap() > 0.5, "{word:?}");
    }
}

#[test]
fn a_part_gives_the_words_that_lie_in_it() {
    let frame = written([0; 3], |_, _| [240; 3]);
    let engine = ScreenEngine::builtin();
    let whole = engine.read(&frame, Deadline::far()).unwrap();
    let second = &whole.lines[1].words;
    let (first, last) = (second.first().unwrap().rect.unwrap(), second.last().unwrap().rect.unwrap());
    let part = Rect { x: first.x, y: first.y, width: last.x + last.width - first.x, height: first.height };
    let read = engine.read_part(&frame, part, Deadline::far()).unwrap().unwrap();
    assert_eq!(read.text(), whole.lines[1].text() + "\n");
    let again = read.lines[0].words.first().unwrap().rect.unwrap();
    assert_eq!((again.x, again.y), (first.x, first.y));
    let nowhere = Rect { x: u32::MAX, y: u32::MAX, width: u32::MAX, height: u32::MAX };
    assert!(engine.read_part(&frame, nowhere, Deadline::far()).unwrap().unwrap().lines.is_empty());
}

#[test]
fn where_nothing_is_written_nothing_is_read() {
    let engine = ScreenEngine::builtin();
    for (width, height) in [(1, 1), (1, 500), (500, 1), (3, 3), (6, 6), (640, 480)] {
        for colour in [0, 255] {
            let frame = Frame::new(width, height, vec![colour; (width * height * 3) as usize]).unwrap();
            assert!(
                engine.read(&frame, Deadline::far()).unwrap().lines.is_empty(),
                "{width}x{height} of {colour}"
            );
        }
    }
    assert!(engine.read(&Frame::new(0, 0, Vec::new()).unwrap(), Deadline::far()).unwrap().lines.is_empty());
}

#[test]
fn noise_of_any_size_ends_in_text_or_in_an_error() {
    for (width, height) in [(1, 1), (7, 5), (33, 200), (640, 480), (7680, 4320)] {
        let mut noise = noise();
        let pixels = (0..width * height * 3).map(|_| noise()).collect();
        assert_ends(&Frame::new(width, height, pixels).unwrap());
        // Marks of the size of letters, which are none.
        let side = if width > 1000 { 9 } else { 5 };
        let cells: Vec<u8> =
            (0..=(width / side) * (height / side) + width + height).map(|_| noise()).collect();
        let cell = |x: u32, y: u32| cells[(y / side * (width / side) + x / side) as usize];
        let marks = (0..width * height)
            .flat_map(|index| [if cell(index % width, index / width) < 60 { 255 } else { 0 }; 3]);
        assert_ends(&Frame::new(width, height, marks.collect()).unwrap());
    }
}

fn assert_ends(frame: &Frame) {
    if let Err(error) = ScreenEngine::builtin().read(frame, Deadline::after(Duration::from_secs(20))) {
        assert_eq!(error.engine, "screen");
        assert!(error.problem.starts_with("the frame was not read within 20s"), "{error}");
    }
}

#[test]
fn a_deadline_that_is_over_is_said() {
    let frame = written([255; 3], |_, _| [0; 3]);
    let error = ScreenEngine::builtin().read(&frame, Deadline::after(Duration::ZERO)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "OCR engine `screen`: the frame was not read within 0ns (a smaller part of it takes less)"
    );
}

#[test]
fn a_frame_larger_than_8k_is_refused() {
    let frame = Frame::new(10_000, 5_000, vec![0; 150_000_000]).unwrap();
    let error = ScreenEngine::builtin().read(&frame, Deadline::far()).unwrap_err();
    assert!(error.problem.starts_with("the frame of 10000x5000 pixels is too large"), "{error}");
}

#[test]
fn models_that_are_none_are_named() {
    let missing =
        ScreenEngine::with_models(Path::new("/nowhere/find.rten"), Path::new("read.rten")).unwrap_err();
    assert!(
        missing.problem.starts_with("the detection model `/nowhere/find.rten` cannot be loaded: "),
        "{missing}"
    );
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/models/screen.onnx");
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/models/screen.alphabet");
    let broken = ScreenEngine::with_models(Path::new(ours), Path::new(text)).unwrap_err();
    assert!(broken.problem.starts_with("the recognition model `"), "{broken}");
}
