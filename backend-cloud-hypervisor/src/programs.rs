//! The program on this host: where it is, and which version.

use std::path::{Path, PathBuf};

use backend_kit::programs;
use driver_core::DriverError;
use tokio::process::Command;

use crate::{NAME, PROGRAM_VARIABLE};

/// The program that is meant where nobody names one.
pub(crate) fn usual() -> PathBuf {
    std::env::var_os(PROGRAM_VARIABLE).unwrap_or_else(|| NAME.into()).into()
}

/// Finds the program by its name on the `PATH`, or by its path.
pub(crate) fn find(program: &Path) -> Result<PathBuf, DriverError> {
    programs::find(NAME, program, way_out)
}

/// Finds `qemu-img`.
pub(crate) fn find_img(program: Option<&Path>) -> Result<PathBuf, DriverError> {
    programs::find(NAME, program.unwrap_or(Path::new("qemu-img")), || {
        format!(
            "on Debian: `apt install qemu-utils`; or say where it is with `img_binary` in the table `{NAME}`"
        )
    })
}

/// Finds `virtiofsd`, which some systems keep where only programs look.
pub(crate) fn find_virtiofsd(program: Option<&Path>) -> Result<PathBuf, DriverError> {
    let way_out = || {
        format!(
            "it comes as a package of that name, or with `cargo install virtiofsd`; say where it is with `virtiofsd` in \
             the table `{NAME}`, or copy files in with copy_from_host()"
        )
    };
    let usual = Path::new("virtiofsd");
    let found = programs::find(NAME, program.unwrap_or(usual), way_out);
    match program {
        Some(_) => found,
        None => found.or_else(|missing| {
            let mut hidden = ["/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"].iter();
            hidden.find_map(|path| programs::find(NAME, Path::new(path), String::new).ok()).ok_or(missing)
        }),
    }
}

fn way_out() -> String {
    format!(
        "it comes as one file from the project's releases; put it on the PATH, or say where it is with \
         {PROGRAM_VARIABLE} or with `binary` in the table `{NAME}`"
    )
}

/// The version of a Cloud Hypervisor, such as `54.0.0`.
///
/// # Errors
/// [`DriverError::Host`] when there is no such program, or it is another one.
pub async fn version(binary: &Path) -> Result<String, DriverError> {
    let program = find(binary)?;
    let other = |why: String| DriverError::Host {
        backend: NAME.to_owned(),
        problem: format!("`{}` does not say which Cloud Hypervisor it is: {why}", program.display()),
        way_out: way_out(),
    };
    let said = programs::output(Command::new(&program).arg("--version"))
        .await
        .map_err(|error| other(error.to_string()))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let line = text.lines().next().unwrap_or_default();
    // A crate of that name installs a program that only says so (cloud-hypervisor.md, section 1).
    line.strip_prefix("cloud-hypervisor v")
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| other(format!("it printed `{}`", line.escape_debug())))
}

/// Whether the program can stay when its guest powers off: then that end differs from one by a signal.
pub(crate) async fn can_stay(program: &Path) -> bool {
    let said = programs::output(Command::new(program).arg("--help")).await;
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("--no-shutdown"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::version;

    #[tokio::test]
    async fn what_is_not_there_and_what_is_another_program_are_told_with_the_way_out() {
        let error = version(Path::new("/nowhere/cloud-hypervisor")).await.unwrap_err().to_string();
        assert!(
            error.contains("`/nowhere/cloud-hypervisor`") && error.contains("CLOUD_HYPERVISOR"),
            "{error}"
        );
        let error = version(Path::new("true")).await.unwrap_err().to_string();
        assert!(error.contains("does not say which Cloud Hypervisor it is"), "{error}");
    }
}
