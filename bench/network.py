"""What a network lets through between two guests. `cargo xtask bench network` runs this on several networks."""

import json
import os
import pathlib

plan = json.loads(os.environ["BENCH_PLAN"])
MAC = {"one": "52:54:00:12:01:01", "two": "52:54:00:12:01:02"}
ADDRESS = {"one": "192.168.1.1", "two": "192.168.1.2"}


def address_by_hand(machine):
    """What innkeeper does on its own VLANs."""
    found = machine.wait_until_succeeds(f"grep -l {MAC[machine.name]} /sys/class/net/*/address")
    card = found.split("/")[4]
    machine.succeed(f"ip address add {ADDRESS[machine.name]}/24 dev {card}", f"ip link set {card} up")


def ticks(stat):
    """User and kernel time, in a process's or a thread's `stat` (proc(5))."""
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def comm(thread):
    try:
        return (thread / "comm").read_text().strip()
    except OSError:
        # It has ended meanwhile: the driver's threads come and go.
        return ""


def switch_seconds():
    """The processor time that the switch has taken so far; `None` where there is no switch."""
    if plan["switch_pid"]:
        used = ticks(pathlib.Path(f"/proc/{plan['switch_pid']}/stat"))
    elif plan["switch_thread"]:
        threads = pathlib.Path(f"/proc/{os.getppid()}/task").iterdir()
        ours = [thread for thread in threads if comm(thread) == plan["switch_thread"]]
        assert ours, f"the driver has no thread {plan['switch_thread']}"
        used = sum(ticks(thread / "stat") for thread in ours)
    else:
        return None
    return used / os.sysconf("SC_CLK_TCK")


def iperf(options):
    client = f"iperf3 --client {ADDRESS['two']} --time {plan['seconds']} --json {options}"
    return json.loads(one.succeed(client, timeout=plan["seconds"] + 60))["end"]


def tcp():
    before = switch_seconds()
    received = iperf("")["sum_received"]
    after = switch_seconds()
    gib = received["bytes"] / 2**30
    figures = {"tcp_mib_per_second": received["bits_per_second"] / 8 / 2**20}
    if before is not None:
        figures["cpu_seconds_per_gib"] = (after - before) / gib
    return figures


def small_frames():
    """The smallest frames that Ethernet has: 64 bytes with the checksum, of which UDP can fill 18."""
    end = iperf("--udp --bitrate 0 --length 18")["sum"]
    arrived = end["packets"] - end["lost_packets"]
    return {"frames_per_second": arrived / end["seconds"]}


def ping():
    count = plan["pings"]
    answers = one.succeed(f"ping -i 0.02 -c {count} {ADDRESS['two']}", timeout=60 + count)
    times = [float(line.split("time=")[1].split()[0]) for line in answers.splitlines() if "time=" in line]
    return {"ping_ms": times}


# One after the other: a bare pair of sockets needs somebody who listens.
two.start()
one.start()
for machine in (one, two):
    machine.wait_for_unit("multi-user.target")
    if plan["address_by_hand"]:
        address_by_hand(machine)
two.succeed("systemd-run --quiet iperf3 --server")
two.wait_for_open_port(5201)
one.wait_until_succeeds(f"ping -c 1 -W 1 {ADDRESS['two']}")

figures = {}
for _ in range(plan["repeats"]):
    for measure in (tcp, small_frames, ping):
        for name, value in measure().items():
            figures.setdefault(name, []).extend(value if isinstance(value, list) else [value])
pathlib.Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(figures))
