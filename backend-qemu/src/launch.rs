//! The backend: checks descriptions, and starts QEMU until its control channel answers.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use driver_core::{
    Backend, Boot, Capabilities, Deadline, DriverError, Exit, Machine, MachineLog, MachineSpec,
};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

use crate::accel::{self, Accelerator};
use crate::command::{self, Sockets};
use crate::config::{Accel, Options, VlanPort};
use crate::control::{Control, ControlError};
use crate::exit::{self, Farewell};
use crate::machine::{Parts, QemuMachine};
use crate::network::{self, Ports, START_SCRIPT_CARD};
use crate::{NAME, programs, qemu_version, snapshots};
use backend_kit::console::{Console, relay_errors};
use backend_kit::disk;
use backend_kit::ending::GRACE;
use backend_kit::last_words::LastWords;
use backend_kit::port::Port;
use backend_kit::process::Process;
use backend_kit::{Kvm, KvmVerdict};

/// The QEMU backend.
#[derive(Debug, Default)]
pub struct Qemu {
    kvm: Kvm,
    ports: Ports,
}

impl Qemu {
    /// A backend that has not looked at the host yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    async fn accelerator(&self, options: &Options, log: &dyn MachineLog) -> Accelerator {
        let (accelerator, why) = accel::choose(options.accel, self.kvm.probe()).await;
        log.info(&why);
        accelerator
    }

    async fn vlan_port(&self, spec: &MachineSpec, options: &Options) -> Result<VlanPort, DriverError> {
        if spec.nics.is_empty() { Ok(options.vlan_port) } else { self.ports.choose(options).await }
    }

    /// A start script decides about KVM by itself, and only by whether it is there.
    async fn warn_of_kvm(&self, options: &Options, log: &dyn MachineLog) {
        if options.accel != Accel::Auto {
            return;
        }
        let found = self.kvm.probe().await;
        if matches!(found.verdict, KvmVerdict::Slow | KvmVerdict::Broken { .. }) {
            log.warning(&format!(
                "{found}; should the start script use it, set accel = \"tcg\" in the table `{NAME}`"
            ));
        }
    }

    /// The command that starts the machine.
    async fn command(
        &self,
        spec: &MachineSpec,
        options: &Options,
        sockets: Sockets<'_>,
        log: &dyn MachineLog,
    ) -> Result<Command, DriverError> {
        Ok(match &spec.boot {
            Boot::StartScript { command: script } => {
                self.warn_of_kvm(options, log).await;
                let mut command = Command::new("/bin/sh");
                // The arguments go to the end of whatever shell command this is. `sh` may stay around as
                // QEMU's parent: both are in one process group.
                command.arg("-c").arg(format!("{} \"$@\"", script.trim_end())).arg("sh");
                command.args(command::for_start_script(spec, options, sockets));
                command
                    .current_dir(&spec.state_dir)
                    .env("TMPDIR", &spec.state_dir)
                    .env("USE_TMPDIR", "1")
                    .env("SHARED_DIR", &spec.shared_dir)
                    .env("NIX_EFI_VARS", spec.state_dir.join(format!("{}-efi-vars.fd", spec.name)))
                    .envs(network::variables(&spec.nics));
                command
            }
            Boot::Kernel { disks, .. } | Boot::Firmware { disks } => {
                let accelerator = self.accelerator(options, log).await;
                let mut overlays = Vec::new();
                if !disks.is_empty() {
                    let qemu_img = programs::find(&options.img_binary)?;
                    for (index, disk) in disks.iter().enumerate() {
                        if let Some(snapshot) = &spec.snapshot {
                            snapshots::begin_from(snapshot, index, spec, &qemu_img).await?;
                        }
                        let made = disk::overlay(disk, index, &spec.state_dir, &qemu_img, &spec.name).await;
                        overlays.push(made?);
                    }
                }
                let port = self.vlan_port(spec, options).await?;
                let mut command = Command::new(programs::find(&options.binary)?);
                command.args(command::for_description(spec, options, accelerator, &overlays, port, sockets));
                command
            }
        })
    }
}

