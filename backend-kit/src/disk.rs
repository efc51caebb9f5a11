//! Disks: base images are only read; each machine writes to overlays in its own directory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use driver_core::{Boot, Disk, DiskFormat, DriverError, Share};
use tokio::process::Command;

use crate::programs;

/// What a qcow2 image begins with.
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";

/// Says what is wrong with a file that a machine is to be made of.
pub fn check_readable(path: &Path) -> Result<File, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let about = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if about.is_dir() {
        return Err("is a directory".to_owned());
    }
    if about.is_file() && about.len() == 0 {
        return Err("is empty".to_owned());
    }
    Ok(file)
}

/// Says what is wrong with a base image.
pub fn check(disk: &Disk) -> Result<(), String> {
    let mut file = check_readable(&disk.path)?;
    let mut start = [0; 4];
    let is_qcow2 = match file.read_exact(&mut start) {
        Ok(()) => start == QCOW2_MAGIC,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    match (disk.format, is_qcow2) {
        (DiskFormat::Raw, true) => Err("is a qcow2 image, but its format is given as raw".to_owned()),
        (DiskFormat::Qcow2, false) => Err("is not a qcow2 image, as its format says".to_owned()),
        _ => Ok(()),
    }
}

/// Checks the files that a machine boots from.
///
/// # Errors
/// [`DriverError::Launch`], with the file and what is wrong with it.
pub fn check_boot(boot: &Boot, machine: &str) -> Result<(), DriverError> {
    let wrong = |what: &str, path: &Path, problem: String| unusable(machine, what, path, problem);
    if let Boot::Kernel { kernel, initrd, .. } = boot {
        check_readable(kernel).map_err(|problem| wrong("kernel", kernel, problem))?;
        if let Some(initrd) = initrd {
            check_readable(initrd).map_err(|problem| wrong("initrd", initrd, problem))?;
        }
    }
    for disk in boot.disks() {
        check(disk).map_err(|problem| wrong("disk", &disk.path, problem))?;
    }
    Ok(())
}

/// Checks that what a machine shares with the host are directories.
///
/// # Errors
/// [`DriverError::Launch`].
pub fn check_shares(shares: &[Share], machine: &str) -> Result<(), DriverError> {
    match shares.iter().find(|share| !share.path.is_dir()) {
        Some(share) => Err(unusable(machine, "share", &share.path, "is not a directory".to_owned())),
        None => Ok(()),
    }
}

/// The error for a file that a machine cannot do with.
#[must_use]
pub fn unusable(machine: &str, what: &str, path: &Path, problem: String) -> DriverError {
    DriverError::Launch {
        machine: machine.to_owned(),
        problem: format!("its {what} `{}` {problem}", path.display()),
        way_out: String::new(),
    }
}

/// The overlay of the disk at `index` in `directory` that a machine writes to, and the name for the next one: what was
/// written before that is frozen in a snapshot keeps its name.
#[must_use]
pub fn overlay_paths(index: usize, directory: &Path) -> (PathBuf, PathBuf) {
    let mut live = directory.join(format!("disk{index}.qcow2"));
    let mut number = 1;
    loop {
        let next = directory.join(format!("disk{index}.{number}.qcow2"));
        if !next.exists() {
            return (live, next);
        }
        (live, number) = (next, number + 1);
    }
}

/// Makes the overlay of the disk at `index` in `directory`. One that an earlier launch made is kept: the
/// machine finds its disk as it left it.
pub async fn overlay(
    disk: &Disk,
    index: usize,
    directory: &Path,
    qemu_img: &Path,
    machine: &str,
) -> Result<PathBuf, DriverError> {
    let (overlay, _) = overlay_paths(index, directory);
    if !overlay.exists() {
        make_overlay(disk, &overlay, qemu_img, machine).await?;
    }
    Ok(overlay)
}

/// Makes an overlay of `disk`; one of that name is replaced.
pub async fn make_overlay(
    disk: &Disk,
    overlay: &Path,
    qemu_img: &Path,
    machine: &str,
) -> Result<(), DriverError> {
    let failed = |cause: io::Error| DriverError::Control {
        machine: machine.to_owned(),
        operation: format!("make an overlay of `{}`", disk.path.display()),
        source: Box::new(cause),
    };
    let base = tokio::fs::canonicalize(&disk.path).await.map_err(failed)?;
    // Made under another name first: what bears the final one is complete.
    let unfinished = overlay.with_extension("unfinished");
    let mut command = Command::new(qemu_img);
    command
        .args(["create", "-q", "-f", "qcow2", "-F", disk.format.as_str(), "-b"])
        .arg(base)
        .arg(&unfinished);
    let output = programs::output(&mut command).await.map_err(failed)?;
    if !output.status.success() {
        return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
    }
    tokio::fs::rename(&unfinished, overlay).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use driver_core::{Disk, DiskFormat};

    use super::{check, overlay_paths};

    #[test]
    fn the_last_overlay_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        assert_eq!(overlay_paths(0, directory.path()), (path("disk0.qcow2"), path("disk0.1.qcow2")));
        for name in ["disk0.qcow2", "disk0.1.qcow2", "disk1.qcow2"] {
            std::fs::write(path(name), "").unwrap();
        }
        assert_eq!(overlay_paths(0, directory.path()), (path("disk0.1.qcow2"), path("disk0.2.qcow2")));
        assert_eq!(overlay_paths(1, directory.path()), (path("disk1.qcow2"), path("disk1.1.qcow2")));
    }

    #[test]
    fn images_that_cannot_be_used_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let disk = |name: &str, content: &[u8], format| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            Disk { path, format }
        };
        assert_eq!(check(&disk("raw", b"abc", DiskFormat::Raw)), Ok(()));
        assert_eq!(check(&disk("qcow2", b"QFI\xfb...", DiskFormat::Qcow2)), Ok(()));
        for (unusable, complaint) in [
            (disk("mistaken", b"QFI\xfb...", DiskFormat::Raw), "given as raw"),
            (disk("short", b"QF", DiskFormat::Qcow2), "not a qcow2"),
            (disk("empty", b"", DiskFormat::Raw), "is empty"),
            (Disk { path: directory.path().to_owned(), format: DiskFormat::Raw }, "is a directory"),
            (
                Disk { path: directory.path().join("gone"), format: DiskFormat::Raw },
                "cannot be read: No such",
            ),
        ] {
            let problem = check(&unusable).unwrap_err();
            assert!(problem.contains(complaint), "{problem}");
        }
    }
}
