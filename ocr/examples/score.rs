//! How well engines read the corpus: `cargo run --release -p ocr --example score -- [-v] [ENGINE...]`. The engine
//! `nixos` stands for what NixOS's test driver does: tesseract three times, on the raw picture (which is a row of its
//! own) and on two that ImageMagick has processed; of each line the best of the three counts.
//!
//! The error rate of a line of truth is its edit distance to the best place in the engine's text, with blanks
//! collapsed; what an engine reads beside that is not held against it. All engines read a picture before the next one
//! is read, so that the host's other work slows all of them. `-v` prints each line with errors.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use driver_core::{Deadline, Frame};

/// Classes of pictures, and how the names of theirs begin.
const CLASSES: [(&str, &[&str]); 3] = [
    ("consoles", &["vga", "fb", "font", "firmware"]),
    ("flat", &["xterm", "gtk", "qt", "web"]),
    ("wallpapers", &["wall", "icewm"]),
];
/// Confusions that are listed for an engine.
const MOST_CONFUSIONS: usize = 25;

/// What one engine, by this name, read of one picture: one text, or several of which each may have a line.
struct Answer {
    engine: String,
    texts: Vec<String>,
    time: Duration,
}

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

/// How often some characters were read for others.
type Confusions = BTreeMap<(String, String), usize>;

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
    let mut scores: BTreeMap<(String, String), Score> = BTreeMap::new();
    let mut confusions: BTreeMap<String, Confusions> = BTreeMap::new();
    for picture in &pictures {
        let name = picture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let truth = fs::read_to_string(picture.with_extension("txt"))?;
        for engine in &engines {
            for answer in read(engine, picture)? {
                let texts: Vec<Vec<char>> = answer.texts.iter().map(|text| collapse(text)).collect();
                let score = count(&truth, &texts, answer.time, |line| {
                    let (mut least, mut edits) = (usize::MAX, Vec::new());
                    for text in &texts {
                        let (distance, found) = align(line, text);
                        if distance < least {
                            (least, edits) = (distance, found);
                        }
                    }
                    if verbose {
                        let line: String = line.iter().collect();
                        println!("{} {name}: {least} in {line:?}: {edits:?}", answer.engine);
                    }
                    let counted = confusions.entry(answer.engine.clone()).or_default();
                    edits.into_iter().for_each(|edit| *counted.entry(edit).or_default() += 1);
                });
                for group in groups(&name) {
                    scores.entry((answer.engine.clone(), group)).or_default().add(&score);
                }
            }
        }
    }
    println!(
        "engine      group      pictures  lines  exact    errors/characters  all %  mean %  median %  median ms  max ms"
    );
    for ((engine, group), score) in &mut scores {
        score.print(engine, group);
    }
    for (engine, confused) in confusions {
        let mut confused: Vec<_> = confused.into_iter().collect();
        confused.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        let most = confused.iter().take(MOST_CONFUSIONS);
        let listed: Vec<_> =
            most.map(|((truth, found), times)| format!("{truth:?} as {found:?} {times}")).collect();
        println!("{engine}: {}", listed.join(", "));
    }
    Ok(())
}

/// A picture's kind and class, and all.
fn groups(name: &str) -> Vec<String> {
    let kind = name.split('-').next().unwrap_or_default();
    let class = CLASSES.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(class, _)| *class);
    ["all", kind].into_iter().chain(class).map(str::to_owned).collect()
}

fn read(engine: &str, picture: &Path) -> Result<Vec<Answer>, Box<dyn Error>> {
    if engine == "nixos" {
        return as_nixos(picture);
    }
    let frame = Frame::from_png(&fs::read(picture)?)?;
    let opened = ocr::open(engine, &ocr::Settings::default()).ok_or("there is no such engine")??;
    // A run loads its model once, for the first stroke that it sees; and it remembers the lines of the last picture.
    let stroke = (0..40 * 20)
        .flat_map(|at| [if at % 40 / 2 == 9 && (5..15).contains(&(at / 40)) { 0 } else { 255 }; 3]);
    let stroke = Frame::new(40, 20, stroke.collect()).ok_or("it has as many pixels as it says")?;
    opened.read(&stroke, Deadline::far())?;
    let started = Instant::now();
    let reading = opened.read(&frame, Deadline::after(Duration::from_secs(600)))?;
    let time = started.elapsed();
    Ok(vec![Answer { engine: engine.to_owned(), texts: vec![reading.text()], time }])
}

