import json

nodes = [etcd1, etcd2, etcd3]

# The intervals are generous: the host may be slow, and an election that only its slowness caused would be noise.
settings = {
    "LISTEN_PEER_URLS": "http://0.0.0.0:2380",
    "LISTEN_CLIENT_URLS": "http://0.0.0.0:2379",
    "INITIAL_CLUSTER": ",".join(f"{node.name}=http://{node.name}:2380" for node in nodes),
    "HEARTBEAT_INTERVAL": "300",
    "ELECTION_TIMEOUT": "3000",
}


def start_etcd(node):
    own = {
        "NAME": node.name,
        "INITIAL_ADVERTISE_PEER_URLS": f"http://{node.name}:2380",
        "ADVERTISE_CLIENT_URLS": f"http://{node.name}:2379",
    }
    lines = [f"ETCD_{key}={value}" for key, value in (settings | own).items()]
    node.succeed("cat >/etc/default/etcd <<'END'\n" + "\n".join(lines) + "\nEND")
    # It counts as started when it has found the others.
    node.succeed("systemctl start --no-block etcd")


def put(node, key, value):
    node.succeed(f"etcdctl put {key} {value}")


def wait_for_value(node, key, value):
    node.wait_until_succeeds(f"etcdctl get --print-value-only {key} | grep --quiet --line-regexp {value}", timeout=120)


def leader_among(candidates):
    """The one of them that all of them follow."""

    def find(last_try):
        answers = [node.execute("etcdctl endpoint status --write-out json") for node in candidates]
        states = [json.loads(text)[0]["Status"] for status, text in answers if status == 0]
        leaders = {state["leader"] for state in states}
        if len(states) < len(candidates) or len(leaders) != 1:
            return False
        for node, state in zip(candidates, states):
            if state["header"]["member_id"] in leaders:
                found.append(node)
        return bool(found)

    found = []
    retry(find, timeout_seconds=120)
    return found[0]


start_all()
for node in nodes:
    start_etcd(node)
for node in nodes:
    node.wait_for_unit("etcd")

with subtest("what one node is told, all know"):
    put(etcd1, "colour", "green")
    for node in nodes:
        wait_for_value(node, "colour", "green")

with subtest("the leader dies, and the others go on"):
    dead = leader_among(nodes)
    dead.crash()
    rest = [node for node in nodes if node is not dead]
    leader = leader_among(rest)
    put(leader, "colour", "red")

with subtest("it comes back, and learns what it has missed"):
    dead.start()
    start_etcd(dead)
    dead.wait_for_unit("etcd")
    wait_for_value(dead, "colour", "red")

with subtest("a leader that is cut off loses its office, and cannot write"):
    old = leader_among(nodes)
    majority = [node for node in nodes if node is not old]
    vlan1.partition([old], majority)
    new = leader_among(majority)
    put(new, "colour", "blue")
    old.fail("etcdctl --command-timeout 5s put colour black")

with subtest("healed, it follows the new leader, and nothing of what it was refused is there"):
    vlan1.heal()
    wait_for_value(old, "colour", "blue")
    assert leader_among(nodes) is not old
