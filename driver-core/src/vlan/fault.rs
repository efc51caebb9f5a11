//! Faults: how they are written down in Rust, and how they read in a log.

use std::fmt;
use std::time::Duration;

use super::{Between, Fault, FaultKind};

/// ```
/// use std::time::Duration;
/// use driver_core::vlan::Fault;
///
/// let slow = Fault::delay(Duration::from_millis(200), Duration::ZERO).between(&["client"], &["web"]);
/// assert_eq!(slow.to_string(), "delay of 200 ms between client and web");
/// let deaf = Fault::partition(&[&["client", "web"], &["db"]]);
/// assert_eq!(deaf.to_string(), "partition: client, web | db");
/// ```
impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { kind, between: Between::All, seed: None }
    }

    /// Machines of different groups do not hear each other. A single group does not hear the rest.
    #[must_use]
    pub fn partition(groups: &[&[&str]]) -> Self {
        Self::new(FaultKind::Partition { groups: groups.iter().map(|group| owned(group)).collect() })
    }

    /// Frames come later: by `by`, and up to `jitter` more or less. The order stays.
    #[must_use]
    pub fn delay(by: Duration, jitter: Duration) -> Self {
        Self::new(FaultKind::Delay { by, jitter })
    }

    /// So many of a hundred frames are lost.
    #[must_use]
    pub fn loss(percent: f64) -> Self {
        Self::new(FaultKind::Loss { percent })
    }

    /// Frames pass at most so fast, in each direction between each two machines.
    #[must_use]
    pub fn rate(bits_per_second: u64) -> Self {
        Self::new(FaultKind::Rate { bits_per_second })
    }

    /// So many of a hundred frames come twice.
    #[must_use]
    pub fn duplicate(percent: f64) -> Self {
        Self::new(FaultKind::Duplicate { percent })
    }

    /// So many of a hundred frames are held back by `by`, and overtaken meanwhile.
    #[must_use]
    pub fn reorder(percent: f64, by: Duration) -> Self {
        Self::new(FaultKind::Reorder { percent, by })
    }

    /// Only between one of the first and one of the second, both ways. An empty side stands for all other
    /// machines.
    #[must_use]
    pub fn between(mut self, some: &[&str], others: &[&str]) -> Self {
        self.between = Between::BothWays(owned(some), owned(others));
        self
    }

    /// Only from one of the first to one of the second. An empty side stands for all other machines.
    #[must_use]
    pub fn one_way(mut self, from: &[&str], to: &[&str]) -> Self {
        self.between = Between::OneWay(owned(from), owned(to));
        self
    }

    /// With randomness that starts there: the same seed treats the same frames alike.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether chance decides about frames.
    fn is_random(&self) -> bool {
        match &self.kind {
            FaultKind::Partition { .. } | FaultKind::Rate { .. } => false,
            FaultKind::Delay { jitter, .. } => !jitter.is_zero(),
            FaultKind::Loss { .. } | FaultKind::Duplicate { .. } | FaultKind::Reorder { .. } => true,
        }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Partition { groups } => {
                f.write_str("partition: ")?;
                for (index, group) in groups.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { " | " }, group.join(", "))?;
                }
            }
            FaultKind::Delay { by, jitter } => {
                write!(f, "delay of {} ms", millis(*by))?;
                if !jitter.is_zero() {
                    write!(f, " ± {} ms", millis(*jitter))?;
                }
            }
            FaultKind::Loss { percent } => write!(f, "loss of {percent} %")?,
            FaultKind::Rate { bits_per_second } => {
                write!(f, "rate of {} Mbit/s", *bits_per_second as f64 / 1e6)?;
            }
            FaultKind::Duplicate { percent } => write!(f, "duplicates of {percent} %")?,
            FaultKind::Reorder { percent, by } => {
                write!(f, "reordering of {percent} % by {} ms", millis(*by))?;
            }
        }
        match &self.between {
            Between::All => {}
            Between::OneWay(from, to) => write!(f, " from {} to {}", from.join(", "), to.join(", "))?,
            Between::BothWays(some, others) => {
                write!(f, " between {} and {}", some.join(", "), others.join(", "))?;
            }
        }
        match self.seed.filter(|_| self.is_random()) {
            Some(seed) => write!(f, ", seed {seed}"),
            None => Ok(()),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Times of faults in events, in seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
