//! What can go wrong when views are made again from a file.

use std::io;
use std::path::PathBuf;

use driver_core::DriverError;

/// Why the views of a result directory could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The event file is not there, or the disk has a problem.
    #[error("failed to read `{}` (name the result directory of a run: the one that was given with `-o`)", path.display())]
    Read {
        /// The event file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A run is writing to the directory, or another program makes its reports.
    #[error("a run is writing to `{}` (wait for its end)", dir.display())]
    Busy {
        /// The result directory.
        dir: PathBuf,
    },
    /// The file holds something else, or the run was killed before its first record was written.
    #[error("`{}` does not begin with the record of a run's start, so there is nothing to report", path.display())]
    NoRun {
        /// The event file.
        path: PathBuf,
    },
    /// A later innkeeper wrote it, in a format that cannot be read with gaps.
    #[error("`{}` has format {found}, and this innkeeper reads up to {known} (use the innkeeper that ran the test, version {version})", path.display())]
    NewerFormat {
        /// The event file.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The newest format that is understood.
        known: u32,
        /// The version that wrote the file.
        version: String,
    },
    /// A view could not be written.
    #[error(transparent)]
    Write(#[from] DriverError),
}
