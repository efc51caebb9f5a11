//! Files between host and guest: trees and large files, both ways, with the agent and through the plain shell.

use integration_tests::{Setup, need_vm};

/// A round trip of what file systems have, and what cannot be copied.
const SCRIPT: &str = r##"
import os, socket, stat

start_all()
tree = f"{server.state_dir}/tree"
os.makedirs(f"{tree}/empty")
os.makedirs(f"{tree}/inner/deep")
odd = b"-odd \xff\n'\"name"
with open(os.path.join(os.fsencode(tree), odd), "wb") as file:
    file.write(b"odd")
open(f"{tree}/zero", "w").close()
random = os.urandom(3_000_001)
with open(f"{tree}/inner/deep/random", "wb") as file:
    file.write(random)
os.chmod(f"{tree}/inner/deep/random", 0o640)
with open(f"{tree}/run", "w") as file:
    file.write("#!/bin/sh\necho it runs\n")
os.chmod(f"{tree}/run", 0o755)
os.link(f"{tree}/run", f"{tree}/inner/same")
os.symlink("/nowhere", f"{tree}/dangling")
os.symlink("inner", f"{tree}/link")
with open(f"{tree}/sparse", "wb") as file:
    file.seek(1 << 30)
    file.write(b"end")
server_socket = socket.socket(socket.AF_UNIX)
server_socket.bind(f"{tree}/socket")
out = server.out_dir

with subtest("a tree goes there and comes back"):
    server.copy_from_host(tree, "/root/new/tree it's")
    server.succeed("cd /root/new/*; test -z \"$(ls empty)\"; test ! -s zero; ./run; test inner/same -ef run")
    assert server.succeed("readlink /root/new/*/dangling /root/new/*/link") == "/nowhere\ninner\n"
    assert server.succeed("stat -c %a:%u:%g /root/new/*/inner/deep/random") == "640:0:0\n"
    assert server.succeed("stat -c %s /root/new/*/sparse") == f"{(1 << 30) + 3}\n"
    assert int(server.succeed("du -k /root/new/*/sparse | cut -f1")) < 1024
    server.succeed("cd /root/new/*; mkfifo pipe; chmod 500 inner")
    server.copy_from_machine("/root/new/tree it's", "back")
    back = f"{out}/back/tree it's"
    assert open(f"{back}/inner/deep/random", "rb").read() == random
    assert open(os.path.join(os.fsencode(back), odd), "rb").read() == b"odd"
    assert os.stat(f"{back}/run").st_ino == os.stat(f"{back}/inner/same").st_ino
    assert stat.S_IMODE(os.stat(f"{back}/inner").st_mode) == 0o500
    assert os.readlink(f"{back}/dangling") == "/nowhere"
    assert os.listdir(f"{back}/empty") == [] and os.path.getsize(f"{back}/zero") == 0
    sparse = os.stat(f"{back}/sparse")
    assert sparse.st_size == (1 << 30) + 3 and sparse.st_blocks * 512 < 1 << 20
    assert not os.path.lexists(f"{back}/pipe") and not os.path.lexists(f"{back}/socket")

with subtest("single files"):
    server.copy_from_host(f"{tree}/sparse", "/root/holes")
    assert int(server.succeed("du -k /root/holes | cut -f1")) < 1024
    server.copy_from_machine("/root/holes", "single")
    sparse = os.stat(f"{out}/single/holes")
    assert sparse.st_size == (1 << 30) + 3 and sparse.st_blocks * 512 < 1 << 20
    server.copy_from_host(f"{tree}/run", "/root")
    server.succeed("/root/run")
    server.copy_from_host_via_shell(f"{tree}/run", "/root/deep/er/run")
    assert server.succeed("stat -c %a /root/deep/er/run") == "644\n"
    server.copy_from_machine("/proc/version", "single")
    assert open(f"{out}/single/version").read() == server.succeed("cat /proc/version")
    server.copy_from_machine("/root/run", "single")
    server.copy_from_machine("/root/run", "single")
    assert stat.S_IMODE(os.stat(f"{out}/single/run").st_mode) == 0o755

def refused(words, copy, *arguments):
    try:
        copy(*arguments)
    except Exception as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"{arguments} was copied")

with subtest("what cannot be is told in the guest's words"):
    server.succeed("mkdir /small; mount -t tmpfs -o size=1m small /small; echo x >/root/file")
    refused("No space left on device", server.copy_from_host, f"{tree}/inner/deep/random", "/small/x")
    server.succeed("rm -f /small/x")
    refused("No space left on device", server.copy_from_host, f"{tree}/inner", "/small/x")
    refused("No space left on device", server.copy_from_host_via_shell, f"{tree}/inner/deep/random", "/small/y")
    refused("File exists", server.copy_from_host, f"{tree}/run", "/root/file/below")
    refused("No such file or directory", server.copy_from_machine, "/nonexistent")
    refused("neither a file nor a directory", server.copy_from_machine, "/dev/null")
    refused("cannot be read", server.copy_from_host, "nonexistent", "/root/x")
    server.succeed("test -z \"$(ls -d /tmp/innkeeper.* 2>/dev/null)\"")
"##;

crate::both!(trees_and_files_with_the_agent, trees_and_files_through_the_plain_shell, trees_and_files);

fn trees_and_files(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    Setup::new(&crate::machine("base"), SCRIPT).args(arguments).run().assert_status(0);
}
