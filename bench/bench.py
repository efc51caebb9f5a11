# Takes the time of what tests do. Any driver with NixOS's verbs can run it: nothing here is one driver's own.
# `cargo xtask bench` runs it, tells it what to measure in $BENCH_PLAN, and reads $BENCH_RESULT. Moments are
# told by the host's monotonic clock, which is one for all processes.
import filecmp
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

now = time.monotonic
began = now()
plan = json.loads(os.environ["BENCH_PLAN"])
work = Path(plan["work"])
chance = random.Random(plan["seed"])
result = {"began": began, "errors": {}}


def told(error):
    """An error in short: a command in it may be as long as a file."""
    text = f"{type(error).__name__}: {error}"
    return text if len(text) < 200 else f"{text[:90]} ... {text[-90:]}"


def section(name):
    """Keeps what one section has found, or why it failed; the others go on."""

    def take(measure):
        if name in plan["skip"]:
            return
        print(f"bench: {name}", flush=True)
        try:
            result[name] = measure()
        except Exception as error:
            result["errors"][name] = told(error)

    return take


def seconds(action):
    start = now()
    action()
    return now() - start


server.start()
server.succeed("true")
result["first_command"] = now()
result["guest_kernel"] = server.succeed("uname -r").strip()
# What still starts takes the guest's time from whoever asks first.
server.execute("systemctl is-system-running --wait")
# Which does not count what udev has still to do.
server.execute("udevadm settle")


@section("round_trips")
def _():
    return [seconds(lambda: server.succeed("true")) for _ in range(plan["round_trips"])]


@section("program_round_trips")
def _():
    return [seconds(lambda: server.succeed("uname -s")) for _ in range(plan["paused_round_trips"])]


@section("shell_round_trips")
def _():
    # What no driver can do without a shell.
    return [seconds(lambda: server.succeed("true && true")) for _ in range(plan["paused_round_trips"])]


@section("paused_round_trips")
def _():
    def once():
        time.sleep(0.05)
        return seconds(lambda: server.succeed("true"))

    return [once() for _ in range(plan["paused_round_trips"])]


@section("paused_shell_round_trips")
def _():
    def once():
        time.sleep(0.05)
        return seconds(lambda: server.succeed("true && true"))

    return [once() for _ in range(plan["paused_round_trips"])]


def at_once(command):
    """Eight commands as fast as the driver can have them done: from eight threads where it allows that."""
    if plan["threads"]:
        with ThreadPoolExecutor(8) as pool:
            return seconds(lambda: list(pool.map(server.succeed, [command] * 8)))
    return seconds(lambda: [server.succeed(command) for _ in range(8)])


@section("at_once")
def _():
    return [at_once("true") for _ in range(plan["at_once"])]


@section("at_once_sleeping")
def _():
    return [at_once("sleep 0.25") for _ in range(plan["at_once"])]


