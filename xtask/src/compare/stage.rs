//! Runs a script under one of the drivers, with start scripts in the manner of NixOS's.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::script::Script;
use crate::upstream::{Request, Upstream};
use crate::{command, guests};

/// How long a driver may take beyond its test's own timeout.
const GRACE: Duration = Duration::from_secs(60);

/// Who runs a script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Upstream,
    Innkeeper,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upstream => "nixos",
            Self::Innkeeper => "innkeeper",
        })
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// As a shell tells it.
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// Writes it down.
    pub(super) fn keep(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// Reads what was written down.
    pub(super) fn kept(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// The image's description.
#[derive(Debug, Deserialize)]
struct Image {
    kernel: PathBuf,
    initrd: PathBuf,
    cmdline: String,
    disks: Vec<Disk>,
}

#[derive(Debug, Deserialize)]
struct Disk {
    path: PathBuf,
}

/// Where scripts are run.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    upstream: &'a Upstream,
    program: PathBuf,
    /// Innkeeper's own options.
    options: Vec<String>,
    accel: &'a str,
    /// What all start scripts do.
    start_script: String,
    image: Image,
    work: TempDir,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        upstream: &'a Upstream,
        program: PathBuf,
        without_agent: bool,
        accel: &'a str,
    ) -> Result<Self> {
        let folder = fs::canonicalize(guests::images()?.join("base")).context("there is no image `base`")?;
        let mut image: Image = toml::from_str(&fs::read_to_string(folder.join("image.toml"))?)?;
        for path in [&mut image.kernel, &mut image.initrd]
            .into_iter()
            .chain(image.disks.iter_mut().map(|disk| &mut disk.path))
        {
            *path = folder.join(&path);
        }
        // Sockets need short paths.
        let work =
            tempfile::Builder::new().prefix("compare-").tempdir().context("failed to make a work folder")?;
        let mut options = vec![format!("--with-accel={accel}")];
        options.extend(without_agent.then(|| "--without-agent".to_owned()));
        let start_script = fs::read_to_string(command::root().join("tests/src/start-script.bash"))?;
        Ok(Self { upstream, program, options, accel, start_script, image, work })
    }

    /// Runs a script to its end.
    pub(super) fn run(&self, side: Side, script: &Script) -> Result<Ended> {
        let folder = self.work.path().join(&script.name).join(side.to_string());
        // The working directory has the same name for both.
        let (here, temporary, out) = (folder.join("here"), folder.join("tmp"), folder.join("out"));
        for folder in [&here, &temporary, &out] {
            fs::create_dir_all(folder)?;
        }
        let machines = script.machines.iter().map(|name| {
            let file = folder.join(format!("run-{name}-vm"));
            self.write_start_script(&file, name, script)?;
            // Started by way of `sh -c`, which need not give its own process to the last command: QEMU has to be the
            // process that the driver ends.
            Ok((name.as_str(), format!("exec {}", file.display())))
        });
        let request = Request {
            machines: machines.collect::<Result<_>>()?,
            vlans: &script.vlans,
            timeout: script.timeout,
            out: &out,
            script: &script.file,
        };
        let mut command = match side {
            Side::Upstream => self.upstream.command(&request, &folder)?,
            Side::Innkeeper => {
                let program = folder.join("nixos-test-driver");
                symlink(&self.program, &program)?;
                let mut command = command::process_that_ends_with_us(program.as_os_str());
                command.args(&self.options).args(request.arguments(self.upstream.generation, &folder)?);
                command
            }
        };
        self.same_for_both(&mut command, &here, &temporary);
        let status = run(command, &folder, Duration::from_secs(script.timeout.into()) + GRACE)?;
        // All that happened in the folder, which is another one for each.
        let text = |file: &str| {
            let text = String::from_utf8_lossy(&fs::read(folder.join(file))?).into_owned();
            anyhow::Ok(text.replace(&folder.display().to_string(), "FOLDER"))
        };
        let (stdout, stderr) = (text("stdout")?, text("stderr")?);
        let status = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Ok(Ended { status, stdout, stderr })
    }

    fn same_for_both(&self, command: &mut Command, here: &Path, temporary: &Path) {
        // The script's Python is the same, too, so that its own messages are.
        if let Some(folder) = self.upstream.python_folder() {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(folders) {
                command.env("PATH", path);
            }
        }
        command
            .current_dir(here)
            .env("TMPDIR", temporary)
            .env("QEMU_KERNEL_PARAMS", "told.by=environment")
            .env("QEMU_OPTS", "-device virtio-balloon-pci,id=from-the-environment")
            .env("QEMU_NET_OPTS", "hostname=net-opts");
        for unset in ["XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "LOGFILE", "PYTHONWARNINGS"] {
            command.env_remove(unset);
        }
    }

    fn write_start_script(&self, file: &Path, name: &str, script: &Script) -> Result<()> {
        let vlans = script.vlans.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let members =
            script.machines.iter().map(|name| format!("{name}:{vlans}")).collect::<Vec<_>>().join(" ");
        let disk = self.image.disks.first().context("the image has no disk")?;
        let path = |path: &Path| command::quote(&path.display().to_string());
        let text = format!(
            "#!/bin/bash\nname={name} members={} memory=256 accel={}\ndisk={} kernel={} initrd={} cmdline={}\n{}",
            command::quote(&members),
            self.accel,
            path(&disk.path),
            path(&self.image.kernel),
            path(&self.image.initrd),
            command::quote(&self.image.cmdline),
            self.start_script,
        );
        fs::write(file, text)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// Runs a driver to its end, with its output in files of `folder`.
fn run(mut command: Command, folder: &Path, limit: Duration) -> Result<ExitStatus> {
    command
        .stdin(Stdio::null())
        .stdout(File::create(folder.join("stdout"))?)
        .stderr(File::create(folder.join("stderr"))?);
    // A group of its own, so that what it leaves can be ended with it.
    let mut child = command.process_group(0).spawn().context("failed to start")?;
    let status = wait(&mut child, limit);
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // In a good end nothing is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // One that was ended just now.
    child.wait()?;
    status
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("it did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
