# Files in and out, folders too.
import pathlib

pathlib.Path("file").write_text("from the host\n")
pathlib.Path("folder/inner").mkdir(parents=True)
pathlib.Path("folder/inner/deep").write_text("deep\n")
server.copy_from_host("file", "/root/new/file")
server.copy_from_host("folder", "/root/folder")
server.copy_from_host_via_shell("file", "/root/by-shell/file")
print(server.succeed("cat /root/new/file /root/folder/inner/deep /root/by-shell/file"), end="")
server.succeed("mkdir -p /root/out/below; echo from the guest >/root/out/below/text")
server.copy_from_vm("/root/out/below/text")
server.copy_from_vm("/root/out", "copies")
out = driver.out_dir
print((out / "text").read_text(), (out / "copies/out/below/text").read_text(), end="")
server.succeed("echo shared >/tmp/shared/by-hand")
print((server.shared_dir / "by-hand").read_text(), end="")
try:
    server.copy_from_vm("/root/nothing")
except AssertionError:
    print("there is nothing to copy")
