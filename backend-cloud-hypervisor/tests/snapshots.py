"""A machine goes on from its snapshots: with its memory, its disks, and its clock set right."""

import random
import time

nonce = random.randrange(1 << 60)

# A process that keeps a number in its memory and nowhere else, and tells it when it is asked.
server.succeed("mkfifo /run/ask /run/told")
server.succeed(f"(n={nonce}; while read -r word </run/ask; do echo $word $n >/run/told; done) >/dev/null 2>&1 &")


def is_kept(word):
    told = server.succeed(f"timeout 60 bash -c 'echo {word} >/run/ask; cat /run/told'")
    assert told == f"{word} {nonce}\n", (told, nonce)


with subtest("memory and disk come back, and commands answer"):
    server.succeed("echo before >/root/file; sync; echo before >/root/page-cache")
    server.snapshot("fresh")
    is_kept("saved")
    server.succeed("echo after >/root/file; echo after >/root/page-cache; sync; rm /run/ask")
    server.restore("fresh")
    assert server.succeed("cat /root/file /root/page-cache") == "before\nbefore\n"
    is_kept("restored")

with subtest("the clock is right, in a snapshot of a machine that was restored"):
    server.succeed("echo second >/root/file", "date -s @1000000000")
    server.snapshot("second")
    server.restore("fresh")
    assert server.succeed("cat /root/file") == "before\n"
    server.restore("second")
    assert server.succeed("cat /root/file") == "second\n"
    assert abs(int(server.succeed("date +%s")) - time.time()) < 300
    is_kept("twice")

with subtest("the disk that it went on with boots"):
    server.succeed("echo late >/root/file; sync")
    server.shutdown()
    assert server.succeed("cat /root/file") == "late\n"
