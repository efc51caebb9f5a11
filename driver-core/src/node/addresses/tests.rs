//! Who is known by which name; and what the guest's bash does, in namespaces of this host that stand in for a
//! guest. The loopback card has a hardware address, zeros, and no name that it would not give up.

use std::process::{Command, Stdio};

use test_skip::skip;

use super::{FUNCTIONS, hosts};
use crate::vlan::Station;

#[test]
fn a_name_leads_to_the_first_network_that_is_shared() {
    let at = |vlan, machine, number| Station::new(vlan, machine, number).unwrap();
    // A client and a server that only a router can bring together.
    let stations = [at(1, "client", 1), at(1, "router", 2), at(2, "router", 2), at(2, "server", 3)];
    assert_eq!(
        hosts(&stations, "server"),
        "192.168.1.1 client client.vlan1\n2001:db8:1::1 client client.vlan1\n\
         192.168.1.2 router.vlan1\n2001:db8:1::2 router.vlan1\n\
         192.168.2.2 router router.vlan2\n2001:db8:2::2 router router.vlan2\n\
         192.168.2.3 server server.vlan2\n2001:db8:2::3 server server.vlan2\n"
    );
    assert!(hosts(&stations, "client").contains("192.168.1.2 router router.vlan1\n"));
}

/// Runs `script` after the functions, in namespaces of its own. Returns its status and what it printed, or the
/// reason to skip.
fn guest(script: &str) -> Option<(Option<i32>, String)> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        let spaces = ["--user", "--map-root-user", "--net", "--uts", "--mount", "bash", "-euo", "pipefail"];
        command.args(spaces).args(["-c", script]).stdin(Stdio::null());
        command.output().ok()
    };
    let begin = "mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; ip link set lo up";
    if !unshare(begin).is_some_and(|tried| tried.status.success()) {
        return skip("this host lends no namespaces");
    }
    let etc = "printf '127.0.0.1 localhost\\n' >/run/hosts; mount --bind /run/hosts /etc/hosts";
    let output = unshare(&format!("{begin}; {etc}\n{FUNCTIONS}\n{script}"))?;
    Some((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

const CARD: &str = "set_card 00:00:00:00:00:00 eth1 192.168.1.2/24 2001:db8:1::2/64\n";
const SHOW: &str = "ip -o addr show dev eth1; ip -o link show dev eth1";

#[test]
fn a_card_gets_its_name_and_its_addresses_by_ip_or_busybox() {
    for without in ["", "ip() { command ip_is_not_here; }\n"] {
        let Some((status, said)) = guest(&format!("{without}{CARD}unset -f ip\n{SHOW}")) else { return };
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("inet 192.168.1.2/24 brd 192.168.1.255"), "{said}");
        assert!(said.contains("inet6 2001:db8:1::2/64") && said.contains("UP"), "{said}");
    }
}

#[test]
fn a_card_that_has_its_address_is_left_alone() {
    let script = format!("ip addr add 192.168.1.2/24 dev lo\n{CARD}ip -o addr show dev lo");
    let Some((_, said)) = guest(&script) else { return };
    assert!(said.contains("192.168.1.2/24") && !said.contains("2001:db8"), "{said}");
}

#[test]
fn a_guest_without_any_way_says_so() {
    let script = format!("PATH=/nowhere\n{CARD}");
    let Some((_, said)) = guest(&script) else { return };
    assert_eq!(said, "lo has no addresses: the guest has neither ip, nor busybox with ip, nor ifconfig\n");
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    let Some(found) = guest("need_cards 00:00:00:00:00:00 52:54:00:12:01:01") else { return };
    assert_eq!(found, (Some(3), "no network card 52:54:00:12:01:01\n".to_owned()));
    // udev knows of no card yet.
    let Some(found) = guest("mkdir /run/udev; : >/run/udev/control; need_cards 00:00:00:00:00:00") else {
        return;
    };
    assert_eq!(found.0, Some(3), "{found:?}");
}

#[test]
fn names_are_set_once_and_an_earlier_boots_are_replaced() {
    let script = "set_host_name server\nset_hosts $'192.168.1.9 old\\n'\nset_hosts $'192.168.1.1 client\\n'\n\
                  set_hosts $'192.168.1.1 client\\n'\nuname -n; cat /etc/hosts";
    let Some((_, said)) = guest(script) else { return };
    assert_eq!(
        said,
        "server\n127.0.0.1 localhost\n# innkeeper: the machines of the test\n192.168.1.1 client\n# innkeeper: end\n"
    );
}

#[test]
fn hosts_that_cannot_be_written_stay_as_they_are() {
    let script = "mount -o remount,bind,ro /etc/hosts\nset_hosts $'192.168.1.1 client\\n'\ncat /etc/hosts";
    let Some((_, said)) = guest(script) else { return };
    assert_eq!(
        said,
        "/etc/hosts cannot be written: the guest does not know the other machines by name\n127.0.0.1 localhost\n"
    );
}

#[test]
fn nothing_is_done_twice_in_a_boot() {
    let Some((_, said)) = guest("read -r id </proc/sys/kernel/random/boot_id; begin \"$id\"; echo again")
    else {
        return;
    };
    assert_eq!(said.lines().count(), 1, "{said}");
    let Some((_, said)) = guest("begin another; echo again") else { return };
    assert!(said.ends_with("\nagain\n"), "{said}");
}