#[async_trait]
impl Backend for Qemu {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            screen: true,
            keyboard: true,
            pointer: true,
            monitor: true,
            power: true,
            network: true,
            snapshots: true,
            nics: true,
        }
    }

    /// Every host will do: the programs are each machine's own affair ([`Backend::check`]), and there is TCG.
    async fn probe(&self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let start_script = matches!(spec.boot, Boot::StartScript { .. });
        let options = Options::parse(&spec.options, &spec.name, start_script)?;
        if start_script {
            return Ok(());
        }
        qemu_version(&options.binary).await?;
        self.vlan_port(spec, &options).await?;
        if !spec.boot.disks().is_empty() {
            programs::find(&options.img_binary)?;
        }
        disk::check_boot(&spec.boot, &spec.name)?;
        disk::check_shares(&spec.shares, &spec.name)
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        let start_script = matches!(spec.boot, Boot::StartScript { .. });
        let options = Options::parse(&spec.options, &spec.name, start_script)?;
        let cannot = |problem: String| DriverError::Launch {
            machine: spec.name.clone(),
            problem,
            way_out: String::new(),
        };
        let listen = |name| {
            Port::listen(&spec.state_dir, name)
                .map_err(|error| cannot(format!("the socket `{name}` cannot be made: {error}")))
        };
        let (control, shell, bulk) = (listen("control")?, listen("shell")?, listen("bulk")?);
        let sockets = Sockets { control: control.path(), shell: shell.path(), bulk: bulk.path() };
        let mut command = self.command(spec, &options, sockets, log.as_ref()).await?;
        let program = PathBuf::from(command.as_std().get_program());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let attach = |child: &mut Child, words: &_, readers: &_| attach(child, words, readers, &log);
        let (process, console) = Process::spawn(command, &log, attach)
            .map_err(|error| cannot(format!("`{}` cannot be started: {error}", program.display())))?;
        let leftovers =
            Leftovers(["qmp", "monitor", crate::VNC_SOCKET].map(|name| spec.state_dir.join(name)));
        let launch = Launch { spec, options: &options, start_script, process, console, log, leftovers };
        let machine = launch.finish([control, shell, bulk], within).await?;
        if let Some(snapshot) = &spec.snapshot {
            machine.load(snapshot, within).await?;
        }
        Ok(Arc::new(machine))
    }
}

/// Takes the streams of a QEMU that has just been started: the serial console is its standard input and output.
fn attach(
    child: &mut Child,
    words: &Arc<LastWords>,
    readers: &TaskTracker,
    log: &Arc<dyn MachineLog>,
) -> io::Result<Console> {
    let missing = || io::Error::other("the process has no pipes");
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let errors = child.stderr.take().ok_or_else(missing)?;
    readers.spawn(relay_errors(errors, "QEMU", Arc::clone(log), Arc::clone(words)));
    Ok(Console::new(output, input, words, readers))
}

/// The sockets that QEMU itself makes: one that is killed leaves them behind. Dropping this removes them.
#[derive(Debug)]
pub(crate) struct Leftovers([PathBuf; 3]);

impl Drop for Leftovers {
    fn drop(&mut self) {
        for path in &self.0 {
            // QEMU has removed it already, as a rule.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A machine on its way: the process runs, the control channel does not answer yet.
struct Launch<'a> {
    spec: &'a MachineSpec,
    options: &'a Options,
    start_script: bool,
    process: Process,
    console: Console,
    log: Arc<dyn MachineLog>,
    leftovers: Leftovers,
}

impl Launch<'_> {
    async fn finish(
        self,
        [control, shell, bulk]: [Port; 3],
        within: Deadline,
    ) -> Result<QemuMachine, DriverError> {
        let connected = async {
            let connections = async { tokio::try_join!(control.accept(), shell.accept(), bulk.accept()) };
            let (control, shell, bulk): (UnixStream, UnixStream, UnixStream) =
                connections.await.map_err(|source| DriverError::Control {
                    machine: self.spec.name.clone(),
                    operation: "accept QEMU's connections".to_owned(),
                    source: Box::new(source),
                })?;
            let (control, events) = Control::start(control);
            let ready = control.execute(qapi_qmp::qmp_capabilities { enable: None }, within).await;
            Ok::<_, DriverError>((ready, control, events, shell, bulk))
        };
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout_at(within.instant(), connected) => outcome,
            _ = self.process.group().ended() => return Err(self.died().await),
        };
        let Ok(outcome) = outcome else { return Err(self.silent(within)) };
        let (ready, control, events, shell, bulk) = outcome?;
        match ready {
            Ok(_) => {}
            Err(ControlError::Closed) => return Err(self.died().await),
            Err(ControlError::TimedOut { .. }) => return Err(self.silent(within)),
            Err(error) => {
                return Err(DriverError::Control {
                    machine: self.spec.name.clone(),
                    operation: "set up QEMU's control channel".to_owned(),
                    source: Box::new(error),
                });
            }
        }
        let Self { spec, options, start_script, process, console, log, leftovers } = self;
        let (name, state_dir) = (spec.name.clone(), spec.state_dir.clone());
        let cards = if start_script {
            vec![START_SCRIPT_CARD.to_owned()]
        } else {
            (1..=spec.nics.len()).map(network::name).collect()
        };
        Ok(QemuMachine::new(Parts {
            name,
            state_dir,
            disks: spec.boot.disks().len(),
            img_binary: options.img_binary.clone(),
            cards,
            start_script,
            process,
            console,
            shell,
            bulk,
            control,
            events,
            log,
            leftovers,
        }))
    }

    /// The error for a machine that ended before it answered.
    async fn died(&self) -> DriverError {
        let group = self.process.group();
        let status = group.end_within(GRACE).await;
        let reason = exit::reason(&Farewell::default(), status, false, self.start_script);
        DriverError::Exited {
            machine: self.spec.name.clone(),
            exit: Exit { reason, last_words: group.final_words().await },
            during: Some("starting".to_owned()),
        }
    }

    /// The error for a machine that runs and does not answer.
    fn silent(&self, within: Deadline) -> DriverError {
        DriverError::Timeout {
            machine: self.spec.name.clone(),
            awaited: "QEMU's connection to the driver".to_owned(),
            limit: within.limit(),
            seen: self.process.group().words().lines().pop().map(|line| format!("`{line}`")),
        }
    }
}
