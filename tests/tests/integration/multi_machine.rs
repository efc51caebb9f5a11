//! Several machines: by manifests, whose guests are given their addresses, and by start scripts in the manner of
//! NixOS's, whose guests have their own.

use std::process::Command;
use std::time::Duration;

use driver_core::event::{Event, MachineState, Record};
use integration_tests::{Leaks, Member, Setup, need_vm};
use rustix::process::Signal;

use crate::SOON;

/// How machines are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Manifest,
    StartScripts,
}

/// A place for a run of machines with that image and memory. `None` when this host cannot have it.
fn setup(
    manner: Manner,
    (image, memory_mib): (&str, u64),
    machines: &[Member<'_>],
    script: &str,
) -> Option<Setup> {
    let image = need_vm(image)?;
    if manner == Manner::StartScripts {
        need_vde()?;
    }
    let describe = |(name, vlans): &Member<'_>| {
        let boot = match manner {
            Manner::Manifest => format!("image = \"{}\"\nmemory = {memory_mib}", image.dir().display()),
            Manner::StartScripts => format!("start_script = \"run-{name}-vm\""),
        };
        format!("[machines.{name}]\nvlans = {vlans:?}\nallow_reboot = true\n{boot}\n")
    };
    let manifest: String = machines.iter().map(describe).collect();
    // Guests that configure themselves may do so while the script is at work already.
    let at_once = if manner == Manner::Manifest { "succeed" } else { "wait_until_succeeds" };
    let begin = "start_all()\nfor machine in machines:\n    machine.connect()\n";
    let script = format!("def at_once(machine, command):\n    machine.{at_once}(command)\n\n{begin}{script}");
    let setup = Setup::new(&manifest, &script).machines(machines.len());
    if manner == Manner::StartScripts {
        for (me, (name, _)) in machines.iter().enumerate() {
            let file = setup.dir().join(format!("run-{name}-vm"));
            image.write_start_script(&file, machines, me, memory_mib);
        }
    }
    Some(setup)
}

/// QEMU can be built without VDE.
pub(crate) fn need_vde() -> Option<()> {
    let said = Command::new("qemu-system-x86_64").args(["-machine", "none", "-netdev", "help"]).output();
    let text = String::from_utf8(said.ok()?.stdout).ok()?;
    if text.lines().any(|line| line.trim() == "vde") {
        return Some(());
    }
    assert!(std::env::var_os("REQUIRE_VM").is_none_or(|value| value != "1"), "QEMU has no `-netdev vde`");
    None
}

