//! How a machine ended, from what the program said before and what the operating system says after.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use driver_core::ExitReason;

/// What is known of an end before the process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Farewell {
    /// The guest powered off.
    pub(crate) off: bool,
    /// The guest rebooted and was not allowed to.
    pub(crate) reset: bool,
    /// The guest's kernel panicked.
    pub(crate) panicked: bool,
}

/// What the program prints when KVM cannot go on; it then exits with status 0, as after a power-off
/// (cloud-hypervisor.md, section 2).
const KVM_FAILED: &str = "VCPU generated error";

/// The reason for an end; `ours` when the driver ordered it. The guest's own reasons come first, as an order may come
/// too late.
pub(crate) fn reason(farewell: Farewell, status: ExitStatus, ours: bool, words: &[String]) -> ExitReason {
    let kvm_failed = words.iter().any(|line| line.contains(KVM_FAILED));
    match (status.code(), status.signal()) {
        _ if farewell.panicked => ExitReason::GuestPanic,
        _ if farewell.reset => ExitReason::GuestReset,
        _ if farewell.off && !kvm_failed => ExitReason::GuestShutdown,
        _ if ours => ExitReason::Destroyed,
        // It ends orderly on a signal, and does not say which; people and systems send this one.
        (Some(0), _) if !kvm_failed => ExitReason::Signal { number: 15 },
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

    #[test]
    fn every_end_has_its_reason() {
        let said_nothing = Farewell::default();
        let (zero, one) = (ExitStatus::from_raw(0), ExitStatus::from_raw(1 << 8));
        let off = Farewell { off: true, ..said_nothing };
        let kvm = ["VCPU generated error: VcpuRun(InternalError)".to_owned()];
        for (farewell, status, ours, words, expected) in [
            (off, zero, false, &[][..], ExitReason::GuestShutdown),
            (off, zero, true, &[], ExitReason::GuestShutdown),
            (Farewell { reset: true, ..off }, zero, true, &[], ExitReason::GuestReset),
            (Farewell { panicked: true, ..off }, zero, true, &[], ExitReason::GuestPanic),
            (said_nothing, zero, true, &[], ExitReason::Destroyed),
            (said_nothing, zero, false, &[], ExitReason::Signal { number: 15 }),
            (said_nothing, ExitStatus::from_raw(9), false, &[], ExitReason::Signal { number: 9 }),
            (said_nothing, one, false, &[], ExitReason::Status { code: 1 }),
            (off, zero, false, &kvm, ExitReason::Status { code: 0 }),
        ] {
            assert_eq!(reason(farewell, status, ours, words), expected, "{farewell:?} {status} {ours}");
        }
    }
}
