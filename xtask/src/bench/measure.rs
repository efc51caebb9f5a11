//! One run of the benchmark script under one driver.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command;

/// How often the memory of the running driver is looked at. The kernel keeps the peak, so a look now and
/// then misses next to nothing.
const LOOK: Duration = Duration::from_millis(50);

/// What was measured, over all runs of one driver. Times are in seconds.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// From the driver's start to the script's first line.
    pub(crate) script_began: Vec<f64>,
    /// From the driver's start to a shell that answers.
    pub(crate) shell_answered: Vec<f64>,
    /// How long `succeed("true")` took.
    pub(crate) round_trips: Vec<f64>,
    /// How long after the event `wait_until_succeeds` was over.
    pub(crate) lateness: Vec<f64>,
    /// Peak memory of the driver and the script's interpreter, without the hypervisor, in KiB.
    pub(crate) memory_kib: Vec<f64>,
}

impl Figures {
    /// Adds those of another run.
    pub(crate) fn add(&mut self, run: Self) {
        self.script_began.extend(run.script_began);
        self.shell_answered.extend(run.shell_answered);
        self.round_trips.extend(run.round_trips);
        self.lateness.extend(run.lateness);
        self.memory_kib.extend(run.memory_kib);
    }
}

/// What bench.py writes.
#[derive(Debug, Deserialize)]
struct Script {
    script_began: f64,
    shell_answered: f64,
    round_trips: Vec<f64>,
    lateness: Vec<f64>,
}

/// Runs the script once under `driver`, with its results in `folder`.
pub(crate) fn run(driver: &[String], folder: &Path) -> Result<Figures> {
    fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    let result = folder.join("bench.json");
    let _ = fs::remove_file(&result);
    let args: Vec<&str> = driver[1..].iter().map(String::as_str).collect();
    let mut command = command::command(&driver[0], &args);
    command.args(["bench/bench.toml", "-o"]).arg(folder.join("result")).env("BENCH_RESULT", &result);
    println!("$ {}", command::show(&command));
    let started = now();
    let mut child = command.spawn().with_context(|| format!("failed to start `{}`", driver[0]))?;
    let memory = watch_memory(&mut child)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` ended with {status}", driver.join(" "));
    }
    let text = fs::read_to_string(&result).context("the script has left no result")?;
    let script: Script =
        serde_json::from_str(&text).context("the script's result is not what it should be")?;
    Ok(Figures {
        script_began: vec![script.script_began - started],
        shell_answered: vec![script.shell_answered - started],
        round_trips: script.round_trips,
        lateness: script.lateness,
        memory_kib: vec![memory],
    })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Follows a driver and its children to its end, and adds up the peaks of all that is no hypervisor.
#[expect(clippy::cast_precision_loss, reason = "memory sizes are far from 2^52 KiB")]
fn watch_memory(driver: &mut Child) -> Result<f64> {
    let mut peaks: BTreeMap<u32, u64> = BTreeMap::new();
    while driver.try_wait()?.is_none() {
        for pid in family(driver.id()) {
            if let Some(peak) = peak_kib(pid) {
                peaks.insert(pid, peak);
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(peaks.values().sum::<u64>() as f64)
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

/// The peak memory of a process, unless it is a hypervisor.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("Name:")?.starts_with("qemu-") {
        return None;
    }
    field("VmHWM:")?.split_whitespace().next()?.parse().ok()
}
