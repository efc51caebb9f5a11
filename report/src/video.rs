//! The video of a screen: the frames that a run has kept, as an animated PNG that every browser plays and no program of
//! the host has to encode, and the log as a track of subtitles in WebVTT.

mod apng;
mod subtitles;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use driver_core::event::{Event, Record};
use driver_core::{DriverError, Reporter};

use crate::files::{failed, write_atomically};
use crate::transcript::Transcript;
use subtitles::Subtitles;

/// The folder of the result directory that videos are in.
const FOLDER: &str = "video";
/// Frames of one machine that become a video; a run keeps no more in a day.
const FRAMES: usize = 5_000;
/// How long the last frame is shown at least, in microseconds.
const LAST_US: u64 = 2_000_000;

/// Writes a video of each machine of which frames were kept, when the run has ended.
pub struct Video {
    dir: PathBuf,
    transcript: Transcript,
    frames: BTreeMap<String, Vec<Shot>>,
    subtitles: Subtitles,
    end_us: u64,
}

/// A frame, and since when the screen showed it.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) t_us: u64,
    /// In the result directory.
    pub(crate) path: String,
}

impl Video {
    /// Prepares the videos of the result directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            transcript: Transcript::default(),
            frames: BTreeMap::new(),
            subtitles: Subtitles::default(),
            end_us: 0,
        }
    }

    fn write(&self, machine: &str, shots: &[Shot]) -> std::io::Result<()> {
        let end_us = self.end_us.max(shots.last().map_or(0, |last| last.t_us) + LAST_US);
        let Some(animation) = apng::of(&self.dir, shots, end_us) else { return Ok(()) };
        let folder = self.dir.join(FOLDER);
        // Not the result directory itself, which may be gone.
        if !folder.is_dir() {
            fs::create_dir(&folder)?;
        }
        write_atomically(&self.dir, &path_of(machine), &animation)?;
        let track = self.subtitles.track(shots.first().map_or(0, |first| first.t_us), end_us);
        write_atomically(&self.dir, &subtitles_of(machine), track.as_bytes())
    }
}

/// The path of a machine's video in the result directory.
pub(crate) fn path_of(machine: &str) -> String {
    format!("{FOLDER}/{machine}.apng")
}

/// The path of its subtitles.
pub(crate) fn subtitles_of(machine: &str) -> String {
    format!("{FOLDER}/{machine}.vtt")
}

impl Reporter for Video {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.end_us = self.end_us.max(record.t_us);
        // What guests print is on their screens, and may be very much.
        if !matches!(record.event, Event::Console { .. } | Event::CommandOutput { .. })
            && let Some(entry) = self.transcript.entry(record)
        {
            self.subtitles.add(record.t_us, &entry);
        }
        if let (Event::Frame { path }, Some(machine)) = (&record.event, &record.machine) {
            let shots = self.frames.entry(machine.clone()).or_default();
            // The name becomes a part of a path, and an event file may come from anywhere.
            if !machine.contains('/') && shots.len() < FRAMES {
                shots.push(Shot { t_us: record.t_us, path: path.clone() });
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        for (machine, shots) in &self.frames {
            self.write(machine, shots).map_err(failed("write", path_of(machine)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Video").field("dir", &self.dir).finish_non_exhaustive()
    }
}
