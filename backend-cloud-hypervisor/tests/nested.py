"""Runs commands in a machine that has a KVM of its own. `cargo xtask test-cloud-hypervisor` starts this, and
`cargo xtask bench snapshots --nested`."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

# A translated machine inside a translated machine takes its time.
LIMIT = 3600
WORKERS = 2

host.wait_for_unit("multi-user.target")
host.succeed(
    "modprobe kvm_amd || modprobe kvm_intel",
    # Machines keep their snapshots there; what is not used is not taken.
    "mount -o remount,size=3G /run",
    # Sockets need a file system of the guest's own, and short paths.
    "mkdir -p /run/t/cache /run/t/out",
    "ln -s /tmp/images /run/t/cache/images",
)
settings = "PATH=/tmp/given:$PATH TMPDIR=/run/t INNKEEPER_CACHE=/run/t/cache CLOUD_HYPERVISOR=/tmp/given/cloud-hypervisor"


def run(command):
    return host.execute(f"cd /run/t && export {settings} && {command}", timeout=LIMIT)


# Each keeps about one processor busy.
failed = []
commands = json.loads(os.environ["NESTED_COMMANDS"])
with ThreadPoolExecutor(max_workers=WORKERS) as pool:
    running = [(name, pool.submit(run, command)) for name, command in commands]
    for name, ends in running:
        with subtest(name):
            status, output = ends.result()
            print(output)
            if status != 0:
                failed.append(name)
host.copy_from_machine("/run/t/out")
assert not failed, failed
