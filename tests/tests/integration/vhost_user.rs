//! Machines whose memory the switch reads and writes, beside one that has a socket.

use integration_tests::{Setup, need_vm};

const MACHINES: &str = r#"
[machines.left]
image = "base"
vlans = [1]
allow_reboot = true
[machines.left.qemu]
vlan_port = "vhost-user"

[machines.right]
image = "base"
vlans = [1]
[machines.right.qemu]
vlan_port = "vhost-user"

[machines.other]
image = "base"
vlans = [1]
[machines.other.qemu]
vlan_port = "stream"
"#;

/// Small and large frames go all ways; a card is served again after its guest or its machine was started anew.
const SCRIPT: &str = r#"
def all_ways():
    for one, another in [(left, right), (left, other), (other, right)]:
        one.succeed(f"ping -4 -c 3 -i 0.2 -W 10 {another.name}")

start_all()
for machine in machines:
    machine.wait_for_unit("multi-user.target")
all_ways()
assert {name: port["kind"] for name, port in vlan1.stats().items()} == {
    "left": "vhost-user", "right": "vhost-user", "other": "stream",
}, vlan1.stats()

for machine in machines:
    machine.succeed("ip link set eth1 mtu 9000")
for another in ["right", "other"]:
    left.succeed(f"ping -4 -c 3 -i 0.2 -W 10 -M do -s 8900 {another}")

left.send_monitor_command("system_reset")
left.wait_for_unit("multi-user.target")
all_ways()

right.crash()
right.start()
right.wait_for_unit("multi-user.target")
all_ways()
assert all(port["malformed"] == 0 for port in vlan1.stats().values()), vlan1.stats()
"#;

#[test]
fn guests_that_share_their_memory_hear_each_other_and_others() {
    if need_vm("base").is_some() {
        Setup::new(MACHINES, SCRIPT).machines(3).run().assert_status(0);
    }
}