@section("waits")
def _():
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'read go </run/bench-gate-%i'\n"
    for path, text in [
        ("/run/bench-trigger", Path(plan["trigger"]).read_text()),
        ("/run/systemd/system/bench@.service", unit),
    ]:
        server.succeed(f"cat >{path} <<'END'\n{text}END\n")
    server.succeed(
        "mkfifo /run/bench-orders",
        "systemctl daemon-reload",
        "systemd-run --quiet --unit=bench-trigger perl /run/bench-trigger",
    )
    # Its first act is over when it listens to orders.
    server.succeed("echo file ready 0 >/run/bench-orders")
    server.wait_for_file("/tmp/bench-ready")

    def prepare(kind, name):
        if kind == "unit":
            server.succeed(f"mkfifo /run/bench-gate-{name}", f"systemctl start --no-block bench@{name}")
        if kind == "console_timeout":
            # With a timeout, some drivers take one line a second: let no lines of before be in the way.
            server.succeed(f"echo 'bench console {name} begins' >/dev/ttyS0")
            server.wait_for_console_text(f"bench console {name} begins")

    waits = {
        "unit": lambda name, port: server.wait_for_unit(f"bench@{name}.service"),
        "file": lambda name, port: server.wait_for_file(f"/tmp/bench-{name}"),
        "port": lambda name, port: server.wait_for_open_port(port),
        "socket": lambda name, port: server.wait_for_open_unix_socket(f"/run/bench-{name}.sock"),
        "console": lambda name, port: server.wait_for_console_text(f"bench console {name} over"),
        "console_timeout": lambda name, port: server.wait_for_console_text(
            f"bench console {name} over", timeout=300
        ),
        "tty": lambda name, port: server.wait_until_tty_matches("2", f"bench tty {name} over"),
        "until_succeeds": lambda name, port: server.wait_until_succeeds(f"test -e /tmp/bench-{name}"),
    }

    def became(kind, name):
        """When systemd had the unit active, by the guest's clock: no wait for it can be over before."""
        if kind != "unit":
            return None
        shown = server.succeed(f"systemctl show --property ActiveEnterTimestampMonotonic --value bench@{name}")
        return int(shown) / 1e6

    waits = {kind: wait for kind, wait in waits.items() if kind in (plan["kinds"] or waits)}
    returned = []
    for number in range(plan["waits"]):
        for index, (kind, wait) in enumerate(waits.items()):
            name = f"{kind}-{number:03}"
            port = 20000 + 100 * index + number
            prepare(kind, name)
            # As wide as the second that a polling driver sleeps, so that the event meets each moment of it.
            pause = chance.uniform(0.3, 1.3)
            server.succeed(f"echo {kind} {name} {pause:.3f} {port} >/run/bench-orders")
            try:
                wait(name, port)
                at = now()
                returned.append({"kind": kind, "name": name, "at": at, "became": became(kind, name)})
            except Exception as error:
                result["errors"][f"wait {kind}"] = told(error)
    return returned


MIB = 1024 * 1024
copies = {}
result["copies"] = copies


@section("copy_small_via_shell")
def _():
    # What fits into one command's arguments, which is where the shell's way ends for some drivers.
    small = work / "small"
    small.write_bytes(chance.randbytes(64 * 1024))
    copies["small_via_shell"] = [
        1 / 16 / seconds(lambda: server.copy_from_host_via_shell(str(small), f"/tmp/small-{number}"))
        for number in range(plan["small_copies"])
    ]
    server.succeed("rm /tmp/small-*")


size = plan["copy_mib"]
big = work / "big"
# In pieces: the memory of the script's process is counted.
with big.open("wb") as file:
    for _ in range(size):
        file.write(chance.randbytes(MIB))


@section("copy_via_shell")
def _():
    # A driver that would take minutes, by the rate that it had with small files, is not asked.
    rate = max(copies.get("small_via_shell", [0]))
    if size / max(rate, 0.001) > plan["copy_limit"]:
        raise RuntimeError(f"not tried: {size} MiB would take too long at the rate of small files")
    copies["via_shell"] = [size / seconds(lambda: server.copy_from_host_via_shell(str(big), "/tmp/big-shell"))]
    server.succeed("rm /tmp/big-shell")


@section("copy")
def _():
    copy_out = getattr(server, "copy_from_machine", None) or server.copy_from_vm
    copies["from_host"] = [size / seconds(lambda: server.copy_from_host(str(big), "/tmp/big-copy"))]
    copies["from_machine"] = [size / seconds(lambda: copy_out("/tmp/big-copy", "copies"))]
    if not filecmp.cmp(Path(plan["out"]) / "copies/big-copy", big, shallow=False):
        raise RuntimeError("the file came back with other bytes")


@section("snapshots")
def _():
    """Of the guest as it is now, and from there to the end of the first command. Not every driver has them."""
    found = {"save": [], "restore": []}
    if not hasattr(server, "snapshot"):
        return found

    def begin_again(name):
        server.restore(name)
        server.succeed("true")

    for n in range(plan["snapshots"]):
        name = f"bench-{n}"
        found["save"].append(seconds(lambda: server.snapshot(name)))
        server.crash()
        found["restore"].append(seconds(lambda: begin_again(name)))
    return found


for name in ("copy_small_via_shell", "copy_via_shell", "copy"):
    result.pop(name, None)
Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(result))
