//! A running container as a machine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend_kit::console::Console;
use backend_kit::ending::{Ending, Ordered};
use backend_kit::port::Once;
use backend_kit::process::{Group, Process};
use driver_core::{Deadline, DriverError, Exit, ExitReason, GuestPort, GuestStream, Machine, MachineLog};
use rustix::process::Signal;
use tokio::io::{AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::NAME;
use crate::cards::Cards;
use crate::exit;
use crate::janitor::Janitor;
use crate::notices::Notices;
use crate::terminal::Line;

/// The program, as messages call it.
const PROGRAM: &str = "systemd-nspawn";

/// How long a start script may take to end its container and to tidy up (compat.md 1.10).
const SCRIPT_GRACE: Duration = Duration::from_secs(30);

/// A container. Dropping it ends it without waiting.
pub(crate) struct NspawnMachine {
    name: String,
    process: Process,
    console: Once<Console>,
    shell: Once<DuplexStream>,
    is_script: bool,
    /// Has the watcher end the container.
    stop: Arc<Notify>,
    ending: Ending,
}

impl std::fmt::Debug for NspawnMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NspawnMachine").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The parts that a launch has put together.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) allow_reboot: bool,
    pub(crate) process: Process,
    /// What boots the container, and says how that ended; a start script has none.
    pub(crate) boots: Option<Boots>,
    pub(crate) console: Console,
    pub(crate) shell: DuplexStream,
    pub(crate) tenants: Tenants,
    pub(crate) log: Arc<dyn MachineLog>,
}

/// The shell that boots the container.
#[derive(Debug)]
pub(crate) struct Boots {
    pub(crate) orders: ChildStdin,
    pub(crate) said: Lines<BufReader<ChildStdout>>,
}

/// What goes with the container.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(crate) janitor: Janitor,
    pub(crate) notices: Notices,
    pub(crate) line: Line,
    pub(crate) cards: Cards,
    /// The tasks around it.
    pub(crate) tasks: JoinSet<()>,
}

impl NspawnMachine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { name, allow_reboot, process, boots, console, shell, tenants, log } = parts;
        let ordered = Ordered::default();
        let is_script = boots.is_none();
        let stop = Arc::new(Notify::new());
        let watcher = Watcher {
            group: Arc::clone(process.group()),
            ours: ordered.clone(),
            stop: Arc::clone(&stop),
            allow_reboot,
            boots,
            tenants,
            log,
        };
        let ending = Ending::watch(name.clone(), ordered, watcher.watch());
        Self { name, process, console: Once::new(console), shell: Once::new(shell), is_script, stop, ending }
    }
}

#[async_trait]
impl Machine for NspawnMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn process_id(&self) -> Option<u32> {
        Some(self.process.group().id())
    }

    async fn connect(&self, port: GuestPort, _within: Deadline) -> Result<Box<dyn GuestStream>, DriverError> {
        match port {
            GuestPort::Console => Ok(self.console.open(&self.name, port)?.open()),
            GuestPort::Shell => Ok(Box::new(self.shell.open(&self.name, port)?)),
            GuestPort::Bulk => Err(DriverError::Unsupported {
                backend: NAME.to_owned(),
                operation: "carry files by a port of their own",
                instead: "they take the shell's",
            }),
        }
    }

    /// systemd-nspawn hands the signal on, as what its container's systemd powers off at.
    async fn request_shutdown(&self, _within: Deadline) -> Result<(), DriverError> {
        self.process.group().signal(Signal::TERM);
        Ok(())
    }

    async fn wait_exit(&self, within: Deadline) -> Result<Exit, DriverError> {
        self.ending.wait(within).await
    }

    async fn destroy(&self) {
        let group = self.process.group();
        if self.is_script {
            // It has more to tidy up than we know of, and it tells systemd-nspawn itself: told twice, that one kills.
            let ask = async {
                group.signal_first(Signal::TERM);
                Ok::<(), &str>(())
            };
            self.ending.order_within(SCRIPT_GRACE, group, PROGRAM, ask).await;
        } else {
            let ask = async {
                self.stop.notify_one();
                Ok::<(), &str>(())
            };
            self.ending.order(group, PROGRAM, ask).await;
        }
    }
}

/// Stands by a container until it has ended, and then knows how.
struct Watcher {
    group: Arc<Group>,
    ours: Ordered,
    stop: Arc<Notify>,
    allow_reboot: bool,
    boots: Option<Boots>,
    tenants: Tenants,
    log: Arc<dyn MachineLog>,
}

impl Watcher {
    async fn watch(mut self) -> Exit {
        let mut last = None;
        let status = loop {
            let Some(boots) = &mut self.boots else { break self.group.ended().await };
            tokio::select! {
                biased;
                said = boots.said.next_line() => {
                    last = said.ok().flatten().as_deref().and_then(ended);
                    if last == Some(exit::REBOOTED) && self.allow_reboot && self.boots_again().await {
                        last = None;
                    } else {
                        // Without further orders it ends.
                        self.boots = None;
                    }
                }
                // All but the shell that boots it is in the control group; that takes note, and ends by itself.
                () = self.stop.notified() => {
                    self.boots = None;
                    self.tenants.janitor.finish().await;
                }
                status = self.group.ended() => break status,
            }
        };
        let Tenants { mut janitor, notices, line, cards, mut tasks } = self.tenants;
        tasks.shutdown().await;
        drop((notices, cards));
        // The container first: what it still prints is on its way to the console.
        janitor.finish().await;
        drop(line);
        let last_words = self.group.final_words().await;
        let reason = exit::reason(last, status, self.ours.is_set());
        // What it said long before an orderly end does not explain it.
        let orderly = matches!(reason, ExitReason::GuestShutdown | ExitReason::Destroyed);
        Exit { reason, last_words: if orderly { Vec::new() } else { last_words } }
    }

    /// Lets the guest that has rebooted start anew, unless whoever does that is gone.
    async fn boots_again(&mut self) -> bool {
        let Some(boots) = &mut self.boots else { return false };
        self.tenants.notices.forget();
        self.log.guest_reset();
        boots.orders.write_all(b"boot\n").await.is_ok()
    }
}

/// How a boot ended, if that is what the line tells.
fn ended(line: &str) -> Option<i32> {
    line.strip_prefix("ended ")?.parse().ok()
}
