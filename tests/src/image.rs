//! Whether this host can boot machines, and which images there are to boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use driver_core::image::{DESCRIPTION, image_dirs};
use test_skip::skip_or_fail;

use crate::initrd;

/// An image that is there.
#[derive(Debug, Clone)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes an image to `dir` that boots this one's files with `words` at the end of the kernel's command
    /// line.
    ///
    /// # Panics
    /// When this image's description is not of the form that `cargo xtask guests` writes.
    pub fn with_cmdline(&self, dir: &Path, words: &str) {
        let description = fs::read_to_string(self.dir.join(DESCRIPTION)).expect("an image has a description");
        fs::create_dir_all(dir).expect("a directory for the image");
        let line = |line: &str| match line.split_once(" = ") {
            Some(("cmdline", value)) => format!("cmdline = \"{} {words}\"\n", value.trim_matches('"')),
            Some((key @ ("kernel" | "initrd" | "path"), value)) => {
                format!("{key} = \"{}\"\n", self.dir.join(value.trim_matches('"')).display())
            }
            _ => format!("{line}\n"),
        };
        let changed: String = description.lines().map(line).collect();
        fs::write(dir.join(DESCRIPTION), changed).expect("a description for the image");
    }

    /// Writes an image to `dir` that boots this one's files, and has a shell in its initrd as well.
    ///
    /// # Panics
    /// As [`Image::with_cmdline`], and when this host has no bash.
    pub fn with_initrd_backdoor(&self, dir: &Path) {
        self.with_cmdline(dir, initrd::WORDS);
        let mut bytes = fs::read(self.dir.join("initrd")).expect("an image has an initrd");
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(initrd::archive());
        fs::write(dir.join("initrd"), bytes).expect("an initrd");
        let (description, old) = (dir.join(DESCRIPTION), self.dir.join("initrd"));
        let text = fs::read_to_string(&description).expect("a description");
        let text = text.replace(&old.display().to_string(), "initrd");
        fs::write(description, text).expect("a description");
    }
}

/// The image `name` if this host can boot it. Otherwise the test is skipped, which is said aloud; with
/// `REQUIRE_VM=1` in the environment it fails instead.
///
/// # Panics
/// As said.
#[must_use]
pub fn need_vm(name: &str) -> Option<Image> {
    match find(name) {
        Ok(image) => Some(image),
        Err(missing) => skip_or_fail("REQUIRE_VM", missing),
    }
}

fn find(name: &str) -> Result<Image, String> {
    for (program, package) in [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils")] {
        let started = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        if !started.is_ok_and(|status| status.success()) {
            return Err(format!("there is no `{program}` (install the package `{package}`)"));
        }
    }
    let dir = image_dirs().into_iter().map(|dir| dir.join(name)).find(|dir| dir.join(DESCRIPTION).is_file());
    dir.map(|dir| Image { dir })
        .ok_or_else(|| format!("there is no image `{name}` (build it with `cargo xtask guests {name}`)"))
}
