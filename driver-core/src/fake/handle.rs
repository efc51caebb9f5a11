//! The test's hand on a machine: makes things happen to it, and tells what happened.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use super::machine::Order;
use super::play::Play;
use crate::keys::Key;
use crate::machine::{Exit, ExitReason, PointerAct};

/// What has happened to the machine of one name, over all its launches.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// How often it was launched.
    pub launches: usize,
    /// The commands that its shell was given, without what the driver puts around them.
    pub commands: Vec<String>,
    /// The chords that were pressed.
    pub keys: Vec<Vec<Key>>,
    /// How many pictures were taken of its screen.
    pub captures: usize,
    /// What was done with the pointer.
    pub pointer: Vec<PointerAct>,
    /// The lines that its monitor was given.
    pub monitor: Vec<String>,
    /// What was typed on its console.
    pub typed: Vec<u8>,
}

/// What outlives the launches of the machine of one name.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) play: Mutex<Play>,
    pub(super) record: watch::Sender<Record>,
    pub(super) triggers: watch::Sender<HashSet<String>>,
    /// The way to the present launch, or to the last one.
    pub(super) orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

impl Slot {
    pub(super) fn new(name: &str, play: Play) -> Self {
        Self {
            name: name.to_owned(),
            play: Mutex::new(play),
            record: watch::Sender::default(),
            triggers: watch::Sender::default(),
            orders: Mutex::default(),
        }
    }

    pub(super) fn note(&self, write: impl FnOnce(&mut Record)) {
        self.record.send_modify(write);
    }
}

/// The test's hand on the machine of one name. What is done to a machine that does not run is lost.
#[derive(Debug, Clone)]
pub struct FakeHandle {
    pub(super) slot: Arc<Slot>,
}

impl FakeHandle {
    /// Lets all steps go on that wait for this trigger, now and later.
    pub fn trigger(&self, name: &str) {
        self.slot.triggers.send_modify(|triggers| {
            triggers.insert(name.to_owned());
        });
    }

    /// Prints a line on the console.
    pub fn print(&self, line: &str) {
        self.print_bytes(format!("{line}\r\n"));
    }

    /// Prints bytes on the console.
    pub fn print_bytes(&self, bytes: impl Into<Vec<u8>>) {
        self.order(Order::Print(bytes.into()));
    }

    /// Writes bytes to the shell's port, as a kernel or a program does that has no business there.
    pub fn disturb_shell(&self, bytes: impl Into<Vec<u8>>) {
        self.order(Order::Disturb(bytes.into()));
    }

    /// Shows another picture, the bytes of a PNG.
    pub fn show(&self, png: impl Into<Vec<u8>>) {
        self.order(Order::Show(png.into()));
    }

    /// Lets the kernel panic: says so on the console and ends the machine.
    pub fn panic(&self) {
        self.order(Order::Panic);
    }

    /// Reboots the guest, which ends a machine that may not.
    pub fn reboot(&self) {
        self.order(Order::Reboot);
    }

    /// Powers the guest off.
    pub fn power_off(&self) {
        self.exit(ExitReason::GuestShutdown, &[]);
    }

    /// Ends the machine.
    pub fn exit(&self, reason: ExitReason, last_words: &[&str]) {
        let last_words = last_words.iter().map(ToString::to_string).collect();
        self.order(Order::Exit(Exit { reason, last_words }));
    }

    /// What has happened so far.
    #[must_use]
    pub fn record(&self) -> Record {
        self.slot.record.borrow().clone()
    }

    /// Waits until what has happened is enough, and returns it.
    pub async fn recorded(&self, enough: impl FnMut(&Record) -> bool) -> Record {
        let mut record = self.slot.record.subscribe();
        match record.wait_for(enough).await {
            Ok(record) => record.clone(),
            // The handle itself keeps the sender.
            Err(_) => std::future::pending().await,
        }
    }

    fn order(&self, order: Order) {
        let orders = self.slot.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = orders.as_ref() {
            // The machine may have ended.
            let _ = orders.send(order);
        }
    }
}
