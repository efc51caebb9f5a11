//! Networks that a script cuts, slows down, records and watches, measured from inside real guests.

use std::process::Command;

use driver_core::event::{Event, Record};
use integration_tests::{Finished, Setup, need_vm};

/// Two machines that know each other's cards, so that nothing but what the script sends passes between them.
const HELPERS: &str = r#"
import re

start_all()
for machine in machines:
    machine.succeed("sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1")
client.succeed("ip neigh replace 192.168.1.2 lladdr 52:54:00:12:01:02 nud permanent dev eth1")
server.succeed("ip neigh replace 192.168.1.1 lladdr 52:54:00:12:01:01 nud permanent dev eth1")

def ping(options):
    """The output of ping, the replies that came, and the shortest time that one took, in ms."""
    _, text = client.execute(f"ping -4 {options} server")
    replies = re.findall(r"icmp_seq=(\d+) .*?time=([0-9.]+) ms", text)
    return text, [int(number) for number, _ in replies], min([float(time) for _, time in replies], default=None)
"#;

/// What a script does to a network is what the guests see of it, and is over when the script says so.
const FAULTS: &str = r#"
with subtest("a partition"):
    client.succeed("ping -4 -c 1 -W 20 server")
    with vlan1.partition([client], [server]):
        client.fail("ping -4 -c 1 -W 1 server")
        assert vlan1.stats()["server"]["dropped_by_fault"] > 0
    client.succeed("ping -4 -c 1 -W 20 server")
    vlan1.partition([server])
    client.fail("ping -4 -c 1 -W 1 server")
    vlan1.heal()
    client.succeed("ping -4 -c 1 -W 20 server")

with subtest("a delay, each way and one way"):
    _, _, plain = ping("-c 10 -i 0.1")
    def slow(fault, extra):
        with fault:
            text, replies, shortest = ping("-c 10 -i 0.1 -W 20")
        assert len(replies) == 10, text
        assert extra <= shortest <= 1.1 * extra + plain, (plain, text)
    slow(vlan1.delay(150), 300)
    slow(vlan1.delay(300, between=(server, client), one_way=True), 300)

with subtest("a loss is right within 10 %, and a seed loses the same again"):
    def lost(seed):
        with vlan1.loss(20, between=(client, server), one_way=True, seed=seed) as fault:
            assert fault.seed == seed
            before = vlan1.stats()["server"]["dropped_by_fault"]
            text, replies, _ = ping("-c 500 -i 0.01 -W 5")
            missing = sorted(set(range(1, 501)) - set(replies))
            assert vlan1.stats()["server"]["dropped_by_fault"] - before == len(missing), text
            return missing
    first, again, other = lost(1), lost(1), lost(2)
    assert 90 <= len(first) <= 110, len(first)
    assert first == again, (first, again)
    assert first != other

with subtest("frames that come twice, and out of order"):
    with vlan1.duplicate(100, between=(client, server), one_way=True):
        text, _, _ = ping("-c 5 -i 0.1")
        assert text.count("(DUP!)") >= 4, text
    with vlan1.reorder(30, ms=100, between=(client, server), one_way=True, seed=1):
        text, replies, _ = ping("-c 50 -i 0.02 -W 5")
        assert len(replies) == 50 and replies != sorted(replies), text
"#;

/// Rates need a program that sends faster. A guest that the host does not let run for a while sends less, and never
/// more: one of three times has to be right.
const RATE: &str = r#"
import json

server.succeed("iperf3 --server --daemon")
server.wait_for_open_port(5201)
# Datagrams of 1,448 bytes travel in frames of 1,490.
expected = 8 * 1448 / 1490
rates = []
while len(rates) < 3 and not (rates and rates[-1] >= 0.9 * expected):
    with vlan1.rate(8):
        command = "iperf3 --client 192.168.1.2 --udp --bitrate 12M --length 1448 --time 5 --omit 1 --json"
        report = json.loads(client.succeed(command))
    rates.append(report["end"]["sum_received"]["bits_per_second"] / 1e6)
    assert rates[-1] <= 1.1 * expected, rates
