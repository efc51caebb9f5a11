//! Which accelerator a machine gets, and why.

use crate::config::Accel;
use backend_kit::KvmProbe;

/// What executes the guest's code, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    Kvm,
    Tcg,
}

impl Accelerator {
    /// What QEMU calls it.
    pub(crate) fn qemu_name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The processor with all that the accelerator can offer.
    pub(crate) fn default_cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg => "max",
        }
    }
}

/// Decides; the probe is only waited for when that depends on it. The text says what was decided and why,
/// in one line.
pub(crate) async fn choose(asked: Accel, probe: impl Future<Output = KvmProbe>) -> (Accelerator, String) {
    match asked {
        Accel::Kvm => (Accelerator::Kvm, "accelerator: KVM, as asked".to_owned()),
        Accel::Tcg => (Accelerator::Tcg, "accelerator: TCG, as asked".to_owned()),
        Accel::Auto => {
            let found = probe.await;
            if found.is_usable() {
                return (Accelerator::Kvm, format!("accelerator: KVM, since {found}"));
            }
            (Accelerator::Tcg, format!("accelerator: TCG, since {found}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::{Accelerator, choose};
    use crate::config::Accel;
    use backend_kit::{KvmProbe, KvmVerdict};

    fn found(verdict: KvmVerdict, speed: Option<f64>) -> KvmProbe {
        KvmProbe { verdict, million_instructions_per_second: speed }
    }

    #[tokio::test]
    async fn auto_takes_kvm_only_where_it_is_worth_it_and_says_why() {
        let (chosen, why) = choose(Accel::Auto, ready(found(KvmVerdict::Usable, Some(2400.0)))).await;
        assert_eq!(chosen, Accelerator::Kvm);
        assert_eq!(why, "accelerator: KVM, since KVM works (2400 million instructions/s)");
        let (chosen, why) = choose(Accel::Auto, ready(found(KvmVerdict::Forbidden, None))).await;
        assert_eq!(chosen, Accelerator::Tcg);
        assert_eq!(why, "accelerator: TCG, since `/dev/kvm` may not be opened by this user");
    }

    #[tokio::test]
    async fn an_explicit_choice_is_obeyed_without_a_probe() {
        for (asked, chosen) in [(Accel::Kvm, Accelerator::Kvm), (Accel::Tcg, Accelerator::Tcg)] {
            assert_eq!(choose(asked, pending()).await.0, chosen);
        }
    }
}
