"""Screenshots of windows, each with the truth beside it: the lines of text that the programs were given."""

import base64
import random
import shlex
import tempfile

NOTES = """Dear visitor, please sign the book: 24 Oct 2031, 17:45.
Invoice #40718-B, due 1,299.50 EUR; VAT 19 % included (net 1,092.02)
if (x[i] != y->z && ~mask) { return "a|b\\n"; } else l1 = I1 + O0;
https://test.example:8443/a/b-c_d?q=1&r=%7Efoo#top <root@localhost>
/var/lib/jobs/7f3c9e_21.log: 3 errors, 12 warnings; elapsed 0:07.31
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich
Voilà l'été à Besançon: «garçon», señor Núñez, smørrebrød, ¿qué?
WARNING: disk /dev/sdb2 is 97% full [retry in 30s] @ node-17"""

FRAMES = """┌─────────┤ Choose a mirror ├──────────┐
│ Protocol   Host                      │
│ https      deb.test.example          │
│ ftp        mirror-2.test.example     │
├──────────────────────────────────────┤
│      <Cancel>          <Accept>      │
└──────────────────────────────────────┘
/srv/backup
├── 2031-10-24.tar.gz
│   ├── manifest.json
│   └── volume_01.img
└── latest
╔══════════╦════════╗
║ Node     ║ Memory ║
╠══════════╬════════╣
║ node-17  ║ 64 GiB ║
║ node-18  ║ 48 GiB ║
╚══════════╩════════╝"""

FONTS = [
    ("fixed", "-fn fixed"),
    ("6x13", "-fn 6x13"),
    ("7x14", "-fn 7x14"),
    ("9x15", "-fn 9x15"),
    ("10x20", "-fn 10x20"),
    ("terminus-20", "-fn -xos4-terminus-medium-r-normal--20-200-72-72-c-100-iso10646-1"),
    ("dejavu-8", "-fa 'DejaVu Sans Mono' -fs 8"),
    ("dejavu-11", "-fa 'DejaVu Sans Mono' -fs 11"),
    ("dejavu-16", "-fa 'DejaVu Sans Mono' -fs 16"),
    ("liberation-10", "-fa 'Liberation Mono' -fs 10"),
    ("liberation-14", "-fa 'Liberation Mono:bold' -fs 14"),
    ("hack-12", "-fa Hack -fs 12"),
]
COLOURS = [
    ("light", "-bg white -fg black"),
    ("dark", "-bg black -fg gray90"),
    ("green", "-bg '#002200' -fg '#55ff55'"),
    ("paper", "-bg '#fdf6e3' -fg '#586e75'"),
]

DIALOGS = {
    "question": (
        "yad --title='Unsaved work' --image=dialog-question --text='Save changes to report-2031.odt before closing?'"
        " --button='Discard:1' --button='Keep editing:2' --button='Save now:0'",
        ["Unsaved work", "Save changes to report-2031.odt before closing?", "Discard", "Keep editing", "Save now"],
    ),
    "form": (
        "yad --title='New account' --form --field='Login name' alice --field='Full name' 'Alice Müller'"
        " --field='Home directory' /home/alice --field='Shell:CB' '/bin/bash!/bin/zsh'"
        " --field='Lock after 90 days:CHK' TRUE --button=Cancel:1 --button=Create:0",
        ["New account", "Login name", "alice", "Full name", "Alice Müller", "Home directory", "/home/alice", "Shell",
         "/bin/bash", "Lock after 90 days", "Cancel", "Create"],
    ),
    "list": (
        "yad --title=Packages --width=420 --height=260 --list --column=Package --column=Version --column=Size"
        " zlib1g 1:1.3.1 '162 kB' nginx-light 1.26.3-3 '598 kB' busybox 1:1.37.0-6 '951 kB' --button=Close:0",
        ["Packages", "Package", "Version", "Size", "zlib1g", "1:1.3.1", "162 kB", "nginx-light", "1.26.3-3", "598 kB",
         "busybox", "1:1.37.0-6", "951 kB", "Close"],
    ),
    "xmessage": (
        "xmessage -center -buttons 'Retry,Abort' 'Cannot open display manager socket\n(errno 111: connection refused)'",
        ["Cannot open display manager socket", "(errno 111: connection refused)", "Retry", "Abort"],
    ),
}

PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>Guestbook of test.example</title></head>
<body style="font-family: sans-serif"><h1>Guestbook</h1>
<p>Welcome! 1,024 people have signed since 3 March 2029.</p>
<table border="1"><tr><th>Name</th><th>City</th><th>Rating</th></tr>
<tr><td>Jörg Weiß</td><td>Köln</td><td>4.5/5</td></tr><tr><td>Zoë O'Hara</td><td>Dublin</td><td>3/5</td></tr></table>
<p><a href="x">Sign the guestbook</a> or <b>read the rules</b> first; <i>be kind</i>.</p>
<pre>GET /api/v2/entries?limit=50 HTTP/1.1</pre><form><input type="submit" value="Send entry"></form></body></html>
"""
PAGE_LINES = [
    "Guestbook", "Welcome! 1,024 people have signed since 3 March 2029.", "Name", "City", "Rating", "Jörg Weiß",
    "Köln", "4.5/5", "Zoë O'Hara", "Dublin", "3/5", "Sign the guestbook", "read the rules",
    "GET /api/v2/entries?limit=50 HTTP/1.1", "Send entry",
]


def put(path, text):
    server.succeed(f"mkdir -p $(dirname {path})")
    server.succeed(f"base64 -d >{path} <<'END'\n{base64.b64encode(text.encode()).decode()}\nEND")


def spawn(command):
    server.succeed(f"cd /tmp; DISPLAY=:0 HOME=/root setsid -f sh -c {shlex.quote(command)} >>/tmp/spawned.log 2>&1")


def wait_for_window(pattern, count=1):
    server.wait_until_succeeds(
        f"test $(DISPLAY=:0 xdotool search --onlyvisible {pattern} | wc -l) -ge {count}", timeout=240
    )


def still(name):
    """A screenshot of a screen on which nothing moves any more."""
    last = None
    for _ in range(60):
        server.succeed("sleep 2")
        server.screenshot(name)
        with open(f"{server.out_dir}/{name}.png", "rb") as file:
            now = file.read()
        if now == last:
            return
        last = now
    raise Exception("the screen does not stand still")


def keep(name, lines):
    still(name)
    with open(f"{server.out_dir}/{name}.txt", "w") as file:
        file.write("\n".join(lines) + "\n")


def close(pattern):
    server.execute(f"pkill -f {shlex.quote(pattern)}")
    server.wait_until_fails(f"pgrep -f {shlex.quote(pattern)}")


def terminals():
    put("/tmp/notes.txt", NOTES)
    lines = NOTES.split("\n")
    dice = random.Random(1)
    for font, arguments in FONTS:
        for colour, colours in dice.sample(COLOURS, 2):
            spawn(f"xterm -T {font} {arguments} {colours} -u8 +sb -geometry 72x12+30+40 -e 'cat /tmp/notes.txt; sleep 1000'")
            wait_for_window("--class xterm")
            keep(f"xterm-{font}-{colour}", lines)
            close("[x]term -T")
    put("/tmp/frames.txt", FRAMES)
    for (font, arguments), (_, colours) in zip([FONTS[5], FONTS[7], FONTS[9]], COLOURS[1:]):
        spawn(f"xterm -T {font} {arguments} {colours} -u8 +sb -geometry 72x20+30+40 -e 'cat /tmp/frames.txt; sleep 1000'")
        wait_for_window("--class xterm")
        keep(f"xterm-frames-{font}", FRAMES.split("\n"))
        close("[x]term -T")


def wallpaper(kind):
    """A picture of 640x400 pixels: an even gradient, or patches of all sizes as in a photograph."""
    dice = random.Random(kind)
    layers = [(step, {}) for step in (160, 80, 40, 20, 10, 4)]

    def height(x, y, step, corners):
        def corner(column, row):
            return corners.setdefault((column, row), dice.random())

        column, row, right, down = x // step, y // step, x % step / step, y % step / step
        upper = corner(column, row) * (1 - right) + corner(column + 1, row) * right
        lower = corner(column, row + 1) * (1 - right) + corner(column + 1, row + 1) * right
        return upper * (1 - down) + lower * down

    data = bytearray()
    for y in range(400):
        for x in range(640):
            if kind == "gradient":
                value = (x + y) / 1040
            else:
                value = sum(height(x, y, step, corners) * step for step, corners in layers) / 314
            data += bytes((int(40 + 120 * value), int(60 + 150 * value * value), int(200 - 150 * value)))
    return b"P6\n640 400\n255\n" + bytes(data)


def wallpapers():
    put("/tmp/notes.txt", NOTES)
    for kind in ("gradient", "photo"):
        with tempfile.NamedTemporaryFile(suffix=".ppm") as file:
            file.write(wallpaper(kind))
            file.flush()
            server.copy_from_host(file.name, f"/tmp/{kind}.ppm")
        for size in (14, 22):
            # Light text with a dark shadow.
            spawn(
                "feh --fullscreen --zoom fill --hide-pointer --fontpath /usr/share/fonts/truetype/dejavu"
                f" --font DejaVuSans/{size} --info 'cat /tmp/notes.txt' /tmp/{kind}.ppm"
            )
            wait_for_window("--class feh")
            keep(f"wall-{kind}-{size}", NOTES.split("\n"))
            close("[f]eh --full")
        # Windows before it.
        spawn(f"feh --bg-fill /tmp/{kind}.ppm")
        command, lines = DIALOGS["form"]
        spawn(command)
        wait_for_window("--class yad")
        keep(f"wall-{kind}-form", lines)
        close("[y]ad --")


def dialogs(prefix):
    for name, (command, lines) in DIALOGS.items():
        spawn(command)
        wait_for_window("--name '.'" if name == "xmessage" else "--class yad")
        keep(f"{prefix}-{name}", [line for line in lines])
        close("[y]ad --" if name != "xmessage" else "[x]message -center")


server.start()
server.succeed("modprobe bochs; udevadm settle; echo 1 >/proc/sys/kernel/printk")
server.succeed("fc-cache -s", timeout=600)
spawn("Xorg :0 vt7 -s 0 -dpms -nolisten tcp -nocursor -noreset")
server.wait_until_succeeds("DISPLAY=:0 xdpyinfo", timeout=120)
server.succeed("DISPLAY=:0 xsetroot -solid '#3a6ea5'")
terminals()
spawn("openbox")
server.wait_until_succeeds("DISPLAY=:0 xprop -root _NET_SUPPORTING_WM_CHECK | grep window")
dialogs("gtk")

put("/root/notes.txt", NOTES)
spawn("featherpad /root/notes.txt")
wait_for_window("--class featherpad")
keep("qt-editor", ["File", "Edit", "Options", "Search", "Help", *NOTES.split("\n")])
close("[f]eatherpad")

put("/root/page.html", PAGE)
spawn("netsurf-gtk3 file:///root/page.html || netsurf-gtk file:///root/page.html || netsurf file:///root/page.html")
wait_for_window("--class netsurf")
keep("web-page", PAGE_LINES)
close("[n]etsurf")

wallpapers()
close("[o]penbox")
# What moves by itself would never be still.
put("/root/.icewm/preferences", "".join(f"TaskBarShow{part}=0\n" for part in ["Clock", "CPUStatus", "NetStatus", "MEMStatus"]))
spawn("icewm")
server.wait_until_succeeds("DISPLAY=:0 xprop -root _NET_SUPPORTING_WM_CHECK | grep window")
spawn("xterm -T 'Build log' -fa 'DejaVu Sans Mono' -fs 10 -geometry 72x12+400+60 -e 'cat /tmp/notes.txt; sleep 1000'")
wait_for_window("--class xterm")
keep("icewm-window", ["Build log", *NOTES.split("\n")])
# The button at the left end of the task bar opens the menu.
before = server.mark_screen()
server.succeed("DISPLAY=:0 xdotool mousemove 25 787 click 1")
server.wait_screen_change(before)
MENU = "Terminal Development Network System Utility Monitors Toolbar Programs Windows Settings Logout..."
keep("icewm-menu", ["Build log", *NOTES.split("\n"), *MENU.split()])
