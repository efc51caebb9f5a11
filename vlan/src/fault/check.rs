//! Refuses faults that make no sense.

use std::time::Duration;

use driver_core::vlan::{Between, Fault, FaultKind};

/// More than any test waits, and little enough to add up without end.
const LONGEST: Duration = Duration::from_secs(3600);
/// More than any switch forwards, and little enough to count in 64 bits.
const FASTEST: u64 = 1_000_000_000_000;

/// Says what is wrong with a fault on a segment that has these machines.
pub(super) fn check(fault: &Fault, machines: &[&str]) -> Result<(), String> {
    match &fault.kind {
        FaultKind::Partition { groups } => return partition(groups, machines),
        FaultKind::Delay { by, jitter } => {
            short("delay", *by)?;
            if jitter > by {
                return Err(format!(
                    "a jitter of {jitter:?} is more than the delay of {by:?} that it is more or less of"
                ));
            }
        }
        FaultKind::Rate { bits_per_second } => {
            if !(1..=FASTEST).contains(bits_per_second) {
                return Err(format!("a rate is 1 to {FASTEST} bits a second, not {bits_per_second}"));
            }
        }
        FaultKind::Loss { percent } => share("loss", *percent)?,
        FaultKind::Duplicate { percent } => share("duplicate", *percent)?,
        FaultKind::Reorder { percent, by } => {
            share("reorder", *percent)?;
            short("reorder", *by)?;
            if by.is_zero() {
                return Err("reorder: frames held back by no time at all stay in order".to_owned());
            }
        }
    }
    match &fault.between {
        Between::All => Ok(()),
        Between::OneWay(some, others) | Between::BothWays(some, others) => {
            group(some, machines)?;
            group(others, machines)
        }
    }
}

fn partition(groups: &[Vec<String>], machines: &[&str]) -> Result<(), String> {
    if groups.len() < 2 {
        return Err("a partition takes two groups of machines or more".to_owned());
    }
    let mut seen: Vec<&str> = Vec::new();
    for one in groups {
        group(one, machines)?;
        for machine in one {
            if seen.contains(&machine.as_str()) {
                return Err(format!("machine `{machine}` is named twice in a partition"));
            }
            seen.push(machine);
        }
    }
    Ok(())
}

fn group(group: &[String], machines: &[&str]) -> Result<(), String> {
    if group.is_empty() {
        return Err("a group without machines (it would never do anything)".to_owned());
    }
    match group.iter().find(|machine| !machines.contains(&machine.as_str())) {
        None => Ok(()),
        Some(machine) if machines.is_empty() => {
            Err(format!("no machine `{machine}` on this VLAN (it has none)"))
        }
        Some(machine) => {
            Err(format!("no machine `{machine}` on this VLAN (it has `{}`)", machines.join("`, `")))
        }
    }
}

fn short(what: &str, time: Duration) -> Result<(), String> {
    if time > LONGEST {
        return Err(format!("{what}: {time:?} is more than an hour"));
    }
    Ok(())
}

fn share(what: &str, percent: f64) -> Result<(), String> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("{what}: a share is 0 to 100 percent, not {percent}"));
    }
    Ok(())
}
