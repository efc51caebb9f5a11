# Units: waits, states, properties, jobs.
server.start()
server.wait_for_unit("multi-user.target")
server.require_unit_state("systemd-networkd.service")
print(server.get_unit_info("dbus.socket")["ActiveState"])
print(server.get_unit_property("backdoor.service", "LoadState"))
print(server.systemctl("is-active nothing.service"))
server.succeed("systemd-run --unit=fleeting --remain-after-exit true")
server.wait_for_unit("fleeting.service")
print(server.stop_job("fleeting.service"))
for attempt in (
    lambda: server.wait_for_unit("no-such.service"),
    lambda: server.require_unit_state("no-such.service", "active"),
    lambda: server.require_unit_state("dbus.socket", "inactive"),
):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__, error)
server.execute("systemd-run --unit=broken --service-type=exec false")
server.wait_until_succeeds("systemctl is-failed broken.service")
with subtest("a unit that has failed"):
    server.wait_for_unit("broken.service")
