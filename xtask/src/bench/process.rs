//! Runs a driver and looks at what it costs: its time, processor and memory, without its hypervisor's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::hypervisor::CommandLine;
use super::moments::now;

/// How often to look. The kernel keeps sums and peaks, so only the last moment of a process is missed.
const LOOK: Duration = Duration::from_millis(50);

/// How long a driver may clean up after itself.
const GRACE: Duration = Duration::from_secs(15);

/// What a driver took, its script's interpreter included.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// When it was started, on the clock of [`now`].
    pub(super) began: f64,
    /// From its start to its end.
    pub(super) seconds: f64,
    /// Of a processor, in user and kernel mode together.
    pub(super) cpu_seconds: f64,
    /// The most that its processes had at once: the peaks of those that ran together, added up.
    pub(super) memory_kib: f64,
}

/// Runs a driver to its end, which must be a good one. Gives its hypervisor's command line, too, if it had one.
pub(super) fn run(
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<(Usage, Option<CommandLine>)> {
    let output = File::create(log).with_context(|| format!("failed to make `{}`", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let began = now();
    let mut child = command.spawn().context("failed to start")?;
    let mut watch = Watch::default();
    let ended = watch.follow(&mut child, limit);
    let seconds = now() - began;
    // In a good end nothing is left; after a bad one there may be a machine.
    watch.end_all(&mut child);
    let status = ended?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    let usage = Usage { began, seconds, cpu_seconds: watch.cpu_seconds(), memory_kib: watch.memory_kib };
    Ok((usage, watch.machine))
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    cpu_seconds: f64,
    peak_kib: f64,
    hypervisor: bool,
}

/// Looks at a driver and its children.
#[derive(Debug, Default)]
struct Watch {
    known: BTreeMap<u32, Known>,
    memory_kib: f64,
    machine: Option<CommandLine>,
}

impl Watch {
    fn follow(&mut self, driver: &mut Child, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            self.look(driver.id());
            if let Some(status) = driver.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("it did not end within {} minutes", limit.as_secs() / 60);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self, driver: u32) {
        let mut memory_kib = 0.0;
        for pid in family(driver) {
            let Some(seen) = Known::look(pid) else { continue };
            let is_new = self.known.insert(pid, seen).is_none();
            if seen.hypervisor && self.machine.is_none() {
                self.machine = CommandLine::of(pid);
            }
            // What has just been forked has its parent's memory until it becomes another program.
            if !seen.hypervisor && !is_new {
                memory_kib += seen.peak_kib;
            }
        }
        self.memory_kib = self.memory_kib.max(memory_kib);
    }

    /// Ends what is left of the driver: first politely, since it may want to clean up.
    fn end_all(&mut self, driver: &mut Child) {
        let deadline = Instant::now() + GRACE;
        let mut signal = Signal::TERM;
        if driver.try_wait().is_ok_and(|status| status.is_none()) {
            end(driver.id(), signal);
        }
        while driver.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > deadline {
                signal = Signal::KILL;
                end(driver.id(), signal);
            }
            self.look(driver.id());
            std::thread::sleep(LOOK);
        }
        // A machine that has outlived its driver. Its number belongs to it as long as its name says so.
        for pid in self.known.iter().filter(|(_, known)| known.hypervisor).map(|(pid, _)| *pid) {
            if Known::look(pid).is_some_and(|known| known.hypervisor) {
                end(pid, Signal::KILL);
            }
        }
    }

    /// Without hypervisors.
    fn cpu_seconds(&self) -> f64 {
        self.known.values().filter(|known| !known.hypervisor).map(|known| known.cpu_seconds).sum()
    }
}

fn end(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

impl Known {
    fn look(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&status, &stat)
    }

    /// Reads `/proc/PID/status` and `/proc/PID/stat`; `None` for one that has ended.
    #[expect(clippy::cast_precision_loss, reason = "ticks and sizes far from 2^52")]
    fn parse(status: &str, stat: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let peak: u64 = field("VmHWM:")?.split_whitespace().next()?.parse().ok()?;
        // The name is in brackets, and may hold anything; user and kernel time are the 14th and 15th fields.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Self {
            cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            peak_kib: peak as f64,
            hypervisor: field("Name:")?.starts_with("qemu-system"),
        })
    }
}

/// A process and its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// The end of a log, for an error.
pub(super) fn last_lines(log: &Path, count: usize) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(count)..];
    shown.iter().map(|line| format!("  | {}\n", printable(line))).collect()
}

/// A guest's line without what a terminal would obey.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{Known, last_lines, run};

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 500 0 0 0 150 50 9 9 20 0 1 0 100 1 1\n";
        let known = Known::parse("Name:\ta) b (c\nVmHWM:\t  2048 kB\n", stat).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((known.cpu_seconds, known.peak_kib), (200.0 / ticks, 2048.0));
        assert!(!known.hypervisor);
        assert!(Known::parse("Name:\tgone\n", stat).is_none(), "one that has ended has no memory");
    }

    #[test]
    fn work_counts_and_a_bad_end_is_told_with_the_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let limit = Duration::from_secs(60);
        let shell = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).env("BUSY", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
            run(&mut shell, &log, limit).unwrap()
        };
        let (usage, machine) = shell("eval \"$BUSY\"");
        assert!(usage.cpu_seconds > 0.0 && usage.memory_kib > 100.0, "{usage:?}");
        assert!(machine.is_none());
        let (one_by_one, _) = shell("for n in 1 2 3 4; do sh -c \"$BUSY\"; done");
        assert!(one_by_one.cpu_seconds > usage.cpu_seconds, "{one_by_one:?}, {usage:?}");
        assert!(one_by_one.memory_kib < 3.0 * usage.memory_kib, "{one_by_one:?}, {usage:?}");

        let mut bad = Command::new("sh");
        bad.args(["-c", "echo one; printf 'a\\033[2J\\n'; exit 3"]);
        let error = run(&mut bad, &log, limit).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert_eq!(last_lines(&log, 1), "  | a.[2J\n");
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut endless = Command::new("sleep");
        let error = run(endless.arg("1000"), &folder.path().join("log"), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }
}
