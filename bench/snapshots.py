"""What `cargo xtask bench snapshots` runs: a boot, a snapshot of it, and a start from that, in turns."""

import json
import time
from pathlib import Path

plan = json.loads(os.environ["BENCH_PLAN"])
found = {"boot": [], "save": [], "restore": []}


def seconds(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def first_command(begin):
    """From the start of the hypervisor's process to the end of a first command."""
    def work():
        begin()
        server.succeed("true")
    return seconds(work)


for n in range(plan["runs"]):
    found["boot"].append(first_command(server.start))
    server.wait_for_unit("multi-user.target")
    found["save"].append(seconds(lambda: server.snapshot(f"bench-{n}")))
    server.crash()
    found["restore"].append(first_command(lambda: server.restore(f"bench-{n}")))
    server.crash()

Path(os.environ["BENCH_RESULT"]).write_text(json.dumps(found))
