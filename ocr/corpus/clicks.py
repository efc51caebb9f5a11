"""Two terminals under X: one is waited for by its text, found, clicked, and typed into. No screenshots are kept."""

import shlex
import statistics
import time

# The line that a terminal shows, what it asks, and the file in which it keeps the answer.
TERMINALS = {
    "left": ("+60+80", "Which host shall be backed up?", "-fa 'DejaVu Sans Mono' -fs 11 -bg white -fg black"),
    "right": ("+660+300", "Mount /dev/sdb2 read-only [yes/no]", "-fn 9x15 -bg '#002200' -fg '#55ff55'"),
}


def spawn(command):
    server.succeed(f"cd /tmp; DISPLAY=:0 HOME=/root setsid -f sh -c {shlex.quote(command)} >>/tmp/spawned.log 2>&1")


def lag():
    """How far the guest's clock is ahead of ours."""
    return min(float(server.succeed("date +%s.%N")) - time.time() for _ in range(5))


server.start()
server.succeed("modprobe bochs; udevadm settle; echo 1 >/proc/sys/kernel/printk")
server.succeed("fc-cache -s", timeout=600)
spawn("Xorg :0 vt7 -s 0 -dpms -nolisten tcp -noreset")
server.wait_until_succeeds("DISPLAY=:0 xdpyinfo", timeout=120)
spawn("openbox")
server.wait_until_succeeds("DISPLAY=:0 xprop -root _NET_SUPPORTING_WM_CHECK | grep window", timeout=120)
for name, (place, text, style) in TERMINALS.items():
    ask = f"echo {shlex.quote(text)}; read answer; echo $answer >/tmp/{name}; sleep 1000"
    spawn(f"xterm -T {name} {style} -geometry 60x12{place} -e sh -c {shlex.quote(ask)}")

with subtest("the text is waited for and found where it stands"):
    for name, (place, text, _) in TERMINALS.items():
        pattern = text.replace("?", r"\?").replace("[", r"\[")
        server.wait_for_text(pattern, timeout=240)
        # It moves until the window manager has placed it.
        server.wait_still_screen(2, timeout=120)
        (found,) = server.find_text(pattern)
        x, y = map(int, place.split("+")[1:])
        assert x <= found["x"] < x + 40 and y <= found["y"] < y + 60, (name, found)

with subtest("it is clicked, and what is typed goes there"):
    for name, answer in (("right", "yes"), ("left", "db-17.example")):
        text = TERMINALS[name][1].split()[1]
        server.click_text(text)
        server.send_chars(answer + "\n")
        server.wait_for_file(f"/tmp/{name}", timeout=60)
        assert server.succeed(f"cat /tmp/{name}") == answer + "\n"
        server.wait_for_text(answer.replace(".", r"\."), timeout=60)

with subtest("a wait in vain says what was read"):
    try:
        server.wait_for_text("Restore the backup", timeout=2)
    except Exception as error:
        message = str(error)
    else:
        raise AssertionError("there is no such text")
    assert "last seen" in message and "Which host shall be backed up?" in message, message
    print(message)

with subtest("text is seen soon after it was written"):
    spawn("xterm -T log -fa 'DejaVu Sans Mono' -fs 11 -geometry 60x8+60+520 -e sh -c 'tty >/tmp/tty; sleep 1000'")
    tty = server.wait_until_succeeds("cat /tmp/tty", timeout=60).strip()
    server.wait_still_screen(2, timeout=120)
    late = []
    for number in range(8):
        ahead = lag()
        write = f"(sleep 2; date +%s.%N >/tmp/when; echo 'Step {number} is done.' >{tty})"
        server.execute(write, check_output=False)
        server.wait_for_text(f"Step {number} is done", timeout=60)
        late.append(time.time() + ahead - float(server.succeed("cat /tmp/when")))
    print("seen %.0f ms after it was written (median; %s)" % (
        statistics.median(late) * 1e3, ", ".join("%.0f" % (one * 1e3) for one in late)))
