//! What a program can see of how it was started. The agent runs itself as such a program, see
//! [`direct`](crate::direct).

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use rustix::process::{Pid, getpgrp, getpid, getppid, getsid};

use crate::entry::Inherited;

/// The argument that asks for it.
pub(crate) const ARGUMENT: &str = "--look";

/// Lines of `/proc/self/status` that a process inherits.
const INHERITED: [&str; 14] = [
    "Umask:",
    "Uid:",
    "Gid:",
    "Groups:",
    "SigBlk:",
    "SigIgn:",
    "SigCgt:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "NoNewPrivs:",
    "Seccomp:",
];

/// The first line that a process prints: its own number, and those of its parent, group and session.
pub(crate) fn process_line(pid: Pid, parent: Pid, group: Pid, session: Pid) -> String {
    format!("{pid} {parent} {group} {session}\n")
}

/// Prints what this process sees: the line about itself, what should be the same for others, a NUL, and its
/// environment as it got it.
pub(crate) fn look(inherited: Inherited) -> io::Result<()> {
    let nobody = || io::Error::other("no parent");
    let mut seen =
        process_line(getpid(), getppid().ok_or_else(nobody)?, getpgrp(), getsid(None)?).into_bytes();
    let status = fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| INHERITED.iter().any(|name| line.starts_with(name))) {
        seen.extend_from_slice(line.as_bytes());
        seen.push(b'\n');
    }
    seen.extend(format!("SIGPIPE ignored: {}\n", inherited.pipe_ignored).as_bytes());
    for file in ["limits", "oom_score_adj", "cgroup", "cmdline"] {
        seen.extend(
            fs::read(format!("/proc/self/{file}"))?.iter().map(|byte| if *byte == 0 { b'\n' } else { *byte }),
        );
    }
    for link in ["cwd", "root"] {
        seen.extend(fs::read_link(format!("/proc/self/{link}"))?.as_os_str().as_bytes());
        seen.push(b'\n');
    }
    let mut files: Vec<_> = fs::read_dir("/proc/self/fd")?.flatten().map(|file| file.file_name()).collect();
    files.sort();
    seen.extend(format!("{files:?}").as_bytes());
    seen.push(0);
    seen.extend(fs::read("/proc/self/environ")?);
    let mut rest = &seen[..];
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(rustix::stdio::stdout(), rest)?..];
    }
    Ok(())
}
