//! How the host is: a test that fails on a host out of breath may be right on another one.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

use crate::text::size;

/// Files that tell how the host is. Not every kernel has all of them.
const FILES: [&str; 5] =
    ["/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io", "/proc/meminfo"];

/// What was seen.
pub(super) struct Host {
    /// All of it.
    pub(super) text: String,
    /// The load, and what is left of memory and disk, in a line.
    pub(super) in_short: String,
}

/// Looks at the host, at the disk of the result directory `out_dir`, and at the hypervisors.
pub(super) fn look(out_dir: &Path, hypervisors: &[(&str, u32)]) -> Host {
    let mut text = String::new();
    for file in FILES {
        if let Ok(content) = fs::read_to_string(file) {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "# {file}\n{content}");
        }
    }
    let temp = std::env::temp_dir();
    let _ = writeln!(text, "# free disk");
    for place in [out_dir, &temp] {
        let _ = writeln!(text, "{}: {}", place.display(), free(place).map_or_else(unknown, size));
    }
    let _ =
        writeln!(text, "\n# hypervisors (state, memory and time of processor, in hundredths of a second)");
    for (machine, pid) in hypervisors {
        let _ = writeln!(text, "{machine}: pid {pid}: {}", process(*pid).unwrap_or_else(unknown));
    }
    Host { in_short: in_short(out_dir), text }
}

fn in_short(out_dir: &Path) -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "the host: load {} on {processors} processors, {} of memory and {} of disk left",
        load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown"),
        memory_left().map_or_else(unknown, size),
        free(out_dir).map_or_else(unknown, size),
    )
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Bytes of memory that programs can still have.
fn memory_left() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Bytes that can still be written below `place`.
pub(crate) fn free(place: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(place).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn process(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (user, system) = (fields.get(11)?, fields.get(12)?);
    Some(format!("{}, {}, user {user}, system {system}", of("State:")?, of("VmRSS:").unwrap_or("no memory")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::look;

    #[test]
    fn a_look_tells_load_memory_disk_and_each_hypervisor() {
        let host = look(Path::new("/"), &[("server", std::process::id()), ("gone", u32::MAX)]);
        for part in
            ["# /proc/loadavg\n", "MemAvailable:", "\n/: ", "server: pid ", "gone: pid 4294967295: unknown"]
        {
            assert!(host.text.contains(part), "{part:?} is missing in {}", host.text);
        }
        assert!(
            host.in_short.starts_with("the host: load ") && !host.in_short.contains("unknown"),
            "{}",
            host.in_short
        );
    }
}
