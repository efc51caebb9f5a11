//! What the guest has taken of the keys that were pressed. QEMU's keyboards hold a few keys and silently
//! drop what comes when they are full, so the next one waits until they are empty.
//!
//! Known of the PS/2 keyboard (bit 0 of the controller's status port says whether there is something for the
//! guest to read, and reading that port changes nothing) and of virtio keyboards (a guest that has taken all
//! has given all its buffers back, and one whose driver is only starting has given none). A USB keyboard does
//! not tell; there the pause between keys has to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use driver_core::{Deadline, MachineLog};
use qapi_qmp::{human_monitor_command, x_query_virtio, x_query_virtio_queue_element};
use tokio::sync::{Mutex, MutexGuard};

use crate::control::Control;

/// How long the guest may take before the next chord is pressed all the same: it may not have a driver for
/// its keyboard.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one question to QEMU may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The pause after the first look, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// The status port of the PC's keyboard controller.
const STATUS_PORT: &str = "i /b 0x64";
/// What a port reads as where there is no controller.
const NOBODY: u8 = 0xff;
/// There is something to read for the guest.
const OUTPUT_FULL: u8 = 1;

/// The keyboards of one machine.
#[derive(Debug)]
pub(crate) struct Intake {
    state: Mutex<State>,
    log: Arc<dyn MachineLog>,
}

#[derive(Debug, Default)]
struct State {
    /// The virtio input devices by their paths, each with the most buffers that the guest has had ready.
    virtio: Option<HashMap<String, u16>>,
    /// The guest did not take the last keys, and the log says so.
    is_deaf: bool,
}

/// The right to press one chord: the keys of two do not mix.
pub(crate) struct Turn<'a> {
    state: MutexGuard<'a, State>,
    log: &'a dyn MachineLog,
    control: &'a Control,
}

impl Intake {
    pub(crate) fn new(log: Arc<dyn MachineLog>) -> Self {
        Self { state: Mutex::default(), log }
    }

    /// Waits for those who press already, and until the guest can take more.
    pub(crate) async fn turn<'a>(&'a self, control: &'a Control, within: Deadline) -> Turn<'a> {
        let mut turn = Turn { state: self.state.lock().await, log: self.log.as_ref(), control };
        if turn.state.is_deaf {
            turn.state.is_deaf = !turn.is_taken().await;
        }
        turn.wait(within).await;
        turn
    }
}

impl Turn<'_> {
    /// Waits until the guest has taken what was pressed.
    pub(crate) async fn finish(mut self, within: Deadline) {
        self.wait(within).await;
    }

    /// Waits until nothing is left to be taken. A guest that takes nothing is waited for once.
    async fn wait(&mut self, within: Deadline) {
        if self.state.is_deaf {
            return;
        }
        let patience = within.at_most(PATIENCE);
        let (mut pause, longest) = PAUSES;
        while !self.is_taken().await {
            if patience.is_over() {
                self.state.is_deaf = true;
                self.log.warning(
                    "the guest does not take the keys that are pressed, or what the pointer does, and some may be \
                     lost (is there a driver for its keyboard yet?)",
                );
                return;
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// Whether nothing waits for the guest in any keyboard, as far as that can be known.
    async fn is_taken(&mut self) -> bool {
        let ask = human_monitor_command { command_line: STATUS_PORT.to_owned(), cpu_index: None };
        let status = self.control.execute(ask, Deadline::after(ANSWER)).await.ok();
        if status.is_some_and(|status| has_output(&status)) {
            return false;
        }
        let mut virtio = match self.state.virtio.take() {
            Some(known) => known,
            None => self.virtio_devices().await,
        };
        let mut is_taken = true;
        for (path, most) in &mut virtio {
            match self.ready_buffers(path).await {
                Some(ready) => {
                    *most = ready.max(*most).max(1);
                    is_taken &= ready == *most;
                }
                // No driver has set it up, or not since the last reset: QEMU has another keyboard, then.
                None => *most = 0,
            }
        }
        self.state.virtio = Some(virtio);
        is_taken
    }

    async fn virtio_devices(&self) -> HashMap<String, u16> {
        // A QEMU that does not know the question has devices of which nothing is known.
        let devices = self.control.execute(x_query_virtio {}, Deadline::after(ANSWER)).await;
        let inputs = devices.unwrap_or_default().into_iter().filter(|device| device.name == "virtio-input");
        inputs.map(|device| (device.path, 0)).collect()
    }

    /// How many events the guest is ready to take from a virtio device.
    async fn ready_buffers(&self, path: &str) -> Option<u16> {
        let ask = x_query_virtio_queue_element { path: path.to_owned(), queue: 0, index: None };
        let queue = self.control.execute(ask, Deadline::after(ANSWER)).await.ok()?;
        Some(queue.avail.idx.wrapping_sub(queue.used.idx))
    }
}

/// Whether QEMU's answer, such as `portb[0x0064] = 0x1d`, tells of something that the guest has to read.
fn has_output(answer: &str) -> bool {
    let value = answer.trim().rsplit_once("0x").and_then(|(_, digits)| u8::from_str_radix(digits, 16).ok());
    value.is_some_and(|value| value != NOBODY && value & OUTPUT_FULL != 0)
}

#[cfg(test)]
mod tests {
    use super::has_output;

    #[test]
    fn the_controllers_status_says_whether_something_waits() {
        assert!(has_output("portb[0x0064] = 0x1d\r\n"));
        assert!(!has_output("portb[0x0064] = 0x1c\r\n"));
        assert!(!has_output("portb[0x0064] = 0xff\r\n"), "a machine without such a controller");
        assert!(!has_output("unknown command: 'i'\r\n"));
    }
}
