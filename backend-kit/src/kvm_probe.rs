//! Finds out what this host's KVM is worth, by running a few milliseconds of guest code.
//!
//! That `/dev/kvm` can be opened says little: there are hosts whose KVM interprets the guest's kernel, at a
//! thousandth of a processor's speed, and stumbles over instructions that every kernel has.

use std::fmt;
use std::time::Duration;

use tokio::sync::OnceCell;

/// Millions of instructions a second below which QEMU's translator is the better choice. A processor does
/// thousands, a KVM inside another virtual machine still hundreds; KVMs that interpret do two.
const WORTHWHILE: f64 = 100.0;

/// How long the probe may take in all, before KVM counts as broken. A host that has just begun may stand still for a
/// second.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What a probe of KVM found.
#[derive(Debug, Clone, PartialEq)]
pub struct KvmProbe {
    /// What it means.
    pub verdict: KvmVerdict,
    /// Millions of guest instructions a second, where it came to that.
    pub million_instructions_per_second: Option<f64>,
}

/// What a probe of KVM means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvmVerdict {
    /// It works, and faster than TCG.
    Usable,
    /// This host has none.
    Missing,
    /// There is one, but not for this user.
    Forbidden,
    /// It does not work.
    Broken {
        /// What happened.
        problem: String,
    },
    /// It works, but TCG is faster.
    Slow,
}

impl KvmProbe {
    /// Whether machines should run on it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.verdict == KvmVerdict::Usable
    }

    /// What to do about it; empty when there is nothing to be done.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        match self.verdict {
            KvmVerdict::Missing => {
                "load the module kvm_intel or kvm_amd; in a virtual machine, allow nesting"
            }
            KvmVerdict::Forbidden => "join the group kvm: `sudo usermod -aG kvm $USER`, then log in again",
            KvmVerdict::Usable | KvmVerdict::Broken { .. } | KvmVerdict::Slow => "",
        }
    }

    fn from_speed(speed: f64) -> Self {
        let verdict = if speed < WORTHWHILE { KvmVerdict::Slow } else { KvmVerdict::Usable };
        Self { verdict, million_instructions_per_second: Some(speed) }
    }
}

impl From<KvmVerdict> for KvmProbe {
    fn from(verdict: KvmVerdict) -> Self {
        Self { verdict, million_instructions_per_second: None }
    }
}

/// This host's KVM, probed once, when the first machine wants to know: it does not change during a run.
#[derive(Debug, Default)]
pub struct Kvm(OnceCell<KvmProbe>);

impl Kvm {
    /// One of which is known what a probe would find.
    #[must_use]
    pub fn known(found: KvmProbe) -> Self {
        Self(OnceCell::new_with(Some(found)))
    }

    /// What a probe finds, or has found.
    pub async fn probe(&self) -> KvmProbe {
        let probe = || async {
            tokio::task::spawn_blocking(probe_kvm)
                .await
                .unwrap_or_else(|error| KvmVerdict::Broken { problem: error.to_string() }.into())
        };
        self.0.get_or_init(probe).await.clone()
    }
}

impl fmt::Display for KvmProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            KvmVerdict::Usable => f.write_str("KVM works")?,
            KvmVerdict::Missing => f.write_str("this host has no KVM")?,
            KvmVerdict::Forbidden => f.write_str("`/dev/kvm` may not be opened by this user")?,
            KvmVerdict::Broken { problem } => write!(f, "KVM is broken here ({problem})")?,
            KvmVerdict::Slow => f.write_str("KVM is slower than TCG here")?,
        }
        match self.million_instructions_per_second {
            Some(speed) => write!(f, " ({speed:.0} million instructions/s)"),
            None => Ok(()),
        }
    }
}

/// Probes KVM. Takes milliseconds, at most five seconds, and blocks meanwhile.
#[must_use]
pub fn probe_kvm() -> KvmProbe {
    let (sender, result) = std::sync::mpsc::channel();
    // A thread of its own, as KVM_RUN may not return. It is left to its fate then.
    std::thread::spawn(move || sender.send(measure()));
    result.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| {
        KvmVerdict::Broken { problem: format!("a loop of guest code did not end within {TIME_LIMIT:?}") }
            .into()
    })
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn measure() -> KvmProbe {
    use std::io::ErrorKind;
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match opened.map_err(|error| error.kind()) {
        Ok(_) => KvmVerdict::Usable,
        Err(ErrorKind::PermissionDenied) => KvmVerdict::Forbidden,
        Err(_) => KvmVerdict::Missing,
    }
    .into()
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use guest::measure;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod guest;

#[cfg(test)]
mod tests {
    use super::{KvmProbe, KvmVerdict, probe_kvm};

    #[test]
    fn the_verdict_goes_by_the_speed_and_says_it() {
        let slow = KvmProbe::from_speed(1.9);
        assert_eq!(slow.to_string(), "KVM is slower than TCG here (2 million instructions/s)");
        assert!(!slow.is_usable());
        assert!(KvmProbe::from_speed(400.0).is_usable());
    }

    #[test]
    fn a_probe_ends_and_agrees_with_itself() {
        let started = std::time::Instant::now();
        let probe = probe_kvm();
        assert!(started.elapsed().as_secs() < 30);
        match probe.verdict {
            KvmVerdict::Usable | KvmVerdict::Slow => assert!(!probe.to_string().is_empty()),
            KvmVerdict::Missing | KvmVerdict::Forbidden => assert!(!probe.way_out().is_empty()),
            KvmVerdict::Broken { ref problem } => assert!(!problem.is_empty()),
        }
    }
}
