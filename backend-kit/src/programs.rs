//! Programs on this host: where they are, and what they say.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use driver_core::DriverError;
use tokio::process::Command;

/// How long a program that only says its version, or only makes a file, may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Finds a program by its name on the `PATH`, or by its path.
///
/// # Errors
/// [`DriverError::Host`], with `way_out`.
pub fn find(backend: &str, program: &Path, way_out: impl FnOnce() -> String) -> Result<PathBuf, DriverError> {
    which::which(program).map_err(|error| DriverError::Host {
        backend: backend.to_owned(),
        problem: format!("the program `{}` cannot be run: {error}", program.display()),
        way_out: way_out(),
    })
}

/// Runs a program to its end. It dies with the future.
///
/// # Errors
/// Those of the start; [`std::io::ErrorKind::TimedOut`] after 30 s.
pub async fn output(command: &mut Command) -> std::io::Result<Output> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(TIME_LIMIT, running).await {
        Ok(result) => result,
        Err(_) => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("it did not end within {TIME_LIMIT:?}"),
        )),
    }
}
