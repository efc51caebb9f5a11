start_all()

for web in (web1, web2):
    web.succeed(f"echo 'served by {web.name}' >/var/www/html/index.html", "systemctl start nginx")
    web.wait_for_open_port(80)

get = "curl --silent --show-error --fail"

with subtest("machines reach each other by name"):
    assert "web1" in client.succeed(f"{get} http://web1")
    assert "web2" in client.succeed(f"{get} http://web2")

with subtest("while one server is cut off, the other one serves"):
    with vlan1.partition([client, web2], [web1]):
        client.fail(f"{get} --max-time 2 http://web1")
        assert "web2" in client.succeed(f"{get} http://web2")
        # The driver does not need the network that it cuts: nginx is well, and is not to blame.
        web1.succeed(f"{get} http://localhost")

with subtest("the cable is whole again"):
    with vlan1.expect_packet("tcp syn and port 80 and from client", timeout=30) as packet:
        assert "web1" in client.succeed(f"{get} http://web1")
    log.info(packet.summary)

with subtest("a slow line is slow"):
    with vlan1.delay(200, between=(client, web2)):
        seconds = float(client.succeed(f"{get} --output /dev/null --write-out '%{{time_connect}}' http://web2"))
        # There and back again.
        assert seconds >= 0.4, seconds
