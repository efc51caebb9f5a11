//! The directories in which machines keep their disks.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::StatePlace;
use crate::error::DriverError;
use crate::event::Level;
use crate::journal::Journal;

/// Makes them, below one directory.
#[derive(Debug)]
pub(super) struct StateDirs {
    place: StatePlace,
    shared_dir: PathBuf,
}

impl StateDirs {
    /// Below `place`, or else below the run's own directory.
    pub(super) fn new(place: Option<StatePlace>, run_dir: &Path) -> Result<Self, DriverError> {
        let place = place.unwrap_or_else(|| StatePlace { base: run_dir.to_owned(), keep: false });
        let shared_dir = place.base.join("shared-xchg");
        make_private(&shared_dir)?;
        Ok(Self { place, shared_dir })
    }

    pub(super) fn base(&self) -> &Path {
        &self.place.base
    }

    pub(super) fn shared_dir(&self) -> &Path {
        &self.shared_dir
    }

    /// The directory of a machine: empty, unless that of an earlier run is to be kept.
    pub(super) fn make(&self, machine: &str, journal: &Journal) -> Result<PathBuf, DriverError> {
        self.make_or_keep(machine, self.place.keep, journal)
    }

    pub(super) fn make_or_keep(
        &self,
        machine: &str,
        keep: bool,
        journal: &Journal,
    ) -> Result<PathBuf, DriverError> {
        let dir = self.place.base.join(format!("vm-state-{machine}"));
        if !(keep || self.place.keep) {
            match fs::remove_dir_all(&dir) {
                Ok(()) => {
                    let log = |text| journal.log(Level::Info, Some(machine), text);
                    log(format!("deleting machine state directory {}", dir.display()));
                    log("if you want to keep the machine state, pass --keep-machine-state".to_owned());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("remove", &dir, source)),
            }
        }
        make_private(&dir)?;
        Ok(dir)
    }
}

/// Makes a directory that is nobody else's, unless it is there.
fn make_private(dir: &Path) -> Result<(), DriverError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        }
        other => other,
    }
    .map_err(|source| failed("make", dir, source))
}

fn failed(operation: &'static str, dir: &Path, source: io::Error) -> DriverError {
    DriverError::File { operation, path: dir.display().to_string(), source }
}
