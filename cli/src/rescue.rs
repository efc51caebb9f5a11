//! `--result-on-failure DIR`: a copy of the result where it outlives whoever throws the original away, as Nix does with
//! the output of a failed build.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use report::ATTEMPTS;

use crate::console;
use crate::result_dir::ResultDir;

/// A place for the copy, which exists before the test begins.
#[derive(Debug)]
pub(crate) struct Rescue {
    dir: PathBuf,
}

impl Rescue {
    /// Makes the directory: that it cannot be written to is better known now than when the test has failed.
    pub(crate) fn prepare(dir: &Path, result: &Path) -> anyhow::Result<Self> {
        let cannot = || {
            format!(
                "the directory `{}` of --result-on-failure cannot be written to (choose another)",
                dir.display()
            )
        };
        let dir = std::path::absolute(dir).with_context(cannot)?;
        if dir.starts_with(result) || result.starts_with(&dir) {
            bail!("{} (one of it and the result directory `{}` is in the other)", cannot(), result.display());
        }
        fs::create_dir_all(&dir).with_context(cannot)?;
        tempfile::tempfile_in(&dir).with_context(cannot)?;
        Ok(Self { dir })
    }

    /// Copies the result of a run that has failed. That it cannot is told, and changes nothing about the verdict.
    pub(crate) fn copy(&self, result: &Path) {
        if let Err(error) = self.try_to_copy(result) {
            console::err(&format!("error: the result is not in `{}`: {error:#}", self.dir.display()));
        }
    }

    fn try_to_copy(&self, result: &Path) -> anyhow::Result<()> {
        let target = ResultDir::create(&self.dir)?;
        copy_tree(result, target.path(), &|name| name == ATTEMPTS)
            .with_context(|| format!("`{}` cannot be copied", result.display()))?;
        Ok(())
    }
}

impl Drop for Rescue {
    fn drop(&mut self) {
        // Of a test that passed there is nothing in it, unless there was before.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Copies directories, files and links, the links as they are; all else is left out. So is what `not` says yes to.
fn copy_tree(from: &Path, to: &Path, not: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if entry.file_name().to_str().is_some_and(not) {
            continue;
        }
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_tree(&source, &target, &|_| false)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
