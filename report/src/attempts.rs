//! Earlier results of a directory, in its folder `attempts`: what tells a test that was run again from one that passed
//! at once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::files::EVENTS;
use crate::read::EventFile;
use crate::summary::Summary;
use crate::tally::Tally;

/// The folder of a result directory with the results that were there before, by number, the oldest first.
pub const ATTEMPTS: &str = "attempts";

/// How many attempts are looked at, the last ones.
const LOOKED_AT: usize = 10;
/// Bytes of events that are read of one; a summary is not worth more than a second.
const READ: u64 = 256 << 20;
/// A run that begins so soon after the end of another one tries the same again. In a directory that is kept from build
/// to build there are attempts of other days.
const SOON: Duration = Duration::from_secs(600);

/// An earlier result.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Its number, which is its name in [`ATTEMPTS`].
    pub(crate) number: u32,
    pub(crate) summary: Summary,
}

/// The attempts that the result directory `dir` keeps and that can be read, the oldest first.
pub(crate) fn kept_in(dir: &Path) -> Vec<Attempt> {
    let folder = dir.join(ATTEMPTS);
    let names = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
    let mut numbers: Vec<u32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    let first = numbers.len().saturating_sub(LOOKED_AT);
    let read = |number: u32| {
        let summary = summary_of(&folder.join(number.to_string()).join(EVENTS))?;
        Some(Attempt { number, summary })
    };
    numbers.drain(first..).filter_map(read).collect()
}

/// Those of `attempts` that the run of `last` has tried again: of the same test, each soon after the one before.
pub(crate) fn tried_again<'a>(attempts: &'a [Attempt], last: &Summary) -> &'a [Attempt] {
    let mut later = last;
    let mut first = attempts.len();
    for (index, attempt) in attempts.iter().enumerate().rev() {
        if !is_soon_after(later, &attempt.summary) {
            break;
        }
        (first, later) = (index, &attempt.summary);
    }
    &attempts[first..]
}

fn is_soon_after(later: &Summary, earlier: &Summary) -> bool {
    let (Some(began), Some(before)) = (later.started_unix_ms, earlier.started_unix_ms) else { return false };
    let ended = Duration::from_millis(before).saturating_add(earlier.duration);
    earlier.test == later.test && Duration::from_millis(began).saturating_sub(ended) <= SOON
}

fn summary_of(file: &Path) -> Option<Summary> {
    if fs::metadata(file).ok()?.len() > READ {
        return None;
    }
    let mut events = EventFile::open(file).ok()?;
    let mut tally = Tally::default();
    while let Some(record) = events.next_record().ok()? {
        tally.observe(&record);
    }
    Some(tally.summary())
}
