//! QEMU's programs on this host: where they are, and which version.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use backend_kit::programs;
use driver_core::DriverError;
use tokio::process::Command;

use crate::NAME;

/// Finds a program by its name on the `PATH`, or by its path.
pub(crate) fn find(program: &Path) -> Result<PathBuf, DriverError> {
    programs::find(NAME, program, || way_out(program))
}

/// The Debian package that has a program.
fn way_out(program: &Path) -> String {
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let (package, setting) = match name {
        "qemu-img" => ("qemu-utils", "img_binary"),
        "qemu-system-x86_64" | "qemu-system-i386" => ("qemu-system-x86", "binary"),
        "qemu-system-aarch64" | "qemu-system-arm" => ("qemu-system-arm", "binary"),
        _ => ("qemu-system", "binary"),
    };
    format!("on Debian: `apt install {package}`; or say where it is with `{setting}` in the table `{NAME}`")
}

/// The version of a QEMU program, such as `10.0.2`.
///
/// # Errors
/// [`DriverError::Host`] when there is no such program, or it is not QEMU.
pub async fn qemu_version(binary: &Path) -> Result<String, DriverError> {
    let program = find(binary)?;
    let not_qemu = |why: String| DriverError::Host {
        backend: NAME.to_owned(),
        problem: format!("`{}` does not say which QEMU it is: {why}", program.display()),
        way_out: way_out(binary),
    };
    let said = programs::output(Command::new(&program).arg("--version"))
        .await
        .map_err(|error| not_qemu(error.to_string()))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let version = text.split_once("emulator version ").and_then(|(_, rest)| rest.split_whitespace().next());
    version.map(str::to_owned).ok_or_else(|| {
        not_qemu(format!("it printed `{}`", text.lines().next().unwrap_or_default().escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::qemu_version;

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = qemu_version(Path::new("/nowhere/qemu-system-x86_64")).await.unwrap_err().to_string();
        assert!(error.contains("`/nowhere/qemu-system-x86_64`"), "{error}");
        assert!(error.contains("apt install qemu-system-x86`;"), "{error}");
    }

    #[tokio::test]
    async fn what_is_not_qemu_is_told_apart() {
        let error = qemu_version(Path::new("true")).await.unwrap_err().to_string();
        assert!(error.contains("does not say which QEMU it is"), "{error}");
    }
}
