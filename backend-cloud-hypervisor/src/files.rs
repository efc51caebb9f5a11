//! What a launch puts into the machine's directory.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The names in a machine's directory.
#[derive(Debug)]
pub(crate) struct Paths(PathBuf);

impl Paths {
    /// Those in this directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The API's socket.
    pub(crate) fn api(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// The serial console's socket.
    pub(crate) fn serial(&self) -> PathBuf {
        self.0.join("serial.sock")
    }

    /// The socket of the share at `index`.
    pub(crate) fn share(&self, index: usize) -> PathBuf {
        self.0.join(format!("share{index}.sock"))
    }

    /// The pipe of the event monitor.
    pub(crate) fn events(&self) -> PathBuf {
        self.0.join("events")
    }

    /// The folder that the program begins from, where that is a snapshot.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.0.join("begins-from")
    }

    /// Removes them all.
    fn remove(&self) -> io::Result<()> {
        unless_missing(std::fs::remove_dir_all(self.snapshot()))?;
        let shares = (0..).map(|index| self.share(index)).take_while(|socket| socket.exists());
        let others = [self.api(), self.0.join("api.sock.lock"), self.serial(), self.events()];
        shares.chain(others).try_for_each(|file| unless_missing(std::fs::remove_file(file)))
    }
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The files of one launch. They go when this does.
#[derive(Debug)]
pub(crate) struct Files(Paths);

impl Files {
    /// Removes what another launch has left.
    pub(crate) fn new(paths: Paths) -> io::Result<Self> {
        paths.remove()?;
        Ok(Self(paths))
    }
}

impl Deref for Files {
    type Target = Paths;

    fn deref(&self) -> &Paths {
        &self.0
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // In a directory that is removed as a whole; this only keeps it tidy until then.
        let _ = self.remove();
    }
}
