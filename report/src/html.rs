//! `report.html`: the run as one page that needs nothing beside it. Opened from a disk or from a store of
//! artefacts, by a browser that reaches no network.
//!
//! What a reader needs first (verdict, message, machines, time line) is plain HTML, which shows without
//! scripts, too. The log lies packed in the page, and a script of ours shows the part that is looked at:
//! so it can have hundreds of thousands of lines.

mod clock;
mod log;
mod page;
mod pictures;
mod timeline;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use driver_core::event::{Event, FileKind, Record};
use driver_core::{DriverError, Reporter};

pub(crate) use clock::{moment, span};
pub(crate) use page::STYLE;
pub(crate) use pictures::{address, is_inside};

use crate::files::{failed, write_atomically};
use crate::html::log::Log;
use crate::html::page::Page;
use crate::html::timeline::Timeline;
use crate::tails::Tails;
use crate::tally::Tally;
use crate::video::Shot;

/// The name of the page in a result directory.
pub const PAGE: &str = "report.html";

/// Files that the page lists; a script that saves more saves too many to look at.
const FILES: usize = 2_000;
/// Changes of one screen that the page can show.
const FRAMES: usize = 2_000;

/// Writes `report.html` when the run has ended, in one go: a reader sees the old file or the new one.
pub struct HtmlPage {
    dir: PathBuf,
    story: Story,
}

/// What the page tells, gathered from the records.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) tally: Tally,
    pub(crate) log: Log,
    pub(crate) timeline: Timeline,
    pub(crate) tails: Tails,
    pub(crate) files: Vec<SavedFile>,
    /// What screens showed, by machine, with the places of the records.
    pub(crate) frames: BTreeMap<String, Vec<(u64, Shot)>>,
    pub(crate) version: String,
    pub(crate) script: String,
}

/// A file in the result directory.
#[derive(Debug)]
pub(crate) struct SavedFile {
    pub(crate) seq: u64,
    pub(crate) t_us: u64,
    pub(crate) machine: Option<String>,
    pub(crate) kind: FileKind,
    pub(crate) path: String,
}

impl HtmlPage {
    /// Prepares the page of the result directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), story: Story::default() }
    }
}

impl Reporter for HtmlPage {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.story.observe(record);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let html = Page::of(&mut self.story, &self.dir).render().map_err(failed("write", PAGE))?;
        write_atomically(&self.dir, PAGE, html.as_bytes()).map_err(failed("write", PAGE))
    }
}

impl fmt::Debug for HtmlPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HtmlPage").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Story {
    fn observe(&mut self, record: &Record) {
        self.tally.observe(record);
        self.log.observe(record);
        self.timeline.observe(record);
        self.tails.observe(record);
        match (&record.event, &record.machine) {
            (Event::RunStarted(run), _) => {
                self.version.clone_from(&run.version);
                self.script.clone_from(&run.script);
            }
            (Event::Frame { path }, Some(machine)) => {
                let shots = self.frames.entry(machine.clone()).or_default();
                if shots.len() < FRAMES {
                    shots.push((record.seq, Shot { t_us: record.t_us, path: path.clone() }));
                }
            }
            (Event::FileSaved { kind, path }, machine) if self.files.len() < FILES => {
                self.files.push(SavedFile {
                    seq: record.seq,
                    t_us: record.t_us,
                    machine: machine.clone(),
                    kind: *kind,
                    path: path.clone(),
                });
            }
            _ => {}
        }
    }
}
