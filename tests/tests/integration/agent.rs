//! The agent in real guests: many commands at once, guests that end or pause in the middle of them, and what
//! the field's tests stumble over.

use std::time::{Duration, Instant};

use driver_core::event::{Event, Record};
use integration_tests::{Run, Setup, need_vm};
use rustix::process::Signal;

use crate::{SOON, machine};

/// What the scripts here begin with.
const BEGINNING: &str = r#"
import os, queue, random, threading, time
from innkeeper.errors import MachineError

server.start(allow_reboot=True)
server.wait_for_unit("multi-user.target")

def agent():
    return server.succeed("readlink /proc/$PPID/exe")

def at_once(*calls):
    """What came of the calls, or their errors, and how long after `cause` all were over."""
    results = {}
    def run(n, call):
        try:
            results[n] = call()
        except Exception as error:
            results[n] = error
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, results
"#;

/// Commands at once, `COUNT` in all: each says that it runs, prints a piece of a file, and has a status.
const MANY: &str = r#"
LARGEST = 1 << 20
dice = random.Random(COUNT)
data = bytes(dice.getrandbits(7) for _ in range(2 * LARGEST))
with open(os.path.join(server.state_dir, "data"), "wb") as file:
    file.write(data)
server.copy_from_host(file.name, "/tmp/data")
text = data.decode()
work = queue.Queue()
for n in range(COUNT):
    # Most are small, as commands are; every tenth is anything.
    size = dice.randrange(LARGEST + 1) if n % 10 == 0 else int(LARGEST ** dice.random()) - 1
    work.put((n, dice.randrange(LARGEST), size))
wrong = []

def serve():
    while True:
        try:
            n, at, size = work.get_nowait()
        except queue.Empty:
            return
        status, output = server.execute(
            f"echo {n} >>/tmp/ran; dd if=/tmp/data bs=64K iflag=skip_bytes,count_bytes skip={at} count={size} "
            f"status=none; exit {n % 256}"
        )
        if (status, output) != (n % 256, text[at:at + size]):
            wrong.append((n, size, status, len(output)))

began = time.monotonic()
threads, results = at_once(*[serve] * 16)
for thread in threads:
    thread.join()
print(f"{COUNT} commands in {time.monotonic() - began:.1f} s")
assert all(result is None for result in results.values()), results
assert not wrong, wrong
ran = sorted(map(int, server.succeed("cat /tmp/ran").split()))
assert ran == list(range(COUNT)), f"{len(ran)} runs of {len(set(ran))} commands"
server.succeed("rm /tmp/ran /tmp/data")
"#;

/// What of the agent is to be seen in the guest.
const TRACES: &str = r#"
with subtest("nothing of the agent is left but its process and a bash that waits"):
    assert "(deleted)" in agent()
    found = server.succeed("find / -xdev -name '*innkeeper-agent*'; ls -A /run /tmp /dev/shm | grep innkeeper || true")
    assert found == "", found
    # The bash that asks is the one that waited; ps and its pipe are its own.
    pids = server.succeed("cat /sys/fs/cgroup/system.slice/backdoor.service/cgroup.procs").split()
    names = [server.succeed(f"cat /proc/{pid}/comm 2>/dev/null || true").strip() for pid in pids]
    others = [name for name in names if name and not name.startswith(".innkeeper") and name != "bash"]
    assert len(pids) <= 3 and not others, names

with subtest("nixpkgs#471141: a child that holds the standard output is waited for no longer than the grace"):
    began = time.monotonic()
    server.succeed("sleep 1000 &")
    took = time.monotonic() - began
    assert 2 <= took < 60, took
    server.succeed("pkill -x sleep")

with subtest("others write into the port"):
    noise = "while [ -e /run/noise ]; do echo '[   12.345678] kernel: hello' >/dev/hvc0; sleep 0.01; done"
    server.succeed(f"touch /run/noise; ({noise}) >/dev/null 2>&1 &")
    for n in range(30):
        size = 1000 * n
        assert server.succeed(f"head -c {size} /dev/zero | tr '\\0' x") == "x" * size
        assert server.execute(f"echo {n}; exit {n}") == (n, f"{n}\n")
    server.succeed("rm /run/noise")

