//! The backend: checks descriptions, and starts the program until its machine boots.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use backend_kit::console::{Console, relay_errors};
use backend_kit::ending::GRACE;
use backend_kit::last_words::LastWords;
use backend_kit::port::check_path;
use backend_kit::process::Process;
use backend_kit::{Kvm, KvmVerdict, disk};
use driver_core::{
    Backend, Boot, Capabilities, Deadline, DriverError, Exit, Machine, MachineLog, MachineSpec,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::Options;
use crate::control::{Control, ControlError};
use crate::exit::{self, Farewell};
use crate::files::{Files, Paths};
use crate::machine::{CloudHypervisorMachine, Parts};
use crate::shares::Servers;
use crate::terminal::Terminal;
use crate::{NAME, description, events, programs, serial, shares, snapshots, terminal};

/// The backend for Cloud Hypervisor.
#[derive(Debug)]
pub struct CloudHypervisor {
    /// The program of machines that name none.
    program: PathBuf,
    kvm: Kvm,
}

impl Default for CloudHypervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl CloudHypervisor {
    /// A backend that has not looked at the host yet.
    #[must_use]
    pub fn new() -> Self {
        Self { program: programs::usual(), kvm: Kvm::default() }
    }

    /// A backend for a program that stands in for the real one and needs no KVM. For tests.
    #[must_use]
    pub fn with_stand_in(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kvm: Kvm::known(KvmVerdict::Usable.into()) }
    }

    fn program_of<'a>(&'a self, options: &'a Options) -> &'a Path {
        options.binary.as_deref().unwrap_or(&self.program)
    }

    /// There is no way without KVM.
    async fn need_kvm(&self) -> Result<(), DriverError> {
        let found = self.kvm.probe().await;
        if found.is_usable() {
            return Ok(());
        }
        let or = if found.way_out().is_empty() { String::new() } else { format!("{}, or ", found.way_out()) };
        Err(DriverError::Host {
            backend: NAME.to_owned(),
            problem: format!("it needs KVM, and {found}"),
            way_out: format!("{or}take backend = \"qemu\", which can do without"),
        })
    }
}

#[async_trait]
impl Backend for CloudHypervisor {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { power: true, snapshots: true, nics: true, ..Capabilities::default() }
    }

    /// The programs are each machine's own affair: [`Backend::check`].
    async fn probe(&self) -> Result<(), DriverError> {
        self.need_kvm().await
    }

    async fn check(&self, spec: &MachineSpec) -> Result<(), DriverError> {
        let options = Options::parse(&spec.options, &spec.name)?;
        let cannot = |problem: String, way_out: &str| DriverError::Launch {
            machine: spec.name.clone(),
            problem,
            way_out: way_out.to_owned(),
        };
        match &spec.boot {
            Boot::StartScript { .. } => {
                let problem = "it has a start script, and those start QEMU".to_owned();
                return Err(cannot(problem, "take backend = \"qemu\", or describe it by kernel and disks"));
            }
            Boot::Kernel { .. } => {}
            Boot::Firmware { .. } => match &options.firmware {
                Some(firmware) => {
                    let unusable = |problem| disk::unusable(&spec.name, "firmware", firmware, problem);
                    disk::check_readable(firmware).map(drop).map_err(unusable)?;
                }
                None => {
                    let problem = "it boots from its disk, and has no firmware that could do that".to_owned();
                    return Err(cannot(
                        problem,
                        "set `firmware` in its table `cloud-hypervisor`: rust-hypervisor-firmware, or OVMF built for it",
                    ));
                }
            },
        }
        disk::check_boot(&spec.boot, &spec.name)?;
        disk::check_shares(&spec.shares, &spec.name)?;
        if !shares::of(spec, &options).is_empty() {
            programs::find_virtiofsd(options.virtiofsd.as_deref())?;
        }
        programs::version(self.program_of(&options)).await?;
        if !spec.boot.disks().is_empty() {
            programs::find_img(options.img_binary.as_deref())?;
        }
        Ok(())
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        log: Arc<dyn MachineLog>,
        within: Deadline,
    ) -> Result<Arc<dyn Machine>, DriverError> {
        self.need_kvm().await?;
        let options = Options::parse(&spec.options, &spec.name)?;
        let program = programs::find(self.program_of(&options))?;
        let mut overlays = Vec::new();
        if !spec.boot.disks().is_empty() {
            let qemu_img = programs::find_img(options.img_binary.as_deref())?;
            for (index, disk) in spec.boot.disks().iter().enumerate() {
                overlays.push(match &spec.snapshot {
                    Some(snapshot) => snapshots::begin_from(snapshot, index, spec, within).await?,
                    None => disk::overlay(disk, index, &spec.state_dir, &qemu_img, &spec.name).await?,
                });
            }
        }
        let stays = programs::can_stay(&program).await;
        let start =
            Start::new(&spec.state_dir, &program, stays, &log).map_err(|error| DriverError::Launch {
                machine: spec.name.clone(),
                problem: format!("`{}` cannot be started: {error}", program.display()),
                way_out: String::new(),
            })?;
        start.share(spec, &options, &log)?;
        let config = description::describe(spec, &options, &overlays, &start.files);
        if let Some(snapshot) = &spec.snapshot {
            snapshots::prepare(snapshot, &start.files.snapshot(), &config).await?;
        }
        let launch = Launch { spec, stays, start, log };
        Ok(Arc::new(launch.finish(&config, within).await?))
    }
}

