# machines: client server
# vlans: 1 2
# Only one is started; a second VLAN that only it is on.
client.wait_for_unit("multi-user.target")
client.succeed("ip -4 -o addr show dev eth1 | grep -F 192.168.1.1/24")
with subtest("nobody answers"):
    client.succeed("ping -c 1 -W 1 server")
