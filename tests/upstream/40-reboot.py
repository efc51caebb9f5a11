# The guest restarts itself; its old shell is gone, a new one comes.
server.start(allow_reboot=True)
before = server.succeed("cat /proc/sys/kernel/random/boot_id")
server.reboot()
server.connect()
print(server.succeed("cat /proc/sys/kernel/random/boot_id") == before)
with subtest("by a command"):
    server.succeed("(sleep 1; systemctl reboot) >&2 &")
    server.connected = False
    server.wait_for_unit("multi-user.target")
    print(server.connected)
