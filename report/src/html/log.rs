//! The log as the page carries it: rows in JSON, packed in blocks. What guests print has blocks of its own,
//! so that a flood of it takes nothing else away.

use std::collections::VecDeque;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver_core::event::{Event, OutputStream, Record};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::escape::visible_lines;
use crate::transcript::{Kind, Transcript};

/// Bytes of rows in a block: unpacked by a browser in a few milliseconds.
const BLOCK: usize = 256 << 10;
/// Lines in a block. Those of all blocks of both streams, at 20 pixels each, stay below the 17 million pixels
/// that browsers make a list high.
const LINES: usize = 1_600;
/// Blocks that a stream keeps, 64 MiB in all; of more, those in the middle go.
const BLOCKS: usize = 256;
/// Of which so many are from the beginning.
const FIRST: usize = 64;
/// Bytes of one row's text; no reader of a page misses the rest of such a line.
const TEXT: usize = 64 << 10;

/// Gathers the rows.
#[derive(Debug, Default)]
pub(crate) struct Log {
    transcript: Transcript,
    machines: Vec<String>,
    steps: Stream,
    guests: Stream,
}

/// Rows of one kind of source, in blocks.
#[derive(Debug, Default)]
struct Stream {
    first: Vec<String>,
    last: VecDeque<Block>,
    open: Vec<u8>,
    rows: u64,
    lines: usize,
    left_out: u64,
}

#[derive(Debug)]
struct Block {
    packed: String,
    rows: u64,
}

/// What the page's script gets: position, time, scope, machine, kind, text, and what belongs to the kind.
#[derive(Debug, Serialize)]
struct Row<'a>(u64, u64, u64, usize, &'static str, &'a str, u64, u64);

/// The blocks of a stream for the page, in order.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// From the beginning of the run on.
    pub(crate) first: Vec<String>,
    /// How many rows are missing between the two.
    pub(crate) left_out: u64,
    /// Up to the run's end.
    pub(crate) last: Vec<String>,
}

impl Log {
    /// Takes the next record.
    pub(crate) fn observe(&mut self, record: &Record) {
        if let Event::RunStarted(run) = &record.event {
            self.machines.clone_from(&run.machines);
        }
        let machine = self.number_of(record.machine.as_deref());
        let from_guest = matches!(record.event, Event::Console { .. } | Event::CommandOutput { .. });
        let stream = if from_guest { &mut self.guests } else { &mut self.steps };
        let entry = self.transcript.entry(record);
        let (kind, text, id, duration_us) = match (&record.event, &entry) {
            (Event::ScopeStarted { id, .. }, Some(entry)) => ("step", entry.text(), *id, 0),
            (Event::ScopeEnded { id, duration_us, error }, _) => {
                ("end", error.as_deref().unwrap_or_default(), *id, *duration_us)
            }
            (Event::FileSaved { path, .. }, _) => ("file", path.as_str(), 0, 0),
            (Event::CommandOutput { stream: OutputStream::Stdout, line }, _) => {
                ("stdout", line.as_str(), 0, 0)
            }
            (Event::CommandOutput { stream: OutputStream::Stderr, line }, _) => {
                ("stderr", line.as_str(), 0, 0)
            }
            (_, Some(entry)) => (word(entry.kind), entry.text(), 0, 0),
            (_, None) => return,
        };
        let text = visible_lines(cut(text));
        stream.add(&Row(record.seq, record.t_us, record.scope, machine, kind, &text, id, duration_us));
    }

    /// The machines that rows speak of by number; number 0 is none, and 1 the first of these.
    pub(crate) fn machines(&self) -> &[String] {
        &self.machines
    }

    /// The packed rows: of the test, and of the guests.
    pub(crate) fn take(&mut self) -> [Blocks; 2] {
        [self.steps.take(), self.guests.take()]
    }

    fn number_of(&mut self, machine: Option<&str>) -> usize {
        let Some(machine) = machine else { return 0 };
        match self.machines.iter().position(|name| name == machine) {
            Some(at) => at + 1,
            None => {
                self.machines.push(machine.to_owned());
                self.machines.len()
            }
        }
    }
}

impl Stream {
    fn add(&mut self, row: &Row<'_>) {
        self.open.push(if self.open.is_empty() { b'[' } else { b',' });
        // Numbers and text always make JSON, and a vector takes it.
        let _ = serde_json::to_writer(&mut self.open, row);
        self.rows += 1;
        self.lines += 1 + row.5.matches('\n').count();
        if self.open.len() >= BLOCK || self.lines >= LINES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        self.open.push(b']');
        let packed = pack(&self.open);
        self.open.clear();
        let rows = std::mem::take(&mut self.rows);
        self.lines = 0;
        if self.first.len() < FIRST {
            self.first.push(packed);
            return;
        }
        self.last.push_back(Block { packed, rows });
        if self.last.len() > BLOCKS - FIRST {
            self.left_out += self.last.pop_front().map_or(0, |block| block.rows);
        }
    }

    fn take(&mut self) -> Blocks {
        self.close();
        Blocks {
            first: std::mem::take(&mut self.first),
            left_out: self.left_out,
            last: std::mem::take(&mut self.last).into_iter().map(|block| block.packed).collect(),
        }
    }
}

fn pack(rows: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(rows);
    STANDARD.encode(encoder.finish().unwrap_or_default())
}

fn cut(text: &str) -> &str {
    (0..=TEXT.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// What the page's script calls a kind.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Step | Kind::End => "step",
        Kind::Plain => "info",
        Kind::Debug => "debug",
        Kind::Console => "console",
        Kind::Warning => "warning",
        Kind::Error => "error",
        Kind::Script(_) => "script",
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS, FIRST, LINES, Row, Stream};

    #[test]
    fn a_block_of_short_lines_is_no_longer_than_browsers_bear() {
        let mut stream = Stream::default();
        for seq in 0..u64::try_from(LINES).unwrap() {
            stream.add(&Row(seq, 0, 0, 0, "info", "two\nlines", 0, 0));
        }
        assert_eq!(stream.take().first.len(), 2);
        const { assert!(2 * BLOCKS * LINES * 20 < 17_000_000) };
    }

    #[test]
    fn a_flood_leaves_out_the_middle_and_says_how_much() {
        let mut stream = Stream::default();
        let count = 10 + u64::try_from(BLOCKS).unwrap();
        for seq in 0..count {
            for part in 0..3 {
                stream.add(&Row(seq, part, 0, 0, "console", "line", 0, 0));
            }
            stream.close();
        }
        let blocks = stream.take();
        assert_eq!((blocks.first.len(), blocks.last.len(), blocks.left_out), (FIRST, BLOCKS - FIRST, 30));
    }
}
