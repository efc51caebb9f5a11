//! The terminal while a prompt has it: the prompt's process group is in the foreground, so that Ctrl-C is the prompt's,
//! and afterwards the terminal is as it was, however the prompt has ended.

use std::io;
use std::sync::Once;

use rustix::process::{Pid, getpgrp};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

/// The terminal on standard input, lent to another process group. Dropping this takes it back.
pub(crate) struct Lent {
    before: Termios,
}

impl Lent {
    /// Lends it to `group`. `None` when standard input is no terminal, or not ours to lend.
    pub(crate) fn to(group: Pid) -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        if tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        ignore_sigttou();
        tcsetpgrp(&stdin, group).ok()?;
        Some(Self { before })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let stdin = io::stdin();
        // A terminal that has gone away needs neither.
        let _ = tcsetpgrp(&stdin, getpgrp());
        let _ = tcsetattr(&stdin, OptionalActions::Drain, &self.before);
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lent")
    }
}

/// From the background the terminal can be taken back only by a process that does not heed this signal; its default is
/// to stop us.
#[expect(unsafe_code, reason = "no library that is here anyway can ignore a signal")]
fn ignore_sigttou() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no handler is installed, so that nothing runs in a signal's context, and no other part of the program
        // has anything to do with this signal.
        unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    });
}
