//! The agent's own standard error: in a guest, the serial console, where the shell's commands print theirs.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

/// Standard error, without waiting for it.
#[derive(Debug)]
pub(crate) struct Console {
    /// Opened anew, so that not waiting is nobody else's concern. `None` where that cannot be had: then what
    /// would be printed is lost.
    file: Option<OwnedFd>,
    unsent: Vec<u8>,
}

impl Console {
    pub(crate) fn open() -> Self {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Self { file: open("/proc/self/fd/2", flags, Mode::empty()).ok(), unsent: Vec::new() }
    }

    /// The file to wait for, while it must take more before anything is printed again.
    pub(crate) fn full(&self) -> Option<&OwnedFd> {
        self.file.as_ref().filter(|_| !self.unsent.is_empty())
    }

    pub(crate) fn print(&mut self, bytes: &[u8]) {
        if self.file.is_some() {
            self.unsent.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Writes what the file takes.
    pub(crate) fn flush(&mut self) {
        let Some(file) = &self.file else { return };
        match rustix::io::write(file, &self.unsent) {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.file = None;
                self.unsent.clear();
            }
        }
    }
}

/// Prints a line, waiting for it. For the last words.
pub(crate) fn say(line: &str) {
    // There is nobody else to tell.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{line}\n").as_bytes());
}
