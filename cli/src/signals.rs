//! The signals that end a run: told once each, by name.

use std::fs;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// The three that ask a program to end.
const ENDINGS: [Ending; 3] = [
    Ending { number: 1, name: "SIGHUP: its terminal went away" },
    Ending { number: 2, name: "SIGINT: Ctrl-C" },
    Ending { number: 15, name: "SIGTERM" },
];

/// A signal that asks the program to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    number: u8,
    /// Name and meaning.
    pub(crate) name: &'static str,
}

impl Ending {
    /// Whether somebody has pressed Ctrl-C, and waits.
    pub(crate) fn is_of_a_person(self) -> bool {
        self.number == 2
    }

    /// The exit status that shells know it by.
    pub(crate) fn exit_status(self) -> u8 {
        exit::SIGNAL + self.number
    }
}

/// Listens for signals as long as it lives.
#[derive(Debug)]
pub(crate) struct Signals {
    listeners: Vec<(Ending, Signal)>,
}

impl Signals {
    /// Starts to listen. Signals that the caller had us ignore (`nohup`, a background job) stay ignored.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let mut listeners = Vec::new();
        for ending in ENDINGS.into_iter().filter(|ending| ignored & (1 << (ending.number - 1)) == 0) {
            listeners.push((ending, signal(SignalKind::from_raw(ending.number.into()))?));
        }
        Ok(Self { listeners })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Ending {
        std::future::poll_fn(|context| {
            for (ending, listener) in &mut self.listeners {
                if listener.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*ending);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The ignored signals as the kernel tells them: bit 0 is signal 1. None where there is no /proc.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
