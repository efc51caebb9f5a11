"""What host and guest write, the other one reads, also when the guest goes on from a snapshot."""

shared = server.state_dir.parent / "shared-xchg"


def is_shared(word):
    (shared / "from-host").write_text(f"{word} to guest\n")
    assert server.succeed("cat /tmp/shared/from-host") == f"{word} to guest\n"
    server.succeed(f"echo {word} to host >/tmp/shared/from-guest")
    assert (shared / "from-guest").read_text() == f"{word} to host\n"


server.succeed("findmnt -t virtiofs /tmp/shared")
is_shared("first")
server.snapshot("shared")
is_shared("second")
server.restore("shared")
is_shared("third")
