//! Snapshots of real machines: memory, disks and commands are as they were, again and again.

use driver_core::event::Event;
use integration_tests::{Setup, need_vm};

use crate::{both, machine};

/// What the scripts here begin with: a process that keeps a number in its memory and nowhere else, and tells it when
/// it is asked.
const BEGINNING: &str = r#"
import random, threading, time

nonce = random.randrange(1 << 60)

def keep():
    server.succeed("mkfifo /run/ask /run/told")
    server.succeed(f"(n={nonce}; while read -r word; do echo $word $n >/run/told; done <>/run/ask) >/dev/null 2>&1 &")

def is_kept(word):
    told = server.succeed(f"timeout 60 bash -c 'echo {word} >/run/ask; cat /run/told'")
    assert told == f"{word} {nonce}\n", (told, nonce)

def refusal(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return str(error)
    raise AssertionError("it was not refused")
"#;

const SCRIPT: &str = r#"
with subtest("memory and disk come back, and commands answer"):
    keep()
    server.succeed("echo before >/root/file; sync; echo before >/root/page-cache")
    server.snapshot("fresh")
    is_kept("saved")
    server.succeed("echo after >/root/file; echo after >/root/page-cache; sync; rm /run/ask")
    server.restore("fresh")
    assert server.succeed("cat /root/file /root/page-cache") == "before\nbefore\n"
    is_kept("restored")

with subtest("large contents have their way, both ways"):
    with open(f"{server.state_dir}/large", "wb") as file:
        file.write(random.randbytes(3 << 20))
    server.copy_from_host(file.name, "/root/large")
    server.copy_from_machine("/root/large")
    assert len(server.succeed("head -c 1000000 /dev/zero | tr '\\0' x")) == 1_000_000

with subtest("folders of the host are there as before, and shared with the host"):
    server.succeed("findmnt -t 9p /tmp/shared; echo hello >/tmp/shared/file")
    server.restore("fresh")
    assert server.succeed("cat /tmp/shared/file") == "hello\n"
    server.succeed("(cd /tmp/shared; exec sleep 1000) >/dev/null 2>&1 &")
    assert "(/tmp/shared)" in refusal(server.snapshot, "busy")
    server.succeed("pkill sleep", "cat /tmp/shared/file")

with subtest("the clock is right"):
    server.succeed("date -s @1000000000")
    server.snapshot("wrong-clock")
    server.restore("wrong-clock")
    assert abs(int(server.succeed("date +%s")) - time.time()) < 60

with subtest("a snapshot of a machine that was restored, and each is still what it was"):
    server.succeed("echo second >/root/file")
    server.snapshot("second")
    server.succeed("echo third >/root/file")
    server.restore("fresh")
    assert server.succeed("cat /root/file") == "before\n"
    server.restore("second")
    assert server.succeed("cat /root/file") == "second\n"
    is_kept("twice")

with subtest("a machine that is off, and one that boots from the disk it went on with"):
    server.succeed("echo late >/root/file; sync")
    server.crash()
    assert server.succeed("cat /root/file") == "late\n"
    server.crash()
    server.restore("second")
    assert server.succeed("cat /root/file") == "second\n"
    server.shutdown()

with subtest("what cannot be is refused"):
    assert "`fresh`, `second`" in refusal(server.restore, "missing"), refusal(server.restore, "missing")
    assert "has a snapshot `fresh` already" in refusal(server.snapshot, "fresh")
    assert "`../x` cannot be the name" in refusal(server.snapshot, "../x")
"#;

fn run(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&machine("base"), &format!("{BEGINNING}{SCRIPT}")).args(arguments).run();
    run.assert_status(0);
    let events = run.events();
    let steps = events.iter().filter(
        |record| matches!(&record.event, Event::ScopeStarted { text, .. } if text.starts_with("restoring the snapshot")),
    );
    assert!(steps.count() >= 5);
}

both!(a_machine_goes_on_from_its_snapshots, a_machine_goes_on_from_its_snapshots_without_the_agent, run);