/// The program, started without a machine.
struct Start {
    process: Process,
    words: Arc<LastWords>,
    shell: Terminal,
    events: pipe::Receiver,
    control: Control,
    files: Files,
}

impl Start {
    /// Starts the program in `state_dir`.
    fn new(state_dir: &Path, program: &Path, stays: bool, log: &Arc<dyn MachineLog>) -> io::Result<Self> {
        let paths = Paths::new(state_dir);
        // The program would not tell, and we would knock until the deadline.
        check_path(&paths.api())?;
        check_path(&paths.serial())?;
        let files = Files::new(paths)?;
        mknodat(CWD, files.events(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open before the program opens it to write, which would wait for us.
        let events = pipe::OpenOptions::new().open_receiver(files.events())?;
        let (shell, theirs) = terminal::open()?;
        let mut command = Command::new(program);
        // Relative, since the program's options have a grammar in which a path's commas mean something.
        command.current_dir(state_dir).args([
            "--api-socket",
            "path=api.sock",
            "--event-monitor",
            "path=events",
        ]);
        if stays {
            command.arg("--no-shutdown");
        }
        command.stdin(theirs.input).stdout(theirs.output).stderr(Stdio::piped());
        let relayed = Arc::clone(log);
        let (process, words) = Process::spawn(command, log, |child, words, readers| {
            let errors = child.stderr.take().ok_or_else(|| io::Error::other("the process has no pipe"))?;
            readers.spawn(relay_errors(errors, "Cloud Hypervisor", relayed, Arc::clone(words)));
            Ok(Arc::clone(words))
        })?;
        let control = Control::new(files.api());
        Ok(Self { process, words, shell, events, control, files })
    }
}

impl Start {
    /// Has the directories served that the machine shares.
    fn share(
        &self,
        spec: &MachineSpec,
        options: &Options,
        log: &Arc<dyn MachineLog>,
    ) -> Result<(), DriverError> {
        let shares = shares::of(spec, options);
        if shares.is_empty() {
            return Ok(());
        }
        let servers = Arc::new(Servers {
            program: programs::find_virtiofsd(options.virtiofsd.as_deref())?,
            group: Arc::clone(self.process.group()),
            words: Arc::clone(&self.words),
            log: Arc::clone(log),
        });
        for (index, share) in shares.iter().enumerate() {
            servers.serve(share, &self.files.share(index)).map_err(|error| DriverError::Launch {
                machine: spec.name.clone(),
                problem: format!("its share `{}` cannot be served: {error}", share.tag),
                way_out: String::new(),
            })?;
        }
        Ok(())
    }
}

/// A machine on its way: the program runs, the machine is not there yet.
struct Launch<'a> {
    spec: &'a MachineSpec,
    stays: bool,
    start: Start,
    log: Arc<dyn MachineLog>,
}

impl Launch<'_> {
    async fn finish(
        self,
        config: &serde_json::Value,
        within: Deadline,
    ) -> Result<CloudHypervisorMachine, DriverError> {
        let control = &self.start.control;
        let booted = async {
            let program = control.ready(within).await?;
            let files = &self.start.files;
            if self.spec.snapshot.is_some() {
                snapshots::restore(control, &files.snapshot(), &files.serial(), within).await?;
            } else {
                control.put("vm.create", Some(config), within).await?;
                control.put("vm.boot", None, within).await?;
            }
            let connected = serial::connect(&files.serial(), Arc::clone(self.start.process.group())).await;
            let serial =
                connected.map_err(|source| ControlError::Closed { endpoint: "serial console", source })?;
            Ok((program, serial))
        };
        let outcome = tokio::select! {
            biased;
            outcome = booted => outcome,
            _ = self.start.process.group().ended() => return Err(self.died().await),
        };
        let (program, (output, input)) = match outcome {
            Ok(answered) => answered,
            Err(error) => return Err(self.failed(error, within).await),
        };
        let Self { spec, stays, start, log } = self;
        let Start { process, words, shell, events, control, files } = start;
        words.leave_output_to_the_guest();
        let console = process.group().read_with(|readers| Console::new(output, input, &words, readers));
        let (sender, events_of) = mpsc::unbounded_channel();
        tokio::spawn(events::read(events, sender));
        Ok(CloudHypervisorMachine::new(Parts {
            name: spec.name.clone(),
            state_dir: spec.state_dir.clone(),
            disks: spec.boot.disks().len(),
            program,
            allow_reboot: spec.allow_reboot,
            stays,
            process,
            console,
            shell,
            control,
            events: events_of,
            files,
            log,
        }))
    }

