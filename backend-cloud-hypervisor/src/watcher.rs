//! Who stands by a running machine: takes the program's events, and makes of them how the machine ended.

use std::sync::Arc;

use backend_kit::ending::{self, GRACE, Ordered};
use backend_kit::process::Group;
use driver_core::{Deadline, Exit, ExitReason, MachineLog};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::control::{Control, ControlError, Info};
use crate::events::Event;
use crate::exit::{self, Farewell};
use crate::files::Files;

/// The program, as messages call it.
pub(crate) const PROGRAM: &str = "Cloud Hypervisor";

/// Asks the program to end.
pub(crate) async fn ask_to_end(control: &Control) -> Result<(), ControlError> {
    match control.put("vmm.shutdown", None, Deadline::after(GRACE)).await {
        Err(error @ (ControlError::Refused { .. } | ControlError::TimedOut { .. })) => Err(error),
        _ => Ok(()),
    }
}

/// Stands by a machine until it has ended, and then knows how.
pub(crate) struct Watcher {
    pub(crate) group: Arc<Group>,
    pub(crate) control: Control,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) ours: Ordered,
    pub(crate) allow_reboot: bool,
    /// Whether the program outlives its guest's power-off.
    pub(crate) stays: bool,
    pub(crate) log: Arc<dyn MachineLog>,
    pub(crate) files: Files,
}

impl Watcher {
    /// Returns when the machine has ended.
    pub(crate) async fn watch(mut self) -> Exit {
        let mut farewell = Farewell::default();
        let status = loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => {
                        if self.note(event, &mut farewell).await {
                            ending::end(&self.group, PROGRAM, ask_to_end(&self.control)).await;
                        }
                    }
                    None => break self.group.end_within(GRACE).await,
                },
                status = self.group.ended() => break status,
            }
        };
        // What it said before it ended is on its way, unless somebody else holds the pipe open.
        while let Ok(Some(event)) = timeout(GRACE, self.events.recv()).await {
            self.note(event, &mut farewell).await;
        }
        let last_words = self.group.final_words().await;
        let ours = self.ours.is_set();
        let reason = exit::reason(farewell, status, ours, &last_words);
        drop(self.files);
        // What it said long before an orderly end does not explain it.
        let orderly = matches!(reason, ExitReason::GuestShutdown | ExitReason::Destroyed);
        Exit { reason, last_words: if orderly { Vec::new() } else { last_words } }
    }

    /// What the program says of its machine, however long it takes; nothing once it has ended.
    async fn info(&self) -> Option<Info> {
        let answered = async {
            loop {
                match self.control.get::<Info>("vm.info", Deadline::after(GRACE)).await {
                    // A busy host. Whoever wants the machine's end sooner kills the program.
                    Err(ControlError::TimedOut { .. }) => {}
                    answer => break answer.ok(),
                }
            }
        };
        tokio::select! {
            biased;
            info = answered => info,
            _ = self.group.ended() => None,
        }
    }

    /// Takes an event into account, and says whether it is the end of the machine, with the program still there.
    async fn note(&self, event: Event, farewell: &mut Farewell) -> bool {
        match event {
            Event::Off if self.stays => {
                // A program that was told to end says so first; it does not answer any more.
                farewell.off |= self.info().await.is_some_and(|info| info.state == "Created");
                farewell.off
            }
            // An older program: that a signal ended it cannot be told from a power-off.
            Event::Off => {
                farewell.off |= !self.ours.is_set();
                false
            }
            Event::Rebooting if self.allow_reboot => {
                self.log.guest_reset();
                false
            }
            Event::Rebooting => {
                farewell.reset = true;
                true
            }
            Event::Panicked => {
                farewell.panicked = true;
                true
            }
            Event::Ending => false,
        }
    }
}
