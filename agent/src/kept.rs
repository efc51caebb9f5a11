//! Pipes that outlive their command: some process holds the other end, a service in the background say.
//! Closed, they would kill it by SIGPIPE when it next prints. So they are read on, and what comes goes where
//! the shell's commands print their errors.

use std::os::fd::OwnedFd;

use crate::console::Console;

/// Bytes that are read at once.
const READ: usize = 4 << 10;

/// The pipes.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pipes: Vec<OwnedFd>,
}

impl Kept {
    pub(crate) fn add(&mut self, pipe: OwnedFd) {
        self.pipes.push(pipe);
    }

    pub(crate) fn pipes(&self) -> &[OwnedFd] {
        &self.pipes
    }

    /// Prints what came on those pipes that are `ready`, by their places, and forgets those that ended.
    pub(crate) fn pass_on(&mut self, ready: &[usize], console: &mut Console) {
        let mut place = 0;
        self.pipes.retain(|pipe| {
            let is_ready = ready.contains(&place);
            place += 1;
            if !is_ready || console.full().is_some() {
                return true;
            }
            let mut bytes = [0; READ];
            match rustix::io::read(pipe, &mut bytes) {
                Ok(0) => false,
                Ok(count) => {
                    console.print(&bytes[..count]);
                    true
                }
                Err(error) => error == rustix::io::Errno::INTR,
            }
        });
    }
}
