//! The sandbox of a Nix build, which has to be made fit for systemd-nspawn first, once for all containers.

use std::env;

use backend_kit::programs;
use driver_core::DriverError;
use tokio::process::Command;

use crate::NAME;

const SCRIPT: &str = include_str!("sandbox.sh");

/// Makes the sandbox fit, if this is one.
///
/// # Errors
/// [`DriverError::Host`] when that cannot be done: without root, for one.
pub async fn prepare_sandbox() -> Result<(), DriverError> {
    if env::var_os("NIX_BUILD_TOP").is_none() || env::var_os("IN_NIX_SHELL").is_some() {
        return Ok(());
    }
    let host = |problem: String, way_out: &str| DriverError::Host {
        backend: NAME.to_owned(),
        problem,
        way_out: way_out.to_owned(),
    };
    let user = rustix::process::geteuid();
    if !user.is_root() {
        let problem = format!("systemd-nspawn requires root to work. You are {}", user.as_raw());
        return Err(host(problem, "give the build the system feature `uid-range`"));
    }
    let failed = |why: String| host(format!("the sandbox cannot be made fit for containers: {why}"), "");
    let output = programs::output(Command::new("sh").args(["-c", SCRIPT])).await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
