# What start scripts find in their environment.
import pathlib

server.start()
here = pathlib.Path(os.readlink(f"/proc/{server.process.pid}/cwd"))
print(here == server.state_dir)
environment = pathlib.Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
values = dict(item.decode().split("=", 1) for item in environment if b"=" in item)
print(values["USE_TMPDIR"], values["TMPDIR"] == str(server.state_dir), values["SHARED_DIR"] == str(server.shared_dir))
server.wait_for_unit("multi-user.target")
print("told.by=environment" in server.succeed("cat /proc/cmdline"))
devices = server.qmp_client.send("qom-list", {"path": "/machine/peripheral"})["return"]
print(any(device["name"] == "from-the-environment" for device in devices))
print(sorted(path.name for path in server.state_dir.iterdir() if path.suffix == ".qcow2"))
print(server.monitor_path.name, server.shell_path.name, server.process.poll())
