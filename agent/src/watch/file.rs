//! Whether a file exists. Inotify tells of what happens in the folder that has it, or in the one where the
//! way to it ends for now.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use agent_protocol::message::Notice;
use rustix::event::PollFlags;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::Watcher;
use super::mounts::Mounts;
use super::pace::{Pace, Rest};

/// When to look although nothing was told: a link or a folder further up may have been replaced.
const SLOW: Duration = Duration::from_secs(1);
/// The pause between looks at a folder where much happens.
const REST: Duration = Duration::from_millis(5);
/// As many links as the kernel follows.
const LINKS: usize = 40;
/// How often the way may change while we are on it.
const TRIES: usize = 16;

/// The watch of one path.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// `None` where the kernel gives no more of these.
    inotify: Option<OwnedFd>,
    watched: Option<Watched>,
    mounts: Mounts,
    mounts_changed: bool,
    pace: Pace,
    wake_at: Instant,
    rest: Rest,
    /// Inotify is not heard before.
    rests_until: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
struct Watched {
    folder: i32,
    /// What comes into being or goes there.
    name: OsString,
}

/// Where the way to a file ends.
pub(super) struct Way {
    /// The last folder, without links in its path.
    folder: PathBuf,
    /// What is missing there, or the file.
    name: OsString,
    pub(super) is_there: bool,
}

impl File {
    pub(super) fn new(path: &[u8]) -> Result<Self, String> {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        if !path.is_absolute() || path.as_os_str().as_bytes().contains(&0) {
            return Err("not an absolute path".to_owned());
        }
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Ok(Self {
            path,
            inotify,
            watched: None,
            mounts: Mounts::read(),
            mounts_changed: false,
            pace: Pace::new(),
            wake_at: Instant::now(),
            rest: Rest::new(REST),
            rests_until: None,
        })
    }

    /// Reads what inotify tells. Says whether it may have to do with the file.
    fn is_told(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
        let (mut is_heard, mut is_told) = (false, self.watched.is_none());
        while let Ok(event) = reader.next() {
            is_heard = true;
            let Some(watched) = &self.watched else { continue };
            // What has no name happened to the folder itself, or some events were lost.
            let concerns = event.file_name().is_none_or(|name| name.to_bytes() == watched.name.as_bytes());
            let is_present =
                event.wd() == watched.folder || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            is_told |= concerns && is_present;
        }
        self.rests_until = if is_heard { self.rest.after_look() } else { None };
        is_told
    }

    /// Watches the folder where the way ends. Returns that way, and whether all that happens there is told.
    fn arm(&mut self) -> Result<(Way, bool), String> {
        if std::mem::take(&mut self.mounts_changed) {
            self.mounts.read_again();
        }
        let mut way = walk(&self.path, &self.mounts)?;
        let Some(inotify) = &self.inotify else { return Ok((way, false)) };
        for _ in 0..TRIES {
            let happens = WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            let folder = inotify::add_watch(inotify, &way.folder, happens);
            let watched = folder.ok().map(|folder| Watched { folder, name: way.name.clone() });
            if watched == self.watched {
                let tells = watched.is_some() && self.mounts.tells_of(&way.folder);
                return Ok((way, tells));
            }
            if let Some(old) = self.watched.take()
                && watched.as_ref().is_none_or(|new| new.folder != old.folder)
            {
                // A folder that is gone is not watched any more.
                let _ = inotify::remove_watch(inotify, old.folder);
            }
            self.watched = watched;
            // What happened before it was watched was not told.
            way = walk(&self.path, &self.mounts)?;
        }
        Ok((way, false))
    }
}

impl Watcher for File {
    fn look(&mut self) -> Result<Option<Notice>, String> {
        let now = Instant::now();
        if !self.is_told() && !self.mounts_changed && now < self.wake_at {
            return Ok(None);
        }
        let (way, tells) = self.arm()?;
        let is_there = rustix::fs::stat(&self.path).is_ok();
        let tells = tells && way.is_there == is_there;
        self.wake_at = if tells { now + SLOW } else { self.pace.after(now) };
        Ok(Some(Notice::There(is_there)))
    }

    fn files(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let table = self.mounts.changes().map(|table| (table, PollFlags::PRI));
        let inotify = self.inotify.iter().filter(|_| self.rests_until.is_none());
        let inotify = inotify.map(|inotify| (inotify.as_fd(), PollFlags::IN));
        table.into_iter().chain(inotify).collect()
    }

    fn ready(&mut self, flags: PollFlags) {
        self.mounts_changed |= flags.contains(PollFlags::PRI);
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.rests_until.map_or(self.wake_at, |end| end.min(self.wake_at)))
    }
}

/// Goes as far as there is something, through links. An error where it would have to ask a file system that
/// may not answer.
pub(super) fn walk(path: &Path, mounts: &Mounts) -> Result<Way, String> {
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut folder = PathBuf::from("/");
    let mut links = 0;
    let mut last = OsString::new();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let next = folder.join(&name);
        if let Some(kind) = mounts.remote_at(&next) {
            return Err(format!("{} is on a file system of the kind {kind}", next.display()));
        }
        let missing = || Ok(Way { folder: folder.clone(), name: name.clone(), is_there: false });
        match next.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                let Ok(target) = next.read_link() else { return missing() };
                links += 1;
                if links > LINKS {
                    return missing();
                }
                if target.is_absolute() {
                    folder = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(name);
                }
            }
            Ok(found) if found.is_dir() && !ahead.is_empty() => folder = next,
            Ok(_) if ahead.is_empty() => last = name,
            Ok(_) => return missing(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return missing();
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(Way { folder, name: last, is_there: true })
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}
