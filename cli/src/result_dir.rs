//! The result directory: made when a run begins, and never mixed from two runs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use report::ATTEMPTS;

/// A directory that belongs to this run as long as the value lives.
#[derive(Debug)]
pub(crate) struct ResultDir {
    path: PathBuf,
    moved_aside: Option<PathBuf>,
    /// Locked; a second run into the same directory is refused while this one goes on.
    _lock: File,
}

impl ResultDir {
    /// Makes the directory at `path`. An earlier result there is moved to the next number in its folder `attempts`; a
    /// directory that holds anything else is left alone, which is an error.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || {
            format!("the result directory `{}` cannot be made (choose another with `-o DIR`)", path.display())
        };
        let path = std::path::absolute(path).with_context(cannot)?;
        fs::create_dir_all(&path).with_context(cannot)?;
        let lock = lock(&path)?;
        let present = present_result(&path).with_context(cannot)?;
        let mut moved_aside = None;
        if path.join(report::EVENTS).exists() {
            let aside = next_attempt(&path);
            move_into(&path, present, &aside).with_context(|| {
                format!(
                    "the earlier result in `{}` cannot be moved to `{}` (choose another directory with `-o DIR`)",
                    path.display(),
                    aside.display()
                )
            })?;
            moved_aside = Some(aside);
        } else if !present.is_empty() {
            bail!(
                "`{}` holds something that is not a result of innkeeper's (empty it, or choose another \
                 directory with `-o DIR`)",
                path.display()
            );
        }
        Ok(Self { path, moved_aside, _lock: lock })
    }

    /// The directory, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where an earlier result went, if there was one.
    pub(crate) fn moved_aside(&self) -> Option<&Path> {
        self.moved_aside.as_deref()
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let in_use = || format!("the result directory `{}` cannot be locked", path.display());
    report::lock(path).with_context(in_use)?.with_context(|| {
        format!(
            "another run is writing to `{}` (wait for it, or choose another directory with `-o DIR`)",
            path.display()
        )
    })
}

/// What is in the directory besides earlier attempts.
fn present_result(path: &Path) -> io::Result<Vec<OsString>> {
    let names: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect();
    Ok(names?.into_iter().filter(|name| name != ATTEMPTS).collect())
}

fn next_attempt(path: &Path) -> PathBuf {
    let attempts = path.join(ATTEMPTS);
    let numbers = fs::read_dir(&attempts)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // A number that was given is not given again, even if somebody has removed some.
    attempts.join((numbers.max().unwrap_or(0).saturating_add(1)).to_string())
}

/// Moves the files of a result, the events last: whatever interrupts it, the directory holds a result of ours then.
fn move_into(path: &Path, mut names: Vec<OsString>, aside: &Path) -> io::Result<()> {
    fs::create_dir_all(aside)?;
    names.sort_by_key(|name| name == report::EVENTS);
    names.iter().try_for_each(|name| fs::rename(path.join(name), aside.join(name)))
}
