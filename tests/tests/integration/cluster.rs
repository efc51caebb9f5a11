//! The examples with several machines, whose networks are cut, slowed down and healed under real services.

use std::path::Path;

use driver_core::event::Event;
use integration_tests::{Finished, Setup, need_vm};

/// Runs an example of three machines, and looks that all of its `faults` were imposed and lifted again.
fn passes(manifest: &str, arguments: &[&str], faults: usize) -> Option<Finished> {
    need_vm("cluster")?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster").join(manifest);
    let run = Setup::with_manifest(&manifest).args(arguments).machines(3).run();
    run.assert_status(0);
    let events = run.events();
    let count = |is: fn(&Event) -> bool| events.iter().filter(|record| is(&record.event)).count();
    assert_eq!(count(|event| matches!(event, Event::FaultImposed { .. })), faults);
    assert_eq!(count(|event| matches!(event, Event::FaultLifted { .. })), faults);
    Some(run)
}

#[test]
fn two_web_servers_and_a_client_through_a_partition() {
    let Some(run) = passes("partition.toml", &[], 2) else { return };
    assert!(run.out().join("vlan1.pcapng").metadata().is_ok_and(|file| file.len() > 1000));
}

#[test]
fn two_web_servers_and_a_client_in_perl_without_the_agent() {
    passes("partition-perl.toml", &["--no-agent"], 2);
}

#[test]
fn three_nodes_of_etcd_lose_their_leader_and_find_together_again() {
    passes("etcd.toml", &[], 1);
}