/// Source: `nixos/lib/test-driver/src/test_driver/machine/ocr.py` of nixpkgs, whose settings are facts of its contract.
/// `--oem 2` is left out: Debian's language data has no legacy engine to combine the other one with.
fn as_nixos(picture: &Path) -> Result<Vec<Answer>, Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let read = |picture: &Path| -> Result<String, Box<dyn Error>> {
        let mut command = Command::new("tesseract");
        command.arg(picture).args(["-", "-c", "debug_file=/dev/null", "--psm", "11"]);
        let output = command.output()?;
        if !output.status.success() {
            return Err("tesseract failed".into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let started = Instant::now();
    let mut texts = vec![read(picture)?];
    let raw = Answer { engine: "nixos raw".to_owned(), texts: texts.clone(), time: started.elapsed() };
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
        texts.push(read(&out)?);
    }
    Ok(vec![raw, Answer { engine: "nixos".to_owned(), texts, time: started.elapsed() }])
}

/// The score of one picture; `explain` is given each line with errors.
fn count(truth: &str, texts: &[Vec<char>], time: Duration, mut explain: impl FnMut(&[char])) -> Score {
    let mut score = Score { pictures: 1, times: vec![time], ..Score::default() };
    for line in truth.lines().map(collapse).filter(|line| !line.is_empty()) {
        let best = texts.iter().map(|text| distance(&line, text)).min().unwrap_or(line.len());
        score.errors += best.min(line.len());
        score.characters += line.len();
        score.lines += 1;
        score.exact += usize::from(best == 0);
        if best > 0 {
            explain(&line);
        }
    }
    score.rates = vec![percent(score.errors, score.characters)];
    score
}

impl Score {
    fn add(&mut self, other: &Self) {
        self.pictures += other.pictures;
        self.errors += other.errors;
        self.characters += other.characters;
        self.lines += other.lines;
        self.exact += other.exact;
        self.rates.extend(&other.rates);
        self.times.extend(&other.times);
    }

    fn print(&mut self, engine: &str, group: &str) {
        self.rates.sort_by(f64::total_cmp);
        self.times.sort();
        let middle = self.pictures / 2;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred pictures")]
        let mean = self.rates.iter().sum::<f64>() / self.rates.len() as f64;
        println!(
            "{engine:10}  {group:10} {:8} {:6} {:6}  {:>18} {:6.2}  {mean:6.2} {:9.2} {:10.1} {:7.1}",
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

/// That distance, and what differs: the characters of the line, and those that stand there instead.
fn align(line: &[char], text: &[char]) -> (usize, Vec<(String, String)>) {
    let across = text.len() + 1;
    let mut costs = vec![0; (line.len() + 1) * across];
    for row in 1..=line.len() {
        costs[row * across] = row;
        for at in 1..across {
            let replaced = costs[(row - 1) * across + at - 1] + usize::from(line[row - 1] != text[at - 1]);
            let either = costs[(row - 1) * across + at].min(costs[row * across + at - 1]);
            costs[row * across + at] = replaced.min(either + 1);
        }
    }
    let cost = |row: usize, at: usize| costs[row * across + at];
    let (mut row, mut at) =
        (line.len(), (0..across).min_by_key(|at| cost(line.len(), *at)).unwrap_or_default());
    let least = cost(row, at);
    let (mut edits, mut is_open) = (Vec::<(String, String)>::new(), false);
    while row > 0 {
        let is_same = at > 0 && line[row - 1] == text[at - 1];
        let (wanted, found) = if at > 0 && cost(row, at) == cost(row - 1, at - 1) + usize::from(!is_same) {
            (row, at) = (row - 1, at - 1);
            (Some(line[row]), Some(text[at]))
        } else if cost(row, at) == cost(row - 1, at) + 1 {
            row -= 1;
            (Some(line[row]), None)
        } else {
            at -= 1;
            (None, Some(text[at]))
        };
        let is_edit = wanted != found;
        if is_edit && !is_open {
            edits.push(Default::default());
        }
        if let Some((truth, said)) = edits.last_mut().filter(|_| is_edit) {
            truth.extend(wanted);
            said.extend(found);
        }
        is_open = is_edit;
    }
    let forwards = |text: String| text.chars().rev().collect();
    edits.reverse();
    (least, edits.into_iter().map(|(truth, said)| (forwards(truth), forwards(said))).collect())
}
