# machines: client server
# vlans: 1
start_all()
for machine in machines:
    machine.wait_for_unit("multi-user.target")
with subtest("they reach each other"):
    client.wait_until_succeeds("ping -c 1 -W 2 server", timeout=120)
    server.succeed("ping -c 1 -W 5 192.168.1.1")
with subtest("a cable is pulled"):
    server.block()
    client.fail("ping -c 1 -W 2 server")
    server.unblock()
    client.wait_until_succeeds("ping -c 1 -W 2 server", timeout=120)
print(vlan1, [vlan.nr for vlan in vlans], os.path.isdir(os.environ["QEMU_VDE_SOCKET_1"]))
client.shutdown()
server.execute("poweroff", check_return=False)
join_all()
