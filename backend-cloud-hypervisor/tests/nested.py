"""Runs commands in a machine that has a KVM of its own. `cargo xtask test-cloud-hypervisor` starts this."""

import json
import os

# A translated machine inside a translated machine takes its time.
LIMIT = 3600

host.wait_for_unit("multi-user.target")
host.succeed(
    "modprobe kvm_amd || modprobe kvm_intel",
    # Sockets need a file system of the guest's own, and short paths.
    "mkdir -p /run/t/cache /run/t/out",
    "ln -s /tmp/images /run/t/cache/images",
)
settings = "PATH=/tmp/given:$PATH TMPDIR=/run/t INNKEEPER_CACHE=/run/t/cache CLOUD_HYPERVISOR=/tmp/given/cloud-hypervisor"

failed = []
for name, command in json.loads(os.environ["NESTED_COMMANDS"]):
    with subtest(name):
        status, output = host.execute(f"cd /run/t && export {settings} && {command}", timeout=LIMIT)
        if status != 0:
            failed.append(name)
assert not failed, failed