with subtest("outputs of commands at once do not mix"):
    def lines(letter):
        return server.succeed(f"for i in $(seq 50); do echo {letter * 50}; echo err >&2; done")
    threads, results = at_once(*[lambda letter=letter: lines(letter) for letter in "abcdefgh"])
    for thread in threads:
        thread.join()
    assert [results[n] for n in range(8)] == [f"{letter * 50}\n" * 50 for letter in "abcdefgh"], results

with subtest("bash is killed, all of it"):
    before = agent()
    server.execute("pkill -9 bash")
    assert agent() == before
    server.succeed("true")
"#;

/// The same without the agent, as far as a plain shell can.
const SHELL: &str = r#"
with subtest("nixpkgs#471141: a child that holds the standard output is waited for, without end"):
    began = time.monotonic()
    server.succeed("sleep 4 &")
    took = time.monotonic() - began
    assert took > 3, took

with subtest("others write into the port"):
    # A line that ends by itself: the shell cannot be used while it goes on.
    noise = "for i in $(seq 300); do echo '[   12.345678] kernel: hello' >/dev/hvc0; sleep 0.01; done"
    server.succeed(f"({noise}; touch /run/quiet) >/dev/null 2>&1 &")
    for n in range(20):
        size = 1000 * n
        try:
            assert server.succeed(f"head -c {size} /dev/zero | tr '\\0' x") == "x" * size
        except MachineError as error:
            print("as it may be:", error)
            assert "something else in the guest may write to the shell's port" in str(error), error
    server.wait_for_file("/run/quiet")
    assert server.succeed("echo and on") == "and on\n"

with subtest("outputs of commands at once do not mix"):
    calls = [lambda letter=letter: server.succeed(f"echo {letter * 50}; echo err >&2") for letter in "abcdefgh"]
    threads, results = at_once(*calls)
    for thread in threads:
        thread.join()
    assert [results[n] for n in range(8)] == [f"{letter * 50}\n" for letter in "abcdefgh"], results
"#;

/// The ends of the agent, and what comes after.
const ENDS: &str = r#"
# A guest whose shell comes back, as a real guest's would in an image made for it.
server.succeed(
    "mkdir -p /run/systemd/system/backdoor.service.d; cd /run/systemd/system/backdoor.service.d; "
    "printf '[Service]\nRestart=always\nRestartSec=0\n' >again.conf; systemctl daemon-reload"
)

def ends(cause, *words, within=5):
    """All pending calls end soon after the cause, and say why; the next ones have an agent again."""
    server.succeed("rm -f /run/begun-*")
    loop = "touch /run/begun-{}; while :; do {} sleep 0.1; done"
    commands = [loop.format(n, "echo x;" if n % 2 else "") for n in range(4)]
    threads, results = at_once(*[lambda command=command: server.execute(command) for command in commands])
    server.wait_until_succeeds("test $(ls /run/begun-* | wc -l) = 4")
    cause()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    for result in results.values():
        assert isinstance(result, MachineError), result
        assert any(word in str(result) for word in words), result
    print(f"all calls ended {took:.1f} s after it: {results[0]}")
    assert took < within, took
    assert "innkeeper-agent" in agent()
    assert server.succeed("echo again") == "again\n"

def quietly(command):
    def run():
        try:
            server.execute(command)
        except MachineError:
            pass
    return run

with subtest("the agent is killed"):
    ends(quietly("sleep 0.5; kill -9 $PPID"), "the guest has ended it", "started its shell anew")
with subtest("the shell's service is started anew"):
    ends(quietly("systemctl --no-block restart backdoor"), "the guest has ended it", "started its shell anew")
with subtest("reset"):
    ends(lambda: server.send_monitor_command("system_reset"), "the guest reboots")
with subtest("reboot"):
    # A guest takes its time to go down; until it does, they run.
    ends(
        lambda: server.execute("systemctl reboot", check_output=False),
        "the guest has ended it", "the guest reboots",
        within=60,
    )

