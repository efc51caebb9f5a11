//! The directories that the NixOS driver uses, and what it says of those that it cannot use (compat.md 2.4).

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{Access, access};

/// The directory for the state of machines: `XDG_RUNTIME_DIR`, or else the first that can be written of `TMPDIR`,
/// `TEMP`, `TMP` and the usual places.
pub(super) fn state_base() -> anyhow::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = match set("XDG_RUNTIME_DIR") {
        Some(dir) => dir,
        None => ["TMPDIR", "TEMP", "TMP"]
            .into_iter()
            .filter_map(set)
            .chain(["/tmp", "/var/tmp", "/usr/tmp", "."].map(PathBuf::from))
            .find(|dir| dir.is_dir() && is_writable(dir))
            .context("no directory for temporary files can be written to (set TMPDIR)")?,
    };
    let dir = std::path::absolute(dir)?;
    if !dir.exists() {
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.with_context(|| format!("`{}` cannot be made (XDG_RUNTIME_DIR)", dir.display()))?;
    }
    let which = "The directory defined by XDG_RUNTIME_DIR, TMPDIR, TEMP, TMP or CWD";
    if !dir.is_dir() {
        bail!("{which}: {} is not a directory", dir.display());
    }
    if !is_writable(&dir) {
        bail!("{which}: {} is not writeable", dir.display());
    }
    Ok(dir)
}

/// What is wrong with the output directory, in argparse's words.
pub(super) fn problem_of_output(dir: &Path) -> Option<String> {
    let wrong = |what| Some(format!("argument -o/--output_directory: {} is not a {what}", dir.display()));
    if !dir.is_dir() {
        return wrong("directory");
    }
    if is_writable(dir) { None } else { wrong("writeable directory") }
}

fn is_writable(dir: &Path) -> bool {
    access(dir, Access::WRITE_OK).is_ok()
}
