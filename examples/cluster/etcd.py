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


def configure(node):
    own = {
        "NAME": node.name,
        "INITIAL_ADVERTISE_PEER_URLS": f"http://{node.name}:2380",
        "ADVERTISE_CLIENT_URLS": f"http://{node.name}:2379",
    }
    lines = [f"ETCD_{key}={value}" for key, value in (settings | own).items()]
    node.succeed("cat >/etc/default/etcd <<'END'\n" + "\n".join(lines) + "\nEND")


def put(node, value):
    node.succeed(f"etcdctl --command-timeout 60s put colour {value}")


def wait_for_value(node, value):
    node.wait_until_succeeds(f"etcdctl get --print-value-only colour | grep --quiet --line-regexp {value}", timeout=180)


def leader_among(candidates):
    """The one of them that all of them follow, as soon as they do."""
    leader = None

    def agreed(last_try):
        nonlocal leader
        members, leaders = {}, set()
        for node in candidates:
            status, text = node.execute("etcdctl endpoint status --write-out json")
            if status != 0:
                return None
            state = json.loads(text)[0]["Status"]
            members[state["header"]["member_id"]] = node
            leaders.add(state.get("leader"))
        leader = members.get(leaders.pop()) if len(leaders) == 1 else None
        return leader

    retry(agreed, timeout=180)
    return leader


start_all()
for node in nodes:
    configure(node)
for node in nodes:
    # It counts as started when it has found the others.
    node.succeed("systemctl start --no-block etcd")
for node in nodes:
    node.wait_for_unit("etcd")

with subtest("what one node is told, all know"):
    put(etcd1, "green")
    for node in nodes:
        wait_for_value(node, "green")

with subtest("the leader dies, and the others go on"):
    dead = leader_among(nodes)
    # The image's file system has no journal.
    dead.succeed("sync")
    dead.crash()
    rest = [node for node in nodes if node is not dead]
    put(leader_among(rest), "red")

with subtest("it comes back, and learns what it has missed"):
    dead.start()
    dead.succeed("systemctl start etcd")
    wait_for_value(dead, "red")

with subtest("a leader that is cut off loses its office, and cannot write"):
    old = leader_among(nodes)
    majority = [node for node in nodes if node is not old]
    with vlan1.partition([old], majority):
        put(leader_among(majority), "blue")
        old.fail("etcdctl --command-timeout 5s put colour black")

with subtest("healed, all know the same, and nothing of what was refused"):
    for node in nodes:
        wait_for_value(node, "blue")
