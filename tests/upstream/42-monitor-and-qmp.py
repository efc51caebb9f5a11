# QEMU's own languages.
server.start()
print(server.send_monitor_command("info status").splitlines()[-2].strip())
print(server.qmp_client.send("query-status")["return"]["status"])
server.qmp_client.send("stop")
server.qmp_client.send("cont")
print([event["event"] for event in server.qmp_client.events() if event["event"] in ("STOP", "RESUME")])
server.qmp_client.send("input-send-event", {"events": []})
try:
    server.qmp_client.send("nonsense")
except Exception as error:
    print(type(error).__name__, "CommandNotFound" in str(error))
server.forward_port(0, 80)
server.succeed("true")
with subtest("a file that there is not"):
    open("/nowhere/file")
