//! Network cards of the guest. The loopback card of a network namespace stands in for one: it has a hardware
//! address, zeros, and no name that it would not give up.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use agent_protocol::message::{Card, End};
use test_skip::skip;

use crate::host::{AGENT, Host};

const CARD: [u8; 6] = [0; 6];

fn card(name: &str) -> Card {
    let addresses = vec![
        (Ipv4Addr::new(192, 168, 1, 2).into(), 24),
        (Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2).into(), 64),
    ];
    Card { mac: CARD, name: name.to_owned(), addresses }
}

/// An agent in a network of its own, where this host lets one make such a thing.
fn in_namespace() -> Option<Host> {
    let unshare = "unshare --user --map-root-user --net --mount";
    let tried = format!("{unshare} mount -t sysfs sysfs /sys && command -v ip");
    let tried = Command::new("sh").args(["-c", &tried]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return skip("this host lends no namespaces, or has no `ip`");
    }
    let agent = AGENT.replace('\'', r"'\''");
    Some(Host::starting(&format!("exec {unshare} bash --norc -c 'mount -t sysfs sysfs /sys; {agent}'\n")))
}

fn done(host: &mut Host, card: &Card) -> bool {
    let id = host.card(card.clone());
    host.outcome(id).end == Some(End::Exited { status: 0, held_by: Vec::new() })
}

#[test]
fn a_card_gets_its_name_and_its_addresses_and_serves_at_once() {
    let Some(mut host) = in_namespace() else { return };
    assert!(done(&mut host, &card("eth1")));
    let shown = host.run("ip -o addr show dev eth1; ip -o link show dev eth1").text().to_owned();
    assert!(shown.contains("inet 192.168.1.2/24 brd 192.168.1.255"), "{shown}");
    assert!(shown.contains("inet6 2001:db8:1::2/64") && !shown.contains("tentative"), "{shown}");
    assert!(shown.contains("UP"), "{shown}");
}

#[test]
fn a_card_that_has_its_address_is_left_alone() {
    let Some(mut host) = in_namespace() else { return };
    host.run("ip addr add 192.168.1.2/16 dev lo; ip link set lo up");
    assert!(done(&mut host, &card("eth1")));
    let shown = host.run("ip -o addr show dev lo").text().to_owned();
    assert!(shown.contains("192.168.1.2/16") && !shown.contains("2001:db8"), "{shown}");
}

#[test]
fn a_guest_that_lets_anybody_bind_to_any_address_is_given_its_own() {
    let Some(mut host) = in_namespace() else { return };
    host.run(
        "echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind; ip link set lo up; ip route add 192.168.1.2/32 dev lo",
    );
    assert!(done(&mut host, &card("eth1")));
    assert!(host.run("ip -o addr").text().contains("192.168.1.2/24"));
}

#[test]
fn a_guest_without_ipv6_does_without() {
    let Some(mut host) = in_namespace() else { return };
    host.run("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    assert!(done(&mut host, &card("eth1")));
    assert!(host.run("ip -o addr").text().contains("192.168.1.2/24"));
}

#[test]
fn what_is_wrong_is_said() {
    let mut host = Host::new();
    let stranger = Card { mac: [2, 0, 0, 0, 0, 0xfe], ..card("eth1") };
    let id = host.card(stranger);
    let Some(End::Failed { reason }) = host.outcome(id).end else { panic!("there is no such card") };
    assert_eq!(reason, "there is no network card 02:00:00:00:00:fe");
    let Some(mut host) = in_namespace() else { return };
    let id = host.card(card("a name that is too long"));
    let Some(End::Failed { reason }) = host.outcome(id).end else { panic!("no card can be called that") };
    assert!(reason.starts_with("lo cannot be called a name that is too long: "), "{reason}");
    let shown = host.run("ip -o addr show dev lo; ip -o link show dev lo").text().to_owned();
    let serves = ["192.168.1.2/24", "2001:db8:1::2/64", "UP"];
    assert!(serves.iter().all(|part| shown.contains(part)), "it serves under its own name: {shown}");
}