assert rates[-1] >= 0.9 * expected, rates
"#;

const PACKETS: &str = r#"
def message(call):
    try:
        call()
    except (AssertionError, ValueError) as error:
        return str(error)

with subtest("a packet that is waited for"):
    with vlan1.expect_packet("icmp and from client and dst host server", timeout=30) as packet:
        client.succeed("ping -4 -c 1 -W 20 server")
    assert packet.port == "client" and packet.length == 98, vars(packet)
    assert packet.summary.startswith("IP 192.168.1.1 > 192.168.1.2: ICMP echo request"), packet.summary
    assert packet.bytes[:12] == bytes.fromhex("525400120102525400120101"), packet.bytes

with subtest("a packet that does not come"):
    with vlan1.expect_packet("icmp", timeout=30):
        client.execute("ping -4 -c 3 -i 0.2 server >/dev/null 2>&1 &", check_output=False)
    problem = message(lambda: vlan1.wait_for_packet("tcp port 81", timeout=2))
    assert problem.startswith("no packet on vlan 1 fitted `tcp port 81` within 2s (meanwhile passed "), problem
    assert "from client" in problem and "; the last one from " in problem, problem

with subtest("a filter that nobody understands"):
    assert "tcp prt 81" in message(lambda: vlan1.wait_for_packet("tcp prt 81"))

with subtest("a capture"):
    with vlan1.capture() as capture:
        client.succeed("ping -4 -c 2 -i 0.2 -W 20 server")
        with vlan1.loss(100, between=(client, server), one_way=True, seed=5):
            client.fail("ping -4 -c 1 -W 1 server")
    assert capture.frames == 5, vars(capture)

with subtest("a plug that is pulled"):
    server.block()
    server.wait_until_succeeds("grep 0 /sys/class/net/eth1/carrier")
    client.fail("ping -4 -c 1 -W 1 server")
    server.unblock()
    server.wait_until_succeeds("grep 1 /sys/class/net/eth1/carrier")
"#;

/// Runs a script with the machines `client` and `server`. `None` when this host cannot.
fn run(image: &str, script: &str) -> Option<Finished> {
    let dir = need_vm(image)?;
    let machine =
        |name| format!("[machines.{name}]\nimage = \"{}\"\nmemory = 256\nvlans = [1]\n", dir.dir().display());
    let manifest = machine("client") + &machine("server");
    let run = Setup::new(&manifest, &format!("{HELPERS}{script}")).machines(2).run();
    run.assert_status(0);
    Some(run)
}

#[test]
fn guests_see_the_faults_of_their_network() {
    let Some(run) = run("base", FAULTS) else { return };
    let is_imposed = |record: &&Record| matches!(record.event, Event::FaultImposed { .. });
    let is_lifted = |record: &&Record| matches!(record.event, Event::FaultLifted { .. });
    let records = run.events();
    assert_eq!(records.iter().filter(is_imposed).count(), 9);
    assert_eq!(records.iter().filter(is_lifted).count(), 9);
}

#[test]
fn a_rate_is_what_iperf3_measures() {
    run("cluster", RATE);
}

#[test]
fn packets_are_seen_and_recorded() {
    let Some(run) = run("base", PACKETS) else { return };
    let file = run.out().join("vlan1.pcapng");
    // One interface for each machine, five frames, and comments on the fault and on what it took.
    let said = Command::new("tshark")
        .arg("-r")
        .arg(&file)
        .args(["-T", "fields", "-e", "frame.interface_name", "-e", "icmp.type", "-e", "frame.comment"])
        .output();
    let Ok(said) = said else {
        assert!(std::env::var_os("REQUIRE_VM").is_none_or(|value| value != "1"), "tshark is missing");
        return;
    };
    let text = String::from_utf8_lossy(&said.stdout);
    let frames: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let seen: Vec<(&str, &str)> = frames.iter().map(|frame| (frame[0], frame[1])).collect();
    let (request, reply) = (("client", "8"), ("server", "0"));
    assert_eq!(seen, [request, reply, request, reply, request], "{text}");
    assert!(frames[4][2].contains("loss of 100 %"), "{text}");
}
