//! The examples with several machines, whose networks are cut, slowed down and healed under real services.

use std::path::Path;

use browser::Browser;
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
    page_has_networks(&run);
}

/// The page shows the faults on its time line, and leads from them to the log; it has the capture.
fn page_has_networks(run: &Finished) {
    let Some(browser) = Browser::start() else { return };
    browser.open(&run.out().join("report.html"), "");
    browser.wait_until("'ready' in document.documentElement.dataset");
    let faults = browser.ask("return document.querySelectorAll('.bar.fault').length;");
    assert_eq!(faults, 2, "{}", browser.text("#timeline"));
    browser.ask("document.querySelector('.bar.fault').closest('a').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));");
    browser.wait_until("document.querySelector('.row.picked')?.textContent.includes('vlan 1: ')");
    let captured =
        browser.ask("return document.querySelectorAll('#files a[href$=\"vlan1.pcapng\"]').length;");
    assert_eq!(captured, 1, "{}", browser.text("#files"));
    browser.click("#machine option:nth-child(3)");
    browser.press("#query", "succeed");
    browser.wait_until("document.querySelector('.row.hit')");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn two_web_servers_and_a_client_in_perl_without_the_agent() {
    passes("partition-perl.toml", &["--no-agent"], 2);
}

#[test]
fn three_nodes_of_etcd_lose_their_leader_and_find_together_again() {
    passes("etcd.toml", &[], 1);
}
