//! Looks through `/proc`: who holds a pipe, who is in a session.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;

use agent_protocol::message::Holder;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Bytes of a command line that are told.
const SHOWN: usize = 200;

/// How often a session is looked through for processes that were forked meanwhile.
const ROUNDS: usize = 20;

/// The processes, other than this one, that hold an end of the pipe `end`.
pub(crate) fn holders(end: impl AsFd) -> Vec<Holder> {
    let own = format!("/proc/self/fd/{}", end.as_fd().as_raw_fd());
    let Ok(pipe) = fs::read_link(own) else { return Vec::new() };
    let this = rustix::process::getpid();
    processes()
        .filter(|pid| *pid != this)
        .filter(|pid| {
            let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
            files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == pipe))
        })
        .map(|pid| Holder { pid: pid.as_raw_nonzero().get().unsigned_abs(), command: command_line(pid) })
        .collect()
}

/// Kills all that is in a session. Its number must still be taken: by a child that was not waited for.
pub(crate) fn kill_session(session: Pid) {
    // Fails when nobody is left in the group; others of the session may be.
    let _ = kill_process_group(session, Signal::KILL);
    kill_sessions(&[session]);
}

/// Kills all that is in these sessions.
pub(crate) fn kill_sessions(sessions: &[Pid]) {
    for _ in 0..ROUNDS {
        let mut found = false;
        let is_meant = |stat: &Stat| stat.is_alive && stat.session.is_some_and(|own| sessions.contains(&own));
        for stat in processes().filter_map(stat).filter(is_meant) {
            found |= kill_process(stat.pid, Signal::KILL).is_ok();
        }
        if !found {
            return;
        }
    }
}

/// The sessions, other than `session`, of what the process `parent` has started and its children have, as far as
/// they have not been orphaned: a terminal's, say.
pub(crate) fn sessions_below(parent: Pid, session: Pid) -> Vec<Pid> {
    let all: Vec<Stat> = processes().filter_map(stat).collect();
    let mut below = vec![parent];
    let mut looked_at = 0;
    while let Some(above) = below.get(looked_at).copied() {
        below.extend(all.iter().filter(|stat| stat.parent == Some(above)).map(|stat| stat.pid));
        looked_at += 1;
    }
    let mut sessions = Vec::new();
    for own in all.iter().filter(|stat| below.contains(&stat.pid)).filter_map(|stat| stat.session) {
        if own != session && !sessions.contains(&own) {
            sessions.push(own);
        }
    }
    sessions
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// What the kernel says of a process.
struct Stat {
    pid: Pid,
    /// It is no zombie.
    is_alive: bool,
    parent: Option<Pid>,
    session: Option<Pid>,
}

/// `None` for one that has gone.
fn stat(pid: Pid) -> Option<Stat> {
    let stat = fields(&fs::read(format!("/proc/{pid}/stat")).ok()?)?;
    // State, parent, group, session.
    // A process that is just being reaped is in session -1.
    let number = |at: usize| stat.get(at)?.parse().ok().filter(|number| *number > 0).and_then(Pid::from_raw);
    let is_alive = !matches!(stat.first()?.as_str(), "Z" | "X");
    Some(Stat { pid, is_alive, parent: number(1), session: number(3) })
}

/// The fields of `/proc/PID/stat` from the third on: behind the name, which may hold anything.
pub(crate) fn fields(stat: &[u8]) -> Option<Vec<String>> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The command line, or the name where there is none.
fn command_line(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = OsStr::from_bytes(&line).to_string_lossy().replace('\0', " ");
    let line = line.trim();
    if line.is_empty() {
        return fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    }
    line.chars().take(SHOWN).collect()
}