    /// The error for a program that ended before its machine booted.
    async fn died(&self) -> DriverError {
        let group = self.start.process.group();
        let status = group.end_within(GRACE).await;
        let last_words = group.final_words().await;
        let reason = exit::reason(Farewell::default(), status, false, &last_words);
        DriverError::Exited {
            machine: self.spec.name.clone(),
            exit: Exit { reason, last_words },
            during: Some("starting".to_owned()),
        }
    }

    async fn failed(&self, error: ControlError, within: Deadline) -> DriverError {
        let machine = self.spec.name.clone();
        match error {
            // The kernel, a disk, a setting: the description is to blame.
            ControlError::Refused { reasons, .. } => DriverError::Launch {
                machine,
                problem: format!("Cloud Hypervisor does not want it: {reasons}"),
                way_out: String::new(),
            },
            ControlError::Closed { .. } if !within.is_over() && self.has_ended().await => self.died().await,
            ControlError::TimedOut { .. } => self.silent(within),
            ControlError::Closed { .. } if within.is_over() => self.silent(within),
            error @ (ControlError::Closed { .. } | ControlError::Unreadable { .. }) => DriverError::Control {
                machine,
                operation: "start Cloud Hypervisor".to_owned(),
                source: Box::new(error),
            },
        }
    }

    /// Whether the program has ended, or does so soon.
    async fn has_ended(&self) -> bool {
        timeout(GRACE, self.start.process.group().ended()).await.is_ok()
    }

    /// The error for a program that runs and does not answer.
    fn silent(&self, within: Deadline) -> DriverError {
        DriverError::Timeout {
            machine: self.spec.name.clone(),
            awaited: "the start of Cloud Hypervisor".to_owned(),
            limit: within.limit(),
            seen: self.start.words.lines().pop().map(|line| format!("`{line}`")),
        }
    }
}