/// Where commands have a channel of their own each, another one may be running.
#[test]
fn no_snapshot_is_taken_while_a_command_runs() {
    if need_vm("base").is_none() {
        return;
    }
    let script = r#"
thread = threading.Thread(target=lambda: server.succeed("touch /run/runs; while [ -e /run/runs ]; do sleep 0.1; done"))
server.connect()
thread.start()
server.wait_for_file("/run/runs")
assert "touch /run/runs" in refusal(server.snapshot, "early"), refusal(server.snapshot, "early")
server.succeed("rm /run/runs")
thread.join()
server.snapshot("late")
server.restore("late")
"#;
    Setup::new(&machine("base"), &format!("{BEGINNING}{script}")).run().assert_status(0);
}

/// The switch outlives its machines: whoever goes on from a snapshot is plugged in again under its old address.
const NEIGHBOURS: &str = r#"
def talk(times=3):
    for one, another in (left, right), (right, left):
        one.succeed(f"ping -4 -c {times} -i 0.2 -W 10 {another.name}")

start_all()
for machine in machines:
    machine.wait_for_unit("multi-user.target")
talk()
left.succeed("echo before >/root/file; sync")
left.snapshot("met")

with subtest("one goes on from a snapshot, and the other has stayed"):
    left.succeed("ip link set eth1 down")
    left.restore("met")
    talk()
    left.restore("met")
    talk()

with subtest("a connection of before is alive after"):
    right.succeed("(exec nc -d -k -l 7000) >/run/got 2>&1 &")
    right.wait_for_open_port(7000)
    left.succeed("mkfifo /run/out")
    # Open for both ways: it has no end when a writer leaves.
    send = "while read -r word; do echo $word >&3; done <>/run/out"
    left.succeed(f"(exec 3<>/dev/tcp/right/7000; {send}) >/dev/null 2>&1 &")
    left.succeed("echo one >/run/out")
    right.wait_until_succeeds("grep one /run/got", timeout=60)
    left.snapshot("talking")
    left.restore("talking")
    left.succeed("echo two >/run/out")
    right.wait_until_succeeds("grep two /run/got", timeout=60)

with subtest("both go on from snapshots, at different times"):
    right.snapshot("later")
    right.crash()
    left.crash()
    right.restore("later")
    left.restore("met")
    talk()

with subtest("faults of the VLAN hold for a machine that went on"):
    with vlan1.partition([left]):
        left.restore("met")
        left.fail("ping -4 -c 1 -W 2 right")
    talk(1)

with subtest("a plug that was pulled is in again, as in the snapshot"):
    left.block()
    left.restore("met")
    talk(1)
"#;

#[test]
fn machines_of_one_vlan_go_on_talking_after_one_was_restored() {
    if need_vm("base").is_none() {
        return;
    }
    let machine =
        |name: &str| format!("[machines.{name}]\nimage = \"base\"\nmemory = \"256M\"\nvlans = [1]\n");
    let machines = machine("left") + &machine("right");
    Setup::new(&machines, NEIGHBOURS).machines(2).run().assert_status(0);
}

/// Asked for by name: `cargo test -p integration-tests a_hundred -- --ignored`.
#[test]
#[ignore = "takes many minutes"]
fn a_hundred_times_over() {
    if need_vm("base").is_none() {
        return;
    }
    let script = r#"
keep()
saved, restored = [], []
for n in range(100):
    server.succeed(f"echo {n} >/root/file")
    began = time.monotonic()
    server.snapshot(f"at-{n}")
    saved.append(time.monotonic() - began)
    server.succeed("echo changed >/root/file; rm /run/ask")
    began = time.monotonic()
    # Every tenth time the way leads over one of long ago.
    if n % 10 == 9:
        server.restore(f"at-{n // 2}")
        assert server.succeed("cat /root/file") == f"{n // 2}\n"
    server.restore(f"at-{n}")
    server.succeed("true")
    restored.append(time.monotonic() - began)
    assert server.succeed("cat /root/file") == f"{n}\n"
    is_kept(n)
for what, times in ("save", saved), ("restore", restored):
    print(f"{what}: median {sorted(times)[50]:.2f} s, worst {max(times):.2f} s")
"#;
    let run = Setup::new(&machine("base"), &format!("{BEGINNING}{script}")).arg("--timeout=2h").run();
    run.assert_status(0);
    run.assert_says(&["save: median", "restore: median"]);
}
