//! Where and of what the figures are: enough to compare them with others, and nothing that names the machine.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

use super::hypervisor::CommandLine;
use crate::command;
use crate::upstream::Upstream;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sources {
    pub(super) innkeeper: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upstream: Option<String>,
}

/// What it was measured on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Host {
    /// Of the measuring's end, in UTC.
    pub(super) date: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) qemu: String,
    pub(super) accelerator: String,
    pub(super) guest_kernel: String,
    /// The load of the host in the end, over 15 minutes: how much else there was to do, too.
    pub(super) load: f64,
}

impl Sources {
    /// Finds the commits; `built` says that the program was built of the working tree.
    pub(super) fn find(built: bool, upstream: Option<&Upstream>) -> Result<Self> {
        let git = |args: &[&str]| command::output(&mut command::command("git", args));
        let innkeeper = if built {
            let commit = git(&["rev-parse", "--short=12", "HEAD"]).context("`git` knows no commit here")?;
            let changed =
                git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|it| !it.is_empty());
            format!("{}{}", commit.trim(), if changed { ", with changes" } else { "" })
        } else {
            "a program given with --innkeeper".to_owned()
        };
        Ok(Self { innkeeper, upstream: upstream.map(|upstream| upstream.revision.clone()) })
    }
}

impl Host {
    /// Looks at the host, and at the hypervisor that was running.
    pub(super) fn find(machine: &CommandLine, guest_kernel: &str) -> Result<Self> {
        let date = command::output(&mut command::command("date", &["-u", "+%Y-%m-%d"]));
        let qemu = command::output(&mut command::command(machine.program(), &["--version"]));
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo").lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Ok(Self {
            date: date.context("`date` does not know the day")?.trim().to_owned(),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            // Without what its builder calls it.
            kernel: read("/proc/sys/kernel/osrelease")
                .trim()
                .split('-')
                .next()
                .unwrap_or_default()
                .to_owned(),
            qemu: qemu.as_deref().and_then(version).context("QEMU does not tell its version")?.to_owned(),
            accelerator: machine.accelerator().to_owned(),
            guest_kernel: guest_kernel.to_owned(),
            load: read("/proc/loadavg")
                .split(' ')
                .nth(2)
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
        })
    }

    /// What the results are called: the day and the kind of host.
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.date, std::env::consts::ARCH, self.accelerator)
    }
}

/// The number in "QEMU emulator version 10.0.2 (Debian ...)".
fn version(text: &str) -> Option<&str> {
    text.split_once("version ")?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn qemu_tells_its_version_among_other_things() {
        let text = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright (c) 2003-2025 ...\n";
        assert_eq!(version(text), Some("10.0.2"));
    }
}
