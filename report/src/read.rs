//! Reads `events.jsonl` as a stream: whatever its size, and whatever state a killed driver or a full disk
//! left it in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use driver_core::event::{Event, FORMAT, Record};

use crate::error::ReportError;

/// The longest line that is read, in bytes. Longer than any record that innkeeper writes.
const LINE_LIMIT: u64 = 256 << 20;

/// What of an event file was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread {
    /// Records of kinds that this version does not know: a later innkeeper wrote them.
    pub unknown: u64,
    /// Lines that are no records, or too long to be.
    pub broken: u64,
    /// The number of the first broken line, counted from one.
    pub first_broken: Option<u64>,
    /// The last line was not written to its end: the driver was killed while it wrote.
    pub torn: bool,
}

impl Unread {
    /// One sentence for each thing that a user should know; none for a torn last line, which belongs to
    /// a run that was cut off.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.unknown > 0 {
            let count = self.unknown;
            warnings
                .push(format!("records of kinds that this innkeeper does not know were left out ({count})"));
        }
        if let Some(line) = self.first_broken {
            let count = self.broken;
            warnings.push(format!("lines that are no records were left out ({count}, first line {line})"));
        }
        warnings
    }
}

/// An event file that is being read.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    lines: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    limit: u64,
    first: Option<Record>,
    unread: Unread,
}

enum Line {
    Record(Box<Record>),
    Unknown,
    Broken,
}

impl EventFile {
    /// Opens a file and reads its first record, which has to be the start of a run.
    pub(crate) fn open(path: &Path) -> Result<Self, ReportError> {
        let file = File::open(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
        let mut events = Self {
            path: path.to_owned(),
            lines: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            number: 0,
            limit: LINE_LIMIT,
            first: None,
            unread: Unread::default(),
        };
        let path = events.path.clone();
        match events.next_record()? {
            Some(record) => match &record.event {
                Event::RunStarted(run) if run.format > FORMAT => {
                    let (found, version) = (run.format, run.version.clone());
                    Err(ReportError::NewerFormat { path, found, known: FORMAT, version })
                }
                Event::RunStarted(_) => {
                    events.first = Some(record);
                    Ok(events)
                }
                _ => Err(ReportError::NoRun { path }),
            },
            None => Err(ReportError::NoRun { path }),
        }
    }

    /// The next record that can be read; `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, ReportError> {
        if let Some(record) = self.first.take() {
            return Ok(Some(record));
        }
        while let Some(whole) =
            self.next_line().map_err(|source| ReportError::Read { path: self.path.clone(), source })?
        {
            match parse(&self.line) {
                Line::Record(record) => return Ok(Some(*record)),
                _ if !whole => self.unread.torn = true,
                Line::Unknown => self.unread.unknown += 1,
                Line::Broken => {
                    self.unread.broken += 1;
                    self.unread.first_broken.get_or_insert(self.number);
                }
            }
        }
        Ok(None)
    }

    /// What has been passed over so far.
    pub(crate) fn unread(&self) -> Unread {
        self.unread
    }

    /// Reads a line, as far as it is read, and says whether it has its end; `None` at the end of
    /// the file.
    fn next_line(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        if (&mut self.lines).take(self.limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.ends_with(b"\n") {
            return Ok(Some(true));
        }
        if (self.line.len() as u64) < self.limit {
            return Ok(Some(false));
        }
        self.line.clear();
        self.lines.skip_until(b'\n')?;
        Ok(Some(true))
    }
}

fn parse(line: &[u8]) -> Line {
    if let Ok(record) = serde_json::from_slice(line) {
        return Line::Record(Box::new(record));
    }
    // A later innkeeper may have added kinds of events; their frame stays what it is.
    match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(value) if value["seq"].is_u64() && value["event"]["type"].is_string() => Line::Unknown,
        _ => Line::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::EventFile;
    use std::io::Write as _;

    #[test]
    fn a_line_without_bounds_is_passed_over_and_reading_goes_on() {
        let golden = include_str!("../tests/golden/failed/events.jsonl");
        let (first, second) = golden.split_once('\n').unwrap();
        let second = second.lines().next().unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{first}\n{}\n{second}\n", "x".repeat(10_000)).unwrap();
        let mut events = EventFile::open(file.path()).unwrap();
        events.limit = 1_000;
        let read: Vec<_> = std::iter::from_fn(|| events.next_record().unwrap()).collect();
        assert_eq!(read.iter().map(|record| record.seq).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((events.unread.broken, events.unread.first_broken), (1, Some(2)));
        assert!(events.line.capacity() < 5_000, "the line was not kept");
    }
}
