//! What the driver wants to know about as soon as it changes. Each kind has a [`Watcher`]; none of them
//! starts a process, and none of them may wait: there is one thread.

mod file;
mod listeners;
mod mounts;
mod pace;
mod port;
mod process;
mod socket;
mod tty;
mod unit;

use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use agent_protocol::ToHost;
use agent_protocol::message::{End, Notice, RequestId, Watch};
use rustix::event::PollFlags;

use crate::request::Way;

/// Watches at once, at most.
const LIMIT: usize = 256;

/// Looks at one thing.
pub(crate) trait Watcher: Debug {
    /// How the thing is now, as far as that is known. Called once at first, and then when one of
    /// [`Watcher::files`] is ready or [`Watcher::wake_at`] has come. What is said twice is told once. An
    /// error, in words, ends the watch: the driver then looks in its own way.
    fn look(&mut self) -> Result<Option<Notice>, String>;

    /// What to wait for before the next look.
    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)>;

    /// One of the files is ready, before [`Watcher::look`] is called for it. Of use where being told once is
    /// all that the kernel does.
    fn ready(&mut self, _flags: PollFlags) {}

    /// When to look even if no file is ready.
    fn wake_at(&self) -> Option<Instant>;
}

/// The watches of the present session.
#[derive(Debug, Default)]
pub(crate) struct Watches(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    id: RequestId,
    way: Way,
    watcher: Box<dyn Watcher>,
    /// One of its files is ready.
    is_ready: bool,
    told: Option<Notice>,
}

impl Watches {
    /// Starts a watch; the first look is taken at the next [`Watches::look`].
    pub(crate) fn add(&mut self, id: RequestId, way: Way, watch: &Watch) -> Result<(), String> {
        if self.0.len() >= LIMIT {
            return Err(format!("the agent has {LIMIT} watches already"));
        }
        let watcher: Box<dyn Watcher> = match watch {
            Watch::File { path } => Box::new(file::File::new(path)?),
            Watch::Port { address, port } => Box::new(port::Port::new(address, *port)?),
            Watch::Terminal { number } => Box::new(tty::Terminal::new(*number)?),
            Watch::UnixSocket { path, datagram } => Box::new(socket::UnixSocket::new(path, *datagram)?),
            Watch::Process { pid } => Box::new(process::Process::new(*pid)?),
            Watch::Unit { name, user } => Box::new(unit::Unit::new(name, user.as_deref())?),
        };
        self.0.push(Entry { id, way, watcher, is_ready: true, told: None });
        Ok(())
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends a watch, if there is such a one.
    pub(crate) fn remove(&mut self, id: RequestId) {
        self.0.retain(|entry| entry.id != id);
    }

    /// Ends those that came by the lane.
    pub(crate) fn remove_by_lane(&mut self) {
        self.0.retain(|entry| entry.way != Way::Lane);
    }

    /// The files of the watches whose way has room.
    pub(crate) fn files(
        &self,
        has_room: impl Fn(Way) -> bool,
    ) -> impl Iterator<Item = (RequestId, BorrowedFd<'_>, PollFlags)> {
        self.0
            .iter()
            .filter(move |entry| has_room(entry.way))
            .flat_map(|entry| entry.watcher.files().into_iter().map(|(file, flags)| (entry.id, file, flags)))
    }

    /// A file of this watch is ready.
    pub(crate) fn ready(&mut self, id: RequestId, flags: PollFlags) {
        for entry in self.0.iter_mut().filter(|entry| entry.id == id) {
            entry.watcher.ready(flags);
            entry.is_ready = true;
        }
    }

    /// When to call [`Watches::look`] even if no file is ready.
    pub(crate) fn wake_at(&self, has_room: impl Fn(Way) -> bool) -> Option<Instant> {
        self.0.iter().filter(|entry| has_room(entry.way)).filter_map(|entry| entry.watcher.wake_at()).min()
    }

    /// Looks where something is ready or due, and returns what is to be told, and which way. What changes while that
    /// has no room is told later.
    pub(crate) fn look(&mut self, has_room: impl Fn(Way) -> bool) -> Vec<(Way, ToHost)> {
        let mut messages = Vec::new();
        if self.0.is_empty() {
            return messages;
        }
        let now = Instant::now();
        self.0.retain_mut(|entry| {
            if !has_room(entry.way) {
                return true;
            }
            let is_due = entry.watcher.wake_at().is_some_and(|at| at <= now);
            if !std::mem::take(&mut entry.is_ready) && !is_due {
                return true;
            }
            let (id, way) = (entry.id, entry.way);
            match entry.watcher.look() {
                Ok(Some(notice)) if entry.told.as_ref() != Some(&notice) => {
                    entry.told = Some(notice.clone());
                    messages.push((way, ToHost::Noticed { id, notice }));
                }
                Ok(_) => {}
                Err(reason) => {
                    messages.push((way, ToHost::Ended { id, end: End::Failed { reason } }));
                    return false;
                }
            }
            true
        });
        messages
    }
}
