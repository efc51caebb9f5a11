//! The result directory: made when a run begins, and never mixed from two runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A directory that belongs to this run as long as the value lives.
#[derive(Debug)]
pub(crate) struct ResultDir {
    path: PathBuf,
    moved_aside: Option<PathBuf>,
    /// Locked; a second run into the same directory is refused while this one goes on.
    _lock: File,
}

impl ResultDir {
    /// Makes the directory at `path`. An earlier result there is moved to the first of `path.1`, `path.2`
    /// and so on that is free; a directory that holds anything else is left alone, which is an error.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || {
            format!("the result directory `{}` cannot be made (choose another with `-o DIR`)", path.display())
        };
        let path = std::path::absolute(path).with_context(cannot)?;
        fs::create_dir_all(&path).with_context(cannot)?;
        let mut lock = lock(&path)?;
        let mut moved_aside = None;
        if path.join(report::EVENTS).exists() {
            let aside = free_name(&path);
            fs::rename(&path, &aside).with_context(|| {
                format!(
                    "the earlier result cannot be moved from `{}` to `{}`",
                    path.display(),
                    aside.display()
                )
            })?;
            moved_aside = Some(aside);
            fs::create_dir(&path).with_context(cannot)?;
            lock = self::lock(&path)?;
        } else if fs::read_dir(&path).with_context(cannot)?.next().is_some() {
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

fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    (1..).map(numbered).find(|name| !name.exists()).unwrap_or_else(|| numbered(0))
}
