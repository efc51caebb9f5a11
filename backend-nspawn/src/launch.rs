//! The backend: checks descriptions, and starts containers until they boot.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use backend_kit::console::{Console, relay_errors};
use backend_kit::disk;
use backend_kit::last_words::LastWords;
use backend_kit::process::Process;
use driver_core::{
    Backend, Boot, Capabilities, Deadline, Disk, DiskFormat, DriverError, Exit, Machine, MachineLog,
    MachineSpec,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::cards::Cards;
use crate::config::Options;
use crate::janitor::Janitor;
use crate::machine::{Boots, NspawnMachine, Parts, Tenants};
use crate::notices::Notices;
use crate::shell::Entrance;
use crate::terminal::{self, Line};
use crate::{NAME, exit, journal, programs, words};

const CONTAINER: &str = include_str!("container.sh");
const START_SCRIPT: &str = include_str!("start-script.sh");

/// The backend for containers of systemd-nspawn.
#[derive(Debug, Default)]
pub struct Nspawn;

#[async_trait]
impl Backend for Nspawn {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { nics: true, ..Capabilities::default() }
    }

    /// The programs are each machine's own affair: [`Backend::check`].
    async fn probe(&self) -> Result<(), DriverError> {
        let host = |problem: String, way_out: &str| DriverError::Host {
            backend: NAME.to_owned(),
            problem,
            way_out: format!("{way_out}take backend = \"qemu\""),
        };
        if !rustix::process::geteuid().is_root() {
            let user = rustix::process::geteuid().as_raw();
            return Err(host(format!("containers need root, and this is user {user}"), "run as root, or "));
        }
        programs::find_unshare()?;
        // What a container needs first of all is tried, and undone.
        let mut janitor = Janitor::hire().await.map_err(|error| {
            host(
                format!(
                    "containers need namespaces and control groups of their own, and there are none: {error}"
                ),
                "run with CAP_SYS_ADMIN on a host with control groups of the second kind, or ",
            )
        })?;
        janitor.finish().await;
        Ok(())
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let options = Options::parse(&spec.options, &spec.name)?;
        programs::find_unshare()?;
        programs::find_nsenter()?;
        if let Boot::StartScript { .. } = spec.boot {
            // Of a start script nobody asks whether this host can run the backend.
            return self.probe().await;
        }
        programs::find_nspawn(options.binary.as_deref())?;
        if let Boot::Kernel { kernel, initrd, .. } = &spec.boot {
            // Of no use here; but what is wrong elsewhere is no better.
            for (what, file) in [("kernel", Some(kernel)), ("initrd", initrd.as_ref())] {
                let Some(file) = file else { continue };
                disk::check_readable(file)
                    .map_err(|problem| disk::unusable(&spec.name, what, file, problem))?;
            }
        }
        check_root(root(spec)?, &spec.name)?;
        disk::check_shares(&spec.shares, &spec.name)
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        self.probe().await?;
        let start = Start::new(spec, log).await?;
        let launched = timeout_at(within.instant(), start.finish(spec)).await;
        Ok(Arc::new(launched.map_err(|_| DriverError::Timeout {
            machine: spec.name.clone(),
            awaited: "the start of systemd-nspawn".to_owned(),
            limit: within.limit(),
            seen: None,
        })??))
    }
}

fn refused(machine: &str, problem: String, way_out: &str) -> DriverError {
    DriverError::Launch { machine: machine.to_owned(), problem, way_out: way_out.to_owned() }
}

/// The one disk, which is the container's root.
fn root(spec: &MachineSpec) -> Result<&Disk, DriverError> {
    match spec.boot.disks() {
        [root] => Ok(root),
        disks => Err(refused(
            &spec.name,
            format!("it has {} disks, and a container has its root and no others", disks.len()),
            "name one disk, an image of a file system or a directory; `shares` bring further directories in",
        )),
    }
}

fn check_root(root: &Disk, machine: &str) -> Result<(), DriverError> {
    if root.format != DiskFormat::Raw {
        let problem = format!("its disk `{}` is no raw image, as a container's root is", root.path.display());
        return Err(refused(machine, problem, "`qemu-img convert -O raw` makes one"));
    }
    if root.path.is_dir() {
        return Ok(());
    }
    disk::check(root).map_err(|problem| disk::unusable(machine, "disk", &root.path, problem))
}

/// A container on its way: its surroundings are there, and somebody makes its root.
struct Start {
    process: Process,
    words: Arc<LastWords>,
    boots: Option<Boots>,
    console: Console,
    entrance: Entrance,
    janitor: Janitor,
    notices: Notices,
    line: Line,
    log: Arc<dyn MachineLog>,
}

