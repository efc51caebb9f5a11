//! The cache of images: one folder for each state of a recipe, and a link with the recipe's plain name.
//!
//! A build happens in a hidden folder beside its target and is renamed when it is complete. A lock for each
//! name lets a second build wait for the first instead of spoiling it; the kernel drops the lock of a
//! process that dies, and the next build clears away what such a one has left.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};

use super::recipe::Recipe;

/// The place of one image in the cache.
#[derive(Debug)]
pub(super) struct Slot {
    name: String,
    hash: String,
    root: PathBuf,
}

impl Slot {
    /// The place for the present state of a recipe.
    pub(super) fn of(recipe: &Recipe) -> Result<Slot> {
        let root = root()?;
        fs::create_dir_all(root.join("images"))
            .with_context(|| format!("failed to make `{}`", root.display()))?;
        Ok(Slot { name: recipe.name.clone(), hash: recipe.hash()?, root })
    }

    /// Whether the image is there. One that is there is complete.
    pub(super) fn is_filled(&self) -> bool {
        self.folder().join("image.toml").exists()
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.images().join(format!("{}-{}", self.name, self.hash))
    }

    /// Where to keep a build's full log.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("logs").join(format!("{}.log", self.name))
    }

    /// Where to keep a suite's packages from one build to the next.
    pub(super) fn packages(&self, suite: &str) -> PathBuf {
        self.root.join("packages").join(suite)
    }

    /// Lets the image's plain name lead to this state of it.
    pub(super) fn point(&self) -> Result<()> {
        let link = self.images().join(&self.name);
        let target = PathBuf::from(format!("{}-{}", self.name, self.hash));
        if fs::read_link(&link).is_ok_and(|present| present == target) {
            return Ok(());
        }
        let new = self.images().join(format!(".{}.link-{}", self.name, process::id()));
        symlink(&target, &new)?;
        fs::rename(&new, &link).with_context(|| format!("failed to replace `{}`", link.display()))
    }

    fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Whether a name in the images' folder is another state of this image.
    fn is_old(&self, file: &str) -> bool {
        let hash = file.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('-'));
        let is_hash = |hash: &str| hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        hash.is_some_and(|hash| is_hash(hash) && hash != self.hash)
    }

    /// Whether a name in the images' folder is what a build of this image works with.
    fn is_scratch(&self, file: &str) -> bool {
        let rest = file.strip_prefix('.').and_then(|file| file.strip_prefix(&self.name));
        rest.is_some_and(|rest| [".build-", ".link-", ".old-"].iter().any(|kind| rest.starts_with(kind)))
    }

    fn remove(&self, unwanted: impl Fn(&Slot, &str) -> bool) -> Result<()> {
        for entry in fs::read_dir(self.images())? {
            let entry = entry?;
            if unwanted(self, &entry.file_name().to_string_lossy()) {
                let path = entry.path();
                let removed =
                    if entry.file_type()?.is_dir() { remove_tree(&path) } else { fs::remove_file(&path) };
                removed.with_context(|| format!("failed to remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Builds an image into its slot by `build`, which is given an empty folder to fill.
///
/// Waits while another process builds the same image, and then builds only if that one has not, or if `force` is set.
pub(super) fn fill(slot: &Slot, force: bool, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let lock = File::create(slot.images().join(format!(".{}.lock", slot.name)))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            println!("{}: another process is building this image; waiting for it", slot.name);
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("failed to lock the image's cache"),
    }
    // Asked again under the lock: another process may have built it since.
    if slot.is_filled() && !force {
        return slot.point();
    }

    slot.remove(Slot::is_scratch)?;
    let scratch = |kind: &str| slot.images().join(format!(".{}.{kind}-{}", slot.name, process::id()));
    let folder = scratch("build");
    fs::create_dir(&folder)?;
    if let Err(error) = build(&folder) {
        // What remains after a failure is the log; the error at hand matters more than one in clearing up.
        let _ = remove_tree(&folder);
        return Err(error);
    }
    if slot.folder().exists() {
        fs::rename(slot.folder(), scratch("old"))?;
    }
    fs::rename(&folder, slot.folder())?;
    // A run in progress may be using the state before this one; that goes with the next build.
    let previous = fs::read_link(slot.images().join(&slot.name)).unwrap_or_default();
    slot.point()?;
    slot.remove(|slot, file| slot.is_scratch(file) || (slot.is_old(file) && Path::new(file) != previous))
}

/// Removes a folder, but never what is mounted below it.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if let Some(mount) = mount_below(&folder, &mounts) {
        return Err(io::Error::other(format!("`{mount}` is mounted there (unmount it first)")));
    }
    fs::remove_dir_all(folder)
}

/// A mount point at or below a folder; `mounts` is a mountinfo file, whose fifth field is the mount point.
fn mount_below<'a>(folder: &Path, mounts: &'a str) -> Option<&'a str> {
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.find(|point| Path::new(point).starts_with(folder))
}

/// Where all images are.
pub(super) fn images() -> Result<PathBuf> {
    Ok(root()?.join("images"))
}

/// The cache's folder: $INNKEEPER_CACHE, or `innkeeper` where the user's other caches are.
fn root() -> Result<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("INNKEEPER_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("innkeeper")))
        .or_else(|| Some(variable("HOME")?.join(".cache/innkeeper")))
        .context("there is no place for images (set INNKEEPER_CACHE to a folder)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot { name: "base".into(), hash: "0123456789ab".into(), root: PathBuf::new() }
    }

    #[test]
    fn other_states_are_old() {
        assert!(slot().is_old("base-ffffffffffff"));
        assert!(!slot().is_old("base-0123456789ab"));
        assert!(!slot().is_old("base"));
        assert!(!slot().is_old("base-two-ffffffffffff"));
        assert!(!slot().is_old("guestbook-ffffffffffff"));
    }

    #[test]
    fn the_state_before_the_present_one_is_kept_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("images")).unwrap();
        let states = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"];
        for hash in states {
            let slot = Slot { name: "base".into(), hash: hash.into(), root: root.path().to_owned() };
            fill(&slot, false, |folder| Ok(fs::write(folder.join("image.toml"), hash)?)).unwrap();
        }
        let images = root.path().join("images");
        assert_eq!(fs::read_to_string(images.join("base/image.toml")).unwrap(), states[2]);
        let kept = states.map(|hash| images.join(format!("base-{hash}")).exists());
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn mounts_are_seen() {
        let mounts =
            "42 27 0:39 / /cache/a/dev/shm rw - tmpfs tmpfs rw\n43 27 0:40 / /cache/ab rw - proc proc rw\n";
        assert_eq!(mount_below(Path::new("/cache/a"), mounts), Some("/cache/a/dev/shm"));
        assert_eq!(mount_below(Path::new("/cache/ab"), mounts), Some("/cache/ab"));
        assert_eq!(mount_below(Path::new("/cache/b"), mounts), None);
    }

    #[test]
    fn only_own_leftovers_are_scratch() {
        assert!(slot().is_scratch(".base.build-17"));
        assert!(!slot().is_scratch(".base.lock"));
        assert!(!slot().is_scratch(".base-two.build-17"));
        assert!(!slot().is_scratch("base-0123456789ab"));
    }
}
