//! `log.txt`: the whole log without colours, for those who get the directory and did not see the terminal.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};

use crate::files::failed;
use crate::tally::Tally;
use crate::transcript::Transcript;

/// The file's name in the result directory.
const NAME: &str = "log.txt";

/// Writes `log.txt`, entry by entry, with the summary at its end.
pub struct LogFile {
    file: File,
    transcript: Transcript,
    tally: Tally,
}

impl LogFile {
    /// Starts the file in the result directory `dir`.
    ///
    /// # Errors
    /// [`DriverError::File`] when it cannot be made.
    pub fn create(dir: &Path) -> Result<Self, DriverError> {
        let file = File::create(dir.join(NAME)).map_err(failed("create", NAME))?;
        Ok(Self { file, transcript: Transcript::default(), tally: Tally::default() })
    }
}

impl Reporter for LogFile {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.tally.observe(record);
        let Some(entry) = self.transcript.entry(record) else { return Ok(()) };
        self.file.write_all(entry.render(false).as_bytes()).map_err(failed("write", NAME))
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let summary = self.tally.summary().render(false);
        self.file.write_all(summary.as_bytes()).map_err(failed("write", NAME))
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFile").finish_non_exhaustive()
    }
}
