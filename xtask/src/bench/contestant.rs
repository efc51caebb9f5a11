//! Who takes part, in what, and how innkeeper is asked to.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::hypervisor::CommandLine;
use super::script::Plan;
use crate::command;
use crate::upstream::{Request, Upstream};

/// How long upstream's driver may run by its own count, in seconds; ours ends it before.
const UPSTREAM_TIMEOUT: u32 = 7200;

/// A driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Contestant {
    Agent,
    Shell,
    Upstream,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "innkeeper",
            Self::Shell => "innkeeper --no-agent",
            Self::Upstream => "NixOS driver",
        })
    }
}

/// What the drivers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    Bench,
    Guestbook,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bench => "benchmark script",
            Self::Guestbook => "guestbook test",
        })
    }
}

impl Test {
    /// How long a driver may take before it is ended.
    pub(super) fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Bench => 3600,
            Self::Guestbook => 900,
        })
    }

    /// The script, from the repository's root.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Bench => "bench/bench.py",
            Self::Guestbook => "examples/guestbook/guestbook.py",
        }
    }
}

/// One run of one test under one driver.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) driver: Contestant,
    pub(super) test: Test,
    /// A fresh folder, with an empty `out` in it.
    pub(super) folder: &'a Path,
    /// The socket by which the guest tells the moments of its events.
    pub(super) port: &'a Path,
    pub(super) plan: &'a Plan,
}

impl Job<'_> {
    /// Innkeeper's command.
    pub(super) fn innkeeper(&self, program: &Path) -> Result<Command> {
        let manifest = match self.test {
            Test::Guestbook => "examples/guestbook/guestbook.toml".to_owned(),
            Test::Bench => {
                let manifest = self.folder.join("bench.toml");
                fs::write(&manifest, self.manifest()?)?;
                manifest.display().to_string()
            }
        };
        let mut command = command::process_that_ends_with_us(program.as_os_str());
        command.args(["run", &manifest, "-o"]).arg(self.folder.join("out"));
        if self.driver == Contestant::Shell {
            command.arg("--no-agent");
        }
        Ok(command)
    }

    /// Upstream's command, on the machine that innkeeper has started for the same test.
    pub(super) fn upstream(&self, upstream: &Upstream, machine: &CommandLine) -> Result<Command> {
        // The name of the machine is read off the script's.
        let start = self.folder.join("run-server-vm");
        fs::write(&start, machine.start_script()?)?;
        fs::set_permissions(&start, fs::Permissions::from_mode(0o755))?;
        let request = Request {
            // Started by way of `sh -c`, which need not give its own process to the last command: QEMU has to be the
            // process that the driver ends.
            machines: vec![("server", format!("exec {}", start.display()))],
            vlans: &[],
            timeout: UPSTREAM_TIMEOUT,
            out: &self.folder.join("out"),
            script: &command::root().join(self.test.script()),
        };
        let mut command = upstream.command(&request, self.folder)?;
        command
            .env("XDG_RUNTIME_DIR", self.folder)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("LOGFILE");
        Ok(command)
    }

    fn manifest(&self) -> Result<String> {
        let port = self.port.to_str().context("a path is not text")?;
        let manifest = toml::to_string(&json!({
            "name": "bench",
            "script": command::root().join(self.test.script()),
            "timeout": "1h",
            "machines": { "server": { "image": "base", "memory": "512M", "qemu": { "extra_args": [
                "-chardev", format!("socket,id=bench,path={port}"),
                "-device", "virtserialport,chardev=bench,name=bench",
            ]}}},
        }));
        manifest.context("failed to write a manifest")
    }

    /// Tells the script what to do, and where; the same for every driver.
    pub(super) fn describe(&self, command: &mut Command) -> Result<()> {
        let mut plan = serde_json::to_value(self.plan)?;
        plan["work"] = json!(self.folder);
        plan["out"] = json!(self.folder.join("out"));
        plan["trigger"] = json!(command::root().join("bench/trigger.pl"));
        // Upstream's driver speaks one line of text at a time, and nobody else may meanwhile.
        plan["threads"] = json!(self.driver != Contestant::Upstream);
        command.env("BENCH_PLAN", plan.to_string()).env("BENCH_RESULT", self.folder.join("findings.json"));
        Ok(())
    }
}
