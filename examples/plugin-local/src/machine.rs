//! A machine: its process tree, followed from the start to the end by one task.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};

use plugin_sdk::async_trait;
use plugin_sdk::driver_core::{
    Deadline, DriverError, Exit, ExitReason, GuestPort, GuestStream, Machine, MachineLog, MachineSpec,
};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::process::{Place, Tree, World};

/// What the machine's first process ends with: it was powered off, it reboots. The kernel's own way of saying the
/// same, in a process namespace, is a signal.
const POWERED_OFF: i32 = 40;
const REBOOTS: i32 = 41;
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;

/// A machine that is a process tree. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct LocalMachine {
    name: String,
    place: Place,
    process_id: u32,
    console: Mutex<Option<pipe::Receiver>>,
    shell: Mutex<Option<UnixStream>>,
    exit: watch::Receiver<Option<Exit>>,
    /// Anything sent, and the end of the sender, ends the machine.
    kill: watch::Sender<bool>,
}

impl LocalMachine {
    pub(crate) fn launch(spec: &MachineSpec, world: World, log: Arc<dyn MachineLog>) -> io::Result<Self> {
        let place = Place::prepare(spec)?;
        let reader = pipe::OpenOptions::new().open_receiver(place.console())?;
        let console = OpenOptions::new().write(true).open(place.console())?;
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        let shell = OwnedFd::from(theirs);
        let tree = Tree::start(&place, world, &shell, &console)?;
        log.guard_group(tree.id());
        let process_id = tree.id();
        let (publish, exit) = watch::channel(None);
        let (kill, killed) = watch::channel(false);
        let follower = Follower {
            place: place.clone(),
            world,
            log,
            shell,
            console,
            killed,
            allow_reboot: spec.allow_reboot,
        };
        tokio::spawn(async move { publish.send(Some(follower.follow(tree).await)) });
        Ok(Self {
            name: spec.name.clone(),
            place,
            process_id,
            console: Mutex::new(Some(reader)),
            shell: Mutex::new(Some(ours)),
            exit,
            kill,
        })
    }
}

#[async_trait]
impl Machine for LocalMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        Some(self.process_id)
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        let take =
            |port: &Mutex<Option<UnixStream>>| port.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream: Option<Box<dyn GuestStream>> = match port {
            // Nobody reads what is typed on it.
            GuestPort::Console => {
                let reader = self.console.lock().unwrap_or_else(PoisonError::into_inner).take();
                reader.map(|reader| Box::new(tokio::io::join(reader, tokio::io::sink())) as _)
            }
            GuestPort::Shell => take(&self.shell).map(|stream| Box::new(stream) as _),
            GuestPort::Bulk => {
                return Err(DriverError::usage(format!("machine `{}` has no {port:?} port", self.name)));
            }
        };
        stream.ok_or_else(|| {
            DriverError::usage(format!("machine `{}`: its {port:?} port is open already", self.name))
        })
    }

    async fn request_shutdown(&self, _within: Deadline) -> Result<(), DriverError> {
        // Read and write, or it would wait for a machine that is gone.
        let pipe = OpenOptions::new().read(true).write(true).open(self.place.power());
        pipe.and_then(|mut pipe| pipe.write_all(b"poweroff\n")).map_err(|error| DriverError::Control {
            machine: self.name.clone(),
            operation: "press the power button".to_owned(),
            source: Box::new(error),
        })
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout_at(within.instant(), exit.wait_for(Option::is_some)).await;
        let ended = ended.ok().and_then(Result::ok).and_then(|exit| exit.clone());
        ended.ok_or_else(|| DriverError::Timeout {
            machine: self.name.clone(),
            awaited: "the machine's end".to_owned(),
            limit: within.limit(),
            seen: None,
        })
    }

    async fn destroy(&self) {
        self.kill.send_replace(true);
        let mut exit = self.exit.clone();
        // An error would mean that the follower is gone, and with it the machine.
        let _ = exit.wait_for(Option::is_some).await;
    }
}

/// Follows a machine to its end, reboots included.
struct Follower {
    place: Place,
    world: World,
    log: Arc<dyn MachineLog>,
    /// The machine's ends of its streams: a reboot takes them again.
    shell: OwnedFd,
    console: File,
    killed: watch::Receiver<bool>,
    allow_reboot: bool,
}

impl Follower {
    async fn follow(mut self, mut tree: Tree) -> Exit {
        loop {
            let reason = self.end_of(&mut tree).await;
            self.log.release_group(tree.id());
            if reason != ExitReason::GuestReset || !self.allow_reboot {
                return Exit::new(reason);
            }
            self.log.guest_reset();
            tree = match Tree::start(&self.place, self.world, &self.shell, &self.console) {
                Ok(tree) => tree,
                Err(error) => {
                    let last_words = vec![format!("it cannot be started again: {error}")];
                    return Exit { reason, last_words };
                }
            };
            self.log.guard_group(tree.id());
        }
    }

    async fn end_of(&mut self, tree: &mut Tree) -> ExitReason {
        let ended = tokio::select! {
            ended = tree.ended() => Some(ended),
            _ = self.killed.wait_for(|killed| *killed) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                tree.kill().await;
                return tree.ended().await.map_or(ExitReason::Status { code: -1 }, |_| ExitReason::Destroyed);
            }
        };
        match ended {
            Ok(status) => reason(status),
            Err(error) => {
                self.log.warning(&format!("its first process cannot be waited for: {error}"));
                ExitReason::Status { code: -1 }
            }
        }
    }
}

fn reason(status: ExitStatus) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(POWERED_OFF), _) | (_, Some(SIGINT)) => ExitReason::GuestShutdown,
        (Some(REBOOTS), _) | (_, Some(SIGHUP)) => ExitReason::GuestReset,
        (_, Some(number)) => ExitReason::Signal { number },
        (code, None) => ExitReason::Status { code: code.unwrap_or(-1) },
    }
}
