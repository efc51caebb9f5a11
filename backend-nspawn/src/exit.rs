//! How a container ended, from what systemd-nspawn said and what the operating system says.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use driver_core::ExitReason;

/// The status by which systemd-nspawn says that its container has rebooted.
pub(crate) const REBOOTED: i32 = 133;

/// The reason for an end: `ended` is the status of the last boot, if that came to an end by itself; `ours` says that
/// the driver ordered it. The guest's own reasons come first, as an order may come too late.
pub(crate) fn reason(ended: Option<i32>, status: ExitStatus, ours: bool) -> ExitReason {
    match (ended, status.code(), status.signal()) {
        (Some(0), ..) => ExitReason::GuestShutdown,
        (Some(REBOOTED), ..) => ExitReason::GuestReset,
        _ if ours => ExitReason::Destroyed,
        // How shells say that a signal ended what they ran.
        (Some(code @ 129..=192), ..) => ExitReason::Signal { number: code - 128 },
        (Some(code), ..) | (None, Some(code), _) => ExitReason::Status { code },
        (None, None, signal) => ExitReason::Signal { number: signal.unwrap_or_default() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use driver_core::ExitReason;

    use super::reason;

    #[test]
    fn every_end_has_its_reason() {
        let (zero, killed) = (ExitStatus::from_raw(0), ExitStatus::from_raw(9));
        for (ended, status, ours, expected) in [
            (Some(0), zero, false, ExitReason::GuestShutdown),
            (Some(0), killed, true, ExitReason::GuestShutdown),
            (Some(133), zero, false, ExitReason::GuestReset),
            (Some(137), zero, false, ExitReason::Signal { number: 9 }),
            (Some(1), zero, false, ExitReason::Status { code: 1 }),
            (Some(1), zero, true, ExitReason::Destroyed),
            (None, killed, true, ExitReason::Destroyed),
            (None, killed, false, ExitReason::Signal { number: 9 }),
            (None, ExitStatus::from_raw(32 << 8), false, ExitReason::Status { code: 32 }),
        ] {
            assert_eq!(reason(ended, status, ours), expected, "{ended:?} {status} {ours}");
        }
    }
}