with subtest("the guest is paused for 30 s"):
    calls = [lambda n=n: server.execute(f"for i in 1 2 3 4; do echo {n}; sleep 0.5; done; exit {n}") for n in range(4)]
    threads, results = at_once(*calls)
    server.send_monitor_command("stop")
    time.sleep(PAUSE)
    server.send_monitor_command("cont")
    for thread in threads:
        thread.join()
    assert results == {n: (n, f"{n}\n" * 4) for n in range(4)}, results
    assert server.succeed("echo on") == "on\n"
"#;

/// Two calls that are pending when the script says so, and perhaps a `cause` of their end.
const PENDING: &str = r#"
threads, results = at_once(*[lambda n=n: server.succeed(f"touch /run/begun-{n}; sleep 600") for n in range(2)])
server.wait_until_succeeds("test $(ls /run/begun-* | wc -l) = 2")
print("pending", flush=True)
threading.Thread(target=cause, daemon=True).start()
for thread in threads:
    thread.join()
for result in results.values():
    print("ended:", result)
raise results[0]
"#;

#[test]
fn commands_at_once_keep_every_byte_and_leave_no_trace() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{BEGINNING}\nCOUNT = 300\n{MANY}{TRACES}");
    let run = Setup::new(&machine("base"), &script).arg("--output-grace=2s").run();
    run.assert_status(0);
    run.assert_says(&["its standard output is still open in sleep 1000 (pid "]);
}

#[test]
fn the_plain_shell_stumbles_over_known_things_and_goes_on() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{BEGINNING}{SHELL}");
    Setup::new(&machine("base"), &script).arg("--no-agent").run().assert_status(0);
}

/// `cargo test --release -p integration-tests --test integration ten_thousand -- --ignored --nocapture`
#[test]
#[ignore = "takes 20 minutes without KVM"]
#[expect(clippy::print_stdout, reason = "says how long it took")]
fn ten_thousand_commands_at_once_keep_every_byte() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{BEGINNING}\nCOUNT = 10_000\n{MANY}");
    let run = Setup::new(&machine("base"), &script).arg("--timeout=60m").start();
    let run = run.finish_within(Duration::from_secs(3600));
    run.assert_status(0);
    println!("{}", run.said().lines().find(|line| line.contains(" commands in ")).unwrap_or_default());
}

#[test]
fn commands_end_with_the_agent_or_the_guest_and_go_on_after_a_pause() {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{BEGINNING}\nPAUSE = 30\n{ENDS}");
    let run = Setup::new(&machine("base"), &script).run();
    run.assert_status(0);
    // Neither the rest of a frame nor the last words of an agent are the guest's.
    for heard in run.said().lines().filter(|line| line.contains("Guest shell says: ")) {
        assert!(heard.ends_with(r"b'Spawning backdoor root shell...\n'"), "{heard}");
    }
}

/// The end of a run whose pending calls are ended by `script`, or from outside, which `cause` does or
/// waits for.
fn ended_by(script: &str, cause: impl FnOnce(&Run), words: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&machine("base"), &format!("{BEGINNING}\ncause = {script}\n{PENDING}")).start();
    run.wait_for_script("pending");
    cause(&run);
    let began = Instant::now();
    for _ in 0..2 {
        run.wait_for("the end of a call", |record: &Record| {
            matches!(&record.event, Event::ScriptOutput { line, .. } if line.starts_with("ended: "))
        });
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let run = run.finish_within(SOON);
    run.assert_status(3);
    run.assert_says(words);
}

#[test]
fn pending_calls_end_when_qemu_is_killed() {
    let words = ["machine `server`", "killed by signal 9", "sleep 600"];
    ended_by("lambda: None", |run| run.signal_qemu(Signal::KILL), &words);
}

#[test]
fn pending_calls_end_when_the_kernel_panics() {
    let panicked = |run: &Run| {
        let is_panic = |record: &Record| matches!(&record.event, Event::Console { line } if line.contains("Kernel panic"));
        run.wait_for("the panic", is_panic);
    };
    ended_by(
        "lambda: server.execute(\"echo c >/proc/sysrq-trigger\", check_output=False)",
        panicked,
        &["machine `server`", "panic", "sleep 600"],
    );
}
