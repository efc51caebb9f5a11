//! Whom a fault concerns.

use driver_core::vlan::{Between, Fault, FaultKind};

/// Whether it does something to frames from one machine to another; a port without a machine has no name.
pub(super) fn concerns(fault: &Fault, (from, to): (Option<&str>, Option<&str>)) -> bool {
    if let FaultKind::Partition { groups } = &fault.kind {
        let group = |machine| groups.iter().position(|group| has(group, machine));
        return matches!((group(from), group(to)), (Some(one), Some(other)) if one != other);
    }
    match &fault.between {
        Between::All => true,
        Between::OneWay(senders, receivers) => has(senders, from) && has(receivers, to),
        Between::BothWays(some, others) => {
            has(some, from) && has(others, to) || has(others, from) && has(some, to)
        }
    }
}

fn has(machines: &[String], machine: Option<&str>) -> bool {
    machine.is_some_and(|machine| machines.iter().any(|one| one == machine))
}