impl Start {
    async fn new(spec: &MachineSpec, log: Arc<dyn MachineLog>) -> Result<Self, DriverError> {
        let options = Options::parse(&spec.options, &spec.name)?;
        let (unshare, nsenter) = (programs::find_unshare()?, programs::find_nsenter()?);
        let failed = |error: io::Error| refused(&spec.name, format!("it cannot be started: {error}"), "");
        let janitor = Janitor::hire().await.map_err(failed)?;
        let notices = Notices::listen(&spec.state_dir).map_err(failed)?;
        let (output, input, line) = terminal::open().map_err(failed)?;
        let entrance = Entrance::new(nsenter, &line).map_err(failed)?;

        let mut command = Command::new(unshare);
        command.current_dir(&spec.state_dir).args(["--mount", "--propagation", "private"]);
        match &spec.boot {
            Boot::StartScript { command: script } => {
                command.args(["--", "sh", "-c", START_SCRIPT, "innkeeper-start-script", janitor.place()]);
                command.arg(line.path()).args(words::for_script(spec, notices.path(), script));
                command.stdin(Stdio::null()).stdout(Stdio::null());
            }
            _ => {
                let nspawn = programs::find_nspawn(options.binary.as_deref())?;
                let root = std::path::absolute(&root(spec)?.path).map_err(failed)?;
                command.args(["--net", "--", "sh", "-c", CONTAINER, "innkeeper-container"]);
                command.arg(root).arg(janitor.place()).arg(line.path()).arg(nspawn);
                command.args(words::for_nspawn(spec, &options, line.path()));
                command.env("NOTIFY_SOCKET", notices.path());
                // The guest's `/tmp` is where its image has it.
                command.env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
            }
        }
        command.stderr(Stdio::piped());
        let relayed = Arc::clone(&log);
        let spawned = Process::spawn(command, &log, |child, words, readers| {
            let errors = child.stderr.take().ok_or_else(|| io::Error::other("the process has no pipe"))?;
            readers.spawn(relay_errors(errors, "systemd-nspawn", relayed, Arc::clone(words)));
            let boots = match (child.stdin.take(), child.stdout.take()) {
                (Some(orders), Some(said)) => Some(Boots { orders, said: BufReader::new(said).lines() }),
                _ => None,
            };
            Ok((boots, Console::new(output, input, words, readers), Arc::clone(words)))
        });
        let (process, (boots, console, words)) = spawned.map_err(failed)?;
        Ok(Self { process, words, boots, console, entrance, janitor, notices, line, log })
    }

    /// Boots the container, and returns when its first process runs.
    async fn finish(mut self, spec: &MachineSpec) -> Result<NspawnMachine, DriverError> {
        let mut cards = None;
        let mut state = self.notices.state();
        let began = async {
            if let Some(boots) = &mut self.boots {
                match boots.said.next_line().await {
                    Ok(Some(line)) if line == "ready" => {}
                    _ => return Ok(false),
                }
                cards = Some(Cards::plug(self.process.group().id(), &spec.nics).await?);
                boots.orders.write_all(b"boot\n").await?;
            }
            let boots = &mut self.boots;
            let ended = async {
                match boots {
                    Some(boots) => drop(boots.said.next_line().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                led = state.wait_for(|state| state.leader.is_some()) => Ok(led.is_ok()),
                () = ended => Ok(false),
            }
        };
        let began: io::Result<bool> = tokio::select! {
            began = began => began,
            _ = self.process.group().ended() => Ok(false),
        };
        match began {
            Ok(true) => {}
            Ok(false) => return Err(self.died(&spec.name).await),
            Err(error) => {
                let problem = format!("its network cards cannot be made: {error}");
                let way_out =
                    "load the module `tun`, and see that /dev/net/tun is there; or leave out `vlans`";
                self.janitor.finish().await;
                return Err(refused(&spec.name, problem, way_out));
            }
        }
        let Self { process, words, boots, console, entrance, janitor, notices, line, log } = self;
        words.leave_output_to_the_guest();
        let (shell, service) = entrance.open(notices.state());
        let mut tasks = JoinSet::new();
        tasks.spawn(service);
        if boots.is_none() {
            tasks.spawn(journal::follow(spec.state_dir.join("var/log/journal"), line.handle(), log.clone()));
        }
        Ok(NspawnMachine::new(Parts {
            name: spec.name.clone(),
            allow_reboot: spec.allow_reboot,
            process,
            boots,
            console,
            shell,
            tenants: Tenants { janitor, notices, line, cards: cards.unwrap_or_default(), tasks },
            log,
        }))
    }

    /// The error for a container that ended before it began.
    async fn died(mut self, machine: &str) -> DriverError {
        // Without orders it ends.
        drop(self.boots);
        let group = self.process.group();
        let status = group.end_within(backend_kit::ending::GRACE).await;
        self.janitor.finish().await;
        // Hangs the console up, or its last lines would be waited for.
        drop(self.line);
        let last_words = group.final_words().await;
        let reason = exit::reason(None, status, false);
        let exit = Exit { reason, last_words };
        DriverError::Exited { machine: machine.to_owned(), exit, during: Some("starting".to_owned()) }
    }
}
