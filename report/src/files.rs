//! The files of a result directory, made while a run goes on or again afterwards.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use driver_core::{DriverError, Reporter};

use crate::console_logs::ConsoleLogs;
use crate::error::ReportError;
use crate::html::HtmlPage;
use crate::junit::JunitXml;
use crate::log_file::LogFile;
use crate::read::{EventFile, Unread};
use crate::summary::Summary;
use crate::tally::Tally;
use crate::tap::Tap;
use crate::video::Video;

/// The name of the event file in a result directory: what all other views are made from.
pub const EVENTS: &str = "events.jsonl";

/// The reporters that write `report.html`, `junit.xml`, `results.tap`, `log.txt`, `console/` and `video/` into the
/// result directory `dir`, which is there already.
///
/// # Errors
/// [`DriverError::File`] when one of the files cannot be made.
pub fn file_views(dir: &Path) -> Result<Vec<Box<dyn Reporter>>, DriverError> {
    Ok(vec![
        Box::new(LogFile::create(dir)?),
        Box::new(ConsoleLogs::create(dir)?),
        Box::new(JunitXml::new(dir)),
        Box::new(Tap::new(dir)),
        Box::new(Video::new(dir)),
        Box::new(HtmlPage::new(dir)),
    ])
}

/// Locks the result directory `dir` for somebody who writes to it, until the file that is returned is closed;
/// `None` when somebody else has locked it.
///
/// # Errors
/// What the operating system said: the directory is not there, say.
pub fn lock(dir: &Path) -> io::Result<Option<File>> {
    let dir = File::open(dir)?;
    match dir.try_lock() {
        Ok(()) => Ok(Some(dir)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some network file systems have no locks; that is no reason to refuse a run.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Some(dir)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes the files of a run that has ended again from its event file, and says what came out of the run
/// and what of the event file could not be read. Whatever happened to the driver: a run without an end
/// is reported as cut off.
///
/// # Errors
/// [`ReportError`]: there are no events, they are in a newer format, a run is still writing to the directory,
/// or a file cannot be written. The old files are not touched before the events proved readable.
pub fn remake(dir: &Path) -> Result<(Summary, Unread), ReportError> {
    let mut events = EventFile::open(&dir.join(EVENTS))?;
    let read = |source| ReportError::Read { path: dir.to_owned(), source };
    let _lock = lock(dir).map_err(read)?.ok_or_else(|| ReportError::Busy { dir: dir.to_owned() })?;
    let mut views = file_views(dir)?;
    let mut tally = Tally::default();
    while let Some(record) = events.next_record()? {
        tally.observe(&record);
        for view in &mut views {
            view.record(&record)?;
        }
    }
    for view in &mut views {
        view.finish()?;
    }
    Ok((tally.summary(), events.unread()))
}

/// Turns what the operating system said about a file of the result directory into an error.
pub(crate) fn failed(
    operation: &'static str,
    path: impl Into<String>,
) -> impl FnOnce(io::Error) -> DriverError {
    let path = path.into();
    move |source| DriverError::File { operation, path, source }
}

/// Writes a whole file of the result directory: a reader sees the old one or the new one.
pub(crate) fn write_atomically(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".innkeeper-").suffix(".tmp");
    // Temporary files are private, results are as public as the user's umask has it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(dir)?;
    file.write_all(content)?;
    file.persist(dir.join(name))?;
    Ok(())
}
