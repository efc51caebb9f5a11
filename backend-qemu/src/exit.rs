//! How a machine ended, from what QEMU said before and what the operating system says after.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use driver_core::ExitReason;

use crate::control::Event;

/// What QEMU said about its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Farewell {
    shutdown: Option<String>,
    panicked: bool,
}

impl Farewell {
    /// Takes an event into account.
    pub(crate) fn note(&mut self, event: Event) {
        match event {
            Event::Shutdown { reason } => self.shutdown = Some(reason),
            // A guest that may go on has not ended by its panic.
            Event::Panicked { action } => self.panicked |= action != "run",
            Event::Reset | Event::Stopped => {}
        }
    }
}

/// The reason for an end; `ours` when the driver ordered it. The guest's own reasons come first, as an
/// order may come too late.
pub(crate) fn reason(farewell: &Farewell, status: ExitStatus, ours: bool, start_script: bool) -> ExitReason {
    match farewell.shutdown.as_deref() {
        _ if farewell.panicked => return ExitReason::GuestPanic,
        Some("guest-panic") => return ExitReason::GuestPanic,
        Some("guest-shutdown") => return ExitReason::GuestShutdown,
        Some("guest-reset" | "host-qmp-system-reset" | "subsystem-reset") => return ExitReason::GuestReset,
        _ if ours => return ExitReason::Destroyed,
        // QEMU ends orderly on a signal, and does not say which; people and systems send this one.
        Some("host-signal") => return ExitReason::Signal { number: 15 },
        _ => {}
    }
    match (status.code(), status.signal()) {
        // How shells say that a signal ended what they ran.
        (Some(code @ 129..=192), _) if start_script => ExitReason::Signal { number: code - 128 },
        (Some(code), _) => ExitReason::Status { code },
        (None, signal) => ExitReason::Signal { number: signal.unwrap_or_default() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use driver_core::ExitReason;

    use super::{Farewell, reason};
    use crate::control::Event;

    fn said(reason: &str) -> Farewell {
        let mut farewell = Farewell::default();
        farewell.note(Event::Shutdown { reason: reason.to_owned() });
        farewell
    }

    #[test]
    fn qemus_reasons_become_ours() {
        let zero = ExitStatus::from_raw(0);
        for (shutdown, expected) in [
            ("guest-shutdown", ExitReason::GuestShutdown),
            ("guest-reset", ExitReason::GuestReset),
            ("host-qmp-system-reset", ExitReason::GuestReset),
            ("guest-panic", ExitReason::GuestPanic),
            ("host-signal", ExitReason::Signal { number: 15 }),
            ("host-qmp-quit", ExitReason::Status { code: 0 }),
            ("a reason of the future", ExitReason::Status { code: 0 }),
        ] {
            assert_eq!(reason(&said(shutdown), zero, false, false), expected, "{shutdown}");
        }
    }

    #[test]
    fn a_panic_counts_unless_the_guest_may_go_on() {
        let mut farewell = said("guest-reset");
        farewell.note(Event::Panicked { action: "run".to_owned() });
        assert_eq!(reason(&farewell, ExitStatus::from_raw(0), false, false), ExitReason::GuestReset);
        farewell.note(Event::Panicked { action: "poweroff".to_owned() });
        assert_eq!(reason(&farewell, ExitStatus::from_raw(0), false, false), ExitReason::GuestPanic);
    }

    #[test]
    fn without_a_word_the_operating_system_decides() {
        let killed = ExitStatus::from_raw(9);
        let by_shell = ExitStatus::from_raw(137 << 8);
        let silent = Farewell::default();
        assert_eq!(reason(&silent, killed, false, false), ExitReason::Signal { number: 9 });
        assert_eq!(reason(&silent, by_shell, false, true), ExitReason::Signal { number: 9 });
        assert_eq!(reason(&silent, by_shell, false, false), ExitReason::Status { code: 137 });
        assert_eq!(reason(&silent, killed, true, false), ExitReason::Destroyed);
        assert_eq!(reason(&said("guest-shutdown"), killed, true, false), ExitReason::GuestShutdown);
    }
}
