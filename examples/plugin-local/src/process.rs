//! The processes of one machine: how they start, and how all of them end.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use plugin_sdk::driver_core::{GREETING, MachineSpec};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// What a machine does from its first to its last moment.
const INIT: &str = include_str!("init.sh");
/// What it has in place of the host's `poweroff` and the like.
const POWER: &str = include_str!("power.sh");

/// For `unshare`: a world of the machine's own, in which it is root; its first process dies with `unshare`.
pub(crate) const NAMESPACES: &[&str] = &[
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
    "--ipc",
    "--net",
    "--",
];

/// How long the end may lag behind a kill.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Where a machine lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// In namespaces of its own.
    Own,
    /// Among the processes of the host.
    Host,
}

/// The files of a machine, in its own directory.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    name: String,
    state: PathBuf,
    shared: PathBuf,
}

impl Place {
    /// Makes what is not there yet.
    pub(crate) fn prepare(spec: &MachineSpec) -> io::Result<Self> {
        let place = Self {
            name: spec.name.clone(),
            state: std::path::absolute(&spec.state_dir)?,
            shared: std::path::absolute(&spec.shared_dir)?,
        };
        for directory in ["home", "run", "tmp/shared"] {
            fs::create_dir_all(place.state.join(directory))?;
        }
        for pipe in [place.console(), place.power()] {
            if !pipe.exists() {
                mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR)?;
            }
        }
        let run = place.state.join("run");
        // Something to mount the pipe on.
        fs::write(run.join("power"), "")?;
        fs::write(run.join("poweroff"), POWER)?;
        fs::set_permissions(run.join("poweroff"), fs::Permissions::from_mode(0o755))?;
        for name in ["halt", "reboot", "shutdown"] {
            if !run.join(name).exists() {
                symlink("poweroff", run.join(name))?;
            }
        }
        Ok(place)
    }

    /// The pipe that the machine prints to.
    pub(crate) fn console(&self) -> PathBuf {
        self.state.join("console")
    }

    /// The pipe that takes `poweroff` and `reboot`.
    pub(crate) fn power(&self) -> PathBuf {
        self.state.join("power")
    }

    /// What all processes of the machine have in their environment, unless they drop it. innkeeper's guard looks for
    /// it, too.
    fn mark(&self) -> Vec<u8> {
        format!("TMPDIR={}", self.state.join("tmp").display()).into_bytes()
    }
}

/// The process tree of a machine.
#[derive(Debug)]
pub(crate) struct Tree {
    child: Child,
    pgid: Pid,
    world: World,
    place: Place,
}

impl Tree {
    /// Starts a machine whose shell speaks over `shell` and which prints to `console`.
    pub(crate) fn start(place: &Place, world: World, shell: &OwnedFd, console: &File) -> io::Result<Self> {
        let mut command = match world {
            World::Own => {
                let mut command = Command::new("unshare");
                command.args(NAMESPACES).args(["bash", "-c", INIT, "init", "own"]);
                command
            }
            World::Host => {
                let mut command = Command::new("bash");
                command.args(["-c", INIT, "init", "host"]);
                command
            }
        };
        command.env("MACHINE", &place.name).env("STATE", &place.state).env("SHARED", &place.shared);
        command.env("TMPDIR", place.state.join("tmp")).env("GREETING", GREETING).env_remove("BASH_ENV");
        command.stdin(shell.try_clone()?).stdout(shell.try_clone()?).stderr(console.try_clone()?);
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pgid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pgid = pgid.ok_or_else(|| io::Error::other("its first process ended at once"))?;
        Ok(Self { child, pgid, world, place: place.clone() })
    }

    /// The number of the first process, and of the group.
    pub(crate) fn id(&self) -> u32 {
        self.pgid.as_raw_pid().cast_unsigned()
    }

    /// Waits until the first process has ended, and sees to it that nobody is left.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.sweep().await;
        Ok(status)
    }

    /// Kills all of it.
    pub(crate) async fn kill(&mut self) {
        // The first process inside, so that `unshare` reaps it: who is orphaned depends on the host for that.
        for pid in children(self.pgid) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if timeout(AFTERMATH, self.child.wait()).await.is_err() {
            let _ = kill_process_group(self.pgid, Signal::KILL);
        }
    }

    async fn sweep(&self) {
        let started = Instant::now();
        loop {
            let _ = kill_process_group(self.pgid, Signal::KILL);
            // In namespaces the kernel has ended the others with the first.
            let strays = if self.world == World::Host { strays(&self.place.mark()) } else { Vec::new() };
            for pid in &strays {
                let _ = kill_process(*pid, Signal::KILL);
            }
            let is_gone = test_kill_process_group(self.pgid).is_err() && strays.is_empty();
            if is_gone || started.elapsed() > AFTERMATH {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The children of a process, as far as the kernel tells.
fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_pid();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).filter_map(Pid::from_raw).collect()
}

/// The processes that carry a mark in their environment.
fn strays(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let carries = |path: &Path| {
        fs::read(path.join("environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == mark))
    };
    let pid_of = |path: &Path| Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?);
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| carries(path))
        .filter_map(|path| pid_of(&path))
        .collect()
}
