//! What a run left behind: processes that bear its mark, and anything in its temporary directory.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process that is being watched until it is gone.
#[derive(Debug)]
struct Watched {
    what: String,
    handle: OwnedFd,
}

/// The processes of a run at one moment.
#[derive(Debug)]
pub struct Leaks(Vec<Watched>);

impl Leaks {
    /// Takes hold of all processes that have `mark`, a `NAME=value`, in their environment.
    #[must_use]
    pub fn of(mark: &str) -> Self {
        let watched = processes_with(mark).into_iter().filter_map(|pid| {
            let what = describe(pid);
            let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            Some(Watched { what, handle })
        });
        Self(watched.collect())
    }

    /// Waits until all of them are gone, for `limit` at most, and returns those that are not.
    #[must_use]
    pub fn gone_within(&self, limit: Duration) -> Vec<&str> {
        let deadline = Instant::now() + limit;
        let outlives = |watched: &&Watched| {
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
            let mut fds = [PollFd::new(&watched.handle, PollFlags::IN)];
            !matches!(poll(&mut fds, left.as_ref()), Ok(1..))
        };
        self.0.iter().filter(outlives).map(|watched| watched.what.as_str()).collect()
    }

    /// Fails the test when anything of the run is there still, or comes to be gone only after `limit`.
    ///
    /// # Panics
    /// Then.
    pub fn assert_none(mark: &str, temp: &Path, limit: Duration) {
        let left = Self::of(mark);
        let left = left.gone_within(limit);
        assert!(left.is_empty(), "processes outlive the run: {left:#?}");
        let files: Vec<_> = fs::read_dir(temp).expect("the temporary directory").flatten().collect();
        assert!(files.is_empty(), "the run left files behind: {files:?}");
    }
}

/// The processes that have `mark`, a `NAME=value`, in their environment. Zombies have none.
#[must_use]
pub fn processes_with(mark: &str) -> Vec<i32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    })
    .collect()
}

fn describe(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&words).replace('\0', " ");
    format!("{pid}: {}", line.chars().take(200).collect::<String>())
}
