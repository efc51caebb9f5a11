start_all()

server.succeed("echo 'from another hypervisor' >/var/www/html/index.html", "systemctl start nginx")
server.wait_for_open_port(80)

with subtest("the machines reach each other, both ways"):
    assert "another hypervisor" in client.succeed("curl --fail --silent --show-error http://server")
    server.succeed("ping -c 1 -W 5 client")

with subtest("the network between them can be cut like any other"):
    with vlan1.partition([server], [client]):
        client.fail("curl --fail --silent --connect-timeout 2 http://server")
    client.succeed("curl --fail --silent --show-error http://server")