const TWO: &[Member<'static>] = &[("client", &[1]), ("server", &[1])];

/// A web server is reached by its name; a plug is pulled and plugged in again.
const WEB: &str = r#"
at_once(client, "ip -4 -o addr show dev eth1 | grep -F 192.168.1.1/24")
at_once(server, "ip -4 -o addr show dev eth1 | grep -F 192.168.1.2/24")
assert server.succeed("uname -n") == "server\n"
server.succeed("systemctl start nginx")
server.wait_for_open_port(80)
client.succeed("ping -c 1 -W 10 server")
page = client.succeed("curl --fail --silent http://server/")
assert "nginx" in page, page

server.block()
server.wait_until_succeeds("grep 0 /sys/class/net/eth1/carrier")
client.fail("ping -c 1 -W 1 192.168.1.2")
server.unblock()
server.wait_until_succeeds("grep 1 /sys/class/net/eth1/carrier")
client.succeed("curl --fail --silent --max-time 30 http://server/")
"#;

/// What the driver has given to a guest is there again after a reboot, and once only; also in a guest that would have
/// all of its cards ask for DHCP.
const AGAIN: &str = r#"
assert client.succeed("getent hosts server.vlan1").startswith("2001:db8:1::2"), "IPv6 is there, too"
client.succeed("ping -6 -c 1 -W 10 server")
before = client.succeed("cat /etc/hosts")
client.succeed("printf '[Match]\\nName=eth*\\n\\n[Network]\\nDHCP=yes\\n' >/etc/systemd/network/10-all.network; sync")
client.send_monitor_command("system_reset")
client.succeed("ping -c 1 -W 10 server")
client.wait_until_succeeds("networkctl | grep -w eth0.*configured")
client.succeed("networkctl | grep -w eth1.*unmanaged")
client.succeed("ip -4 -o addr show dev eth1 | grep -F 192.168.1.1/24")
assert client.succeed("cat /etc/hosts") == before
assert client.succeed("uname -n") == "client\n"
"#;

fn web_server(manner: Manner, arguments: &[&str], script: &str) {
    let Some(setup) = setup(manner, ("cluster", 384), TWO, script) else { return };
    let run = setup.args(arguments).run();
    run.assert_status(0);
    assert!(!run.said().contains("guest's network"), "{}", run.said());
}

#[test]
fn two_machines_of_a_manifest() {
    web_server(Manner::Manifest, &[], &format!("{WEB}{AGAIN}"));
}

#[test]
fn two_machines_of_a_manifest_without_the_agent() {
    web_server(Manner::Manifest, &["--no-agent"], &format!("{WEB}{AGAIN}"));
}

#[test]
fn two_machines_of_start_scripts() {
    web_server(Manner::StartScripts, &[], WEB);
}

/// A router between two networks: whom a name leads to depends on who asks.
const ROUTER: &str = r#"
at_once(client, "ping -c 1 -W 10 router")
at_once(server, "ping -c 1 -W 10 192.168.2.2")
client.succeed("getent ahostsv4 router | grep -F 192.168.1.2")
client.succeed("getent ahostsv4 server | grep -F 192.168.2.3")
router.succeed("sysctl -w net.ipv4.ip_forward=1")
client.fail("ping -4 -c 1 -W 1 -I eth1 server")
client.succeed("ip route add 192.168.2.0/24 via 192.168.1.2")
server.succeed("ip route add 192.168.1.0/24 via 192.168.2.2")
client.succeed("ping -4 -c 1 -W 10 server")
"#;

fn router(manner: Manner, script: &str) {
    let machines: &[Member<'_>] = &[("client", &[1]), ("router", &[1, 2]), ("server", &[2])];
    let Some(setup) = setup(manner, ("base", 256), machines, script) else { return };
    setup.run().assert_status(0);
}

#[test]
fn three_machines_of_a_manifest() {
    router(
        Manner::Manifest,
        &format!("{ROUTER}server.succeed(\"getent ahostsv4 router | grep -F 192.168.2.2\")\n"),
    );
}

#[test]
fn three_machines_of_start_scripts() {
    router(Manner::StartScripts, ROUTER);
}

/// Each machine reaches the next one by its name.
fn ring(manner: Manner, names: &[&str]) {
    let machines: Vec<Member<'_>> = names.iter().map(|name| (*name, &[1][..])).collect();
    let script = "
for machine, following in zip(machines, machines[1:] + machines[:1]):
    at_once(machine, f\"ping -c 1 -W 20 {following.name}\")
";
    let Some(setup) = setup(manner, ("base", 192), &machines, script) else { return };
    setup.run().assert_status(0);
}

#[test]
fn eight_machines_of_a_manifest() {
    ring(Manner::Manifest, &["a", "b", "c", "d", "e", "f", "g", "h"]);
}

/// Fewer than above: what many machines mean for a switch has been seen there, and boots are what takes time.
#[test]
fn four_machines_of_start_scripts() {
    ring(Manner::StartScripts, &["a", "b", "c", "d"]);
}

#[test]
fn cards_are_called_by_their_number_when_none_leads_outside() {
    if need_vm("base").is_none() {
        return;
    }
    // The kernel calls them eth0 and eth1.
    let alone = "[machines.server]\nimage = \"base\"\nmemory = 256\nvlans = [7, 200]\n\
                 [machines.server.qemu]\nnetwork = \"none\"\nvlan_port = \"dgram\"\n";
    let script = "for card, address in (\"eth1\", \"192.168.7.1\"), (\"eth2\", \"192.168.200.1\"):\n\
                  \x20   server.succeed(f\"ip -4 -o addr show dev {card} | grep -F {address}/24\")\n";
    Setup::new(alone, script).run().assert_status(0);
}

#[test]
fn kill_9_leaves_no_machine_and_no_network() {
    let Some(setup) = setup(Manner::Manifest, ("base", 256), TWO, "server.sleep(600)\n") else {
        return;
    };
    let run = setup.start();
    for name in ["client", "server"] {
        run.wait_for("a running machine", |record: &Record| {
            let runs = matches!(record.event, Event::MachineState { state: MachineState::Running });
            runs && record.machine.as_deref() == Some(name)
        });
    }
    let processes = Leaks::of(run.mark());
    run.signal(Signal::KILL);
    let left = processes.gone_within(Duration::from_secs(2));
    assert!(left.is_empty(), "{left:#?}");
    run.finish_within(SOON).assert_status(137);
}
