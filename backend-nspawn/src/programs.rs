//! The programs on this host that a container needs.

use std::path::{Path, PathBuf};

use backend_kit::programs;
use driver_core::DriverError;

use crate::NAME;

/// Finds systemd-nspawn: `given`, or the usual one.
pub(crate) fn find_nspawn(given: Option<&Path>) -> Result<PathBuf, DriverError> {
    programs::find(NAME, given.unwrap_or(Path::new("systemd-nspawn")), || {
        format!(
            "on Debian: `apt install systemd-container`; or say where it is with `binary` in the table `{NAME}`"
        )
    })
}

/// Finds what enters a container.
pub(crate) fn find_nsenter() -> Result<PathBuf, DriverError> {
    find("nsenter")
}

/// Finds what makes its namespaces.
pub(crate) fn find_unshare() -> Result<PathBuf, DriverError> {
    find("unshare")
}

fn find(program: &str) -> Result<PathBuf, DriverError> {
    programs::find(NAME, Path::new(program), || "on Debian: `apt install util-linux`".to_owned())
}
