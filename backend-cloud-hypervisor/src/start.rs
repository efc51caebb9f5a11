//! The start of one machine: from the program's process to a guest that boots.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use backend_kit::console::{Console, relay_errors};
use backend_kit::ending::GRACE;
use backend_kit::port::check_path;
use backend_kit::process::Process;
use driver_core::{Deadline, DriverError, Exit, MachineLog, MachineSpec};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
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
use crate::{events, programs, serial, shares, snapshots, terminal};

/// The program, started without a machine.
pub(crate) struct Start {
    process: Process,
    shell: Terminal,
    events: pipe::Receiver,
    control: Control,
    files: Files,
}

impl Start {
    /// Starts the program in `state_dir`.
    pub(crate) fn new(
        state_dir: &Path,
        program: &Path,
        stays: bool,
        log: &Arc<dyn MachineLog>,
    ) -> io::Result<Self> {
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
        let (process, ()) = Process::spawn(command, log, |child, words, readers| {
            let errors = child.stderr.take().ok_or_else(|| io::Error::other("the process has no pipe"))?;
            readers.spawn(relay_errors(errors, "Cloud Hypervisor", relayed, Arc::clone(words)));
            Ok(())
        })?;
        let control = Control::new(files.api());
        Ok(Self { process, shell, events, control, files })
    }

    /// The files of this launch.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Has the directories served that the machine shares.
    pub(crate) fn share(
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
pub(crate) struct Launch<'a> {
    pub(crate) spec: &'a MachineSpec,
    /// Whether the program outlives its guest's power-off.
    pub(crate) stays: bool,
    pub(crate) start: Start,
    pub(crate) log: Arc<dyn MachineLog>,
}

impl Launch<'_> {
    /// Has the program make the machine that `config` describes, and boot it or go on from the snapshot.
    pub(crate) async fn finish(
        self,
        config: &Value,
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
        let Start { process, shell, events, control, files } = start;
        let words = process.group().words();
        words.leave_output_to_the_guest();
        let console = process.group().read_with(|readers| Console::new(output, input, words, readers));
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
            seen: self.start.process.group().words().lines().pop().map(|line| format!("`{line}`")),
        }
    }
}
