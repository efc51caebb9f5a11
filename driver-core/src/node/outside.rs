//! What scripts of the NixOS driver read and change behind its verbs (compat.md 1.5): the process, the directory, the
//! lines of the console one by one, and whether the shell is connected.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Node;
use crate::channel::Channel;
use crate::wait::within;

impl Node {
    /// The hypervisor's process, while there is one.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        let running = self.running()?;
        running.exit().is_none().then(|| running.machine.process_id()).flatten()
    }

    /// Lets the next launch run in another directory than the machine's own.
    pub fn set_state_dir(&self, dir: PathBuf) {
        *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(dir);
    }

    /// Whether a reboot of the guest restarts the launches to come, where the call that starts one does not say so.
    pub fn set_allow_reboot(&self, allow: bool) {
        self.reboots.store(allow, Ordering::SeqCst);
    }

    /// Where the next launch runs.
    pub(super) fn present_state_dir(&self) -> PathBuf {
        let moved_to = self.moved_to.lock().unwrap_or_else(PoisonError::into_inner);
        moved_to.clone().unwrap_or_else(|| self.state_dir.clone())
    }

    /// Takes the guest's shell for lost: the next command waits for a new one to greet, as after a reboot. One that
    /// has greeted already, and was not used yet, counts as new.
    pub async fn disconnect(&self) {
        let Some(running) = self.running() else { return };
        match running.line.channel().as_ref() {
            Channel::Shell(shell) => shell.lost(),
            Channel::Agent(agent) => {
                agent.reset();
                agent.gone().await;
            }
        }
        running.connected.store(false, Ordering::SeqCst);
    }

    /// Takes the next line of the console that nobody has consumed, as [`Node::wait_for_console_text`] does; waits for
    /// one for so long.
    pub async fn take_console_line(&self, limit: Duration) -> Option<String> {
        within(self.context.deadline.at_most(limit), self.console.next_line()).await
    }

    /// How many lines of the console nobody has consumed.
    #[must_use]
    pub fn console_lines_left(&self) -> usize {
        self.console.lines_left()
    }
}
