"""Screenshots of consoles, each with the truth beside it: what the kernel says is on the screen."""

import base64
import os

POEM = """Größe, Übermut, Äpfel für Jürgen; Straße Nr. 7 (2. Stock) à 12,50 £
El niño comió 3 piñas; ¿dónde está el baño? ¡Ahí! ½ + ¼ = 0.75, 5² = 25
Çà et là, l'élève âgé naïf dîne où il veut: «œuvre» manque, ça va?
The quick brown fox jumps over the lazy dog: 0123456789 | O0 Il1 | rn m | vv w
sphinx of black quartz, judge my vow!  {[(<>)]} ~`^"'_-+=*/\\%$#@&?!.,;:
""".replace("œ", "oe")

CODE = """#include <stdio.h>
int main(int argc, char **argv) {
    for (int i = 0; i < argc; ++i)
        printf("%2d: %s\\n", i, argv[i]);   /* 0x7fffDEADbeef */
    return argc > 1 ? 0 : ~0u & 0xff;
}
$ sha256sum a.out; uuidgen
9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  a.out
3f2504e0-4f89-11d3-9a0c-0305e82c3301
$ git log --oneline | head -3
1a2b3c4 fix: off-by-one in ring_buffer::push()
deadbee docs: say what `--dry-run` does
c0ffee1 ci: pin actions/checkout@v4
"""

TABLE = """┌──────────┬────────┬─────────╖
│ package  │ state  │ size    ║
├──────────┼────────┼─────────╢
│ libc6    │ ii     │  2.9 MB ║
│ openssh  │ rc     │ 14.1 kB ║
╞══════════╪════════╪═════════╡
│ α + Ω ≥ Γ│ ∞ ≈ π  │ √2 ≤ 2² ║
╘══════════╧════════╧═════════╛ ░▒▓ ° µ ± ÷
"""

BOOT = "".join(
    f"[{at * 0.713 + 1.02:12.6f}] {line}\n" if kernel else f"[\033[0;{colour}m{word}\033[0m] {line}\n"
    for at, (kernel, colour, word, line) in enumerate(
        [
            (True, "", "", "Linux version 6.12.0 (gcc 14.2.0) #1 SMP PREEMPT_DYNAMIC"),
            (True, "", "", "BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved"),
            (True, "", "", "usb 1-1: New USB device found, idVendor=0627, idProduct=0001, bcdDevice= 0.00"),
            (False, "32", "  OK  ", "Reached target \033[0;1;39mbasic.target\033[0m - Basic System."),
            (False, "31", "FAILED", "Failed to start \033[0;1;39mnginx.service\033[0m - A web server."),
            (False, "1;33", "DEPEND", "Dependency failed for \033[0;1;39msrv.mount\033[0m - /srv."),
            (True, "", "", "EXT4-fs (vda): mounted filesystem 5b3c-11ef r/w with ordered data mode. Quota: none."),
            (False, "32", "  OK  ", "Started \033[0;1;39mssh.service\033[0m - OpenBSD Secure Shell server."),
        ]
    )
)

COLOURS = "".join(
    "".join(f"\033[{bold};3{ink};4{ground}m T{bold}{ink}{ground}x \033[0m" for ink in range(8) if ink != ground) + "\n"
    for bold in (0, 1)
    for ground in range(8)
)

SHELL = {
    "ls": "ls -la --color=always /etc | head -n $ROOM",
    "units": "systemctl list-units --no-pager --plain | cut -c1-$COLUMNS | head -n $ROOM",
    "passwd": "head -n $ROOM /etc/passwd",
    "ip": "ip addr | head -n $ROOM; df -h | head -n 4",
}

DIALOGS = {
    "msgbox": "--title 'Disk is full' --msgbox 'There are 12 kB left on /dev/vda1.\\nRemove some files?' 9 44",
    "menu": "--backtitle 'Setup 4.2' --menu 'Choose one:' 14 50 5 net 'Network' usr 'Users & groups' tz 'Time zone'"
    " kbd 'Keyboard (pc105)' end 'Write & leave'",
    "checklist": "--checklist 'Features' 13 46 4 a 'IPv6' on b 'zram swap' off c 'SELinux' on d 'Wi-Fi 6E' off",
}


def device(name):
    return base64.b64decode(server.succeed(f"base64 -w0 /dev/{name}1"))


def put(file, text):
    data = base64.b64encode(text.encode()).decode()
    server.succeed(f"base64 -d >{file} <<'END'\n{data}\nEND")


def clear():
    server.succeed("printf '\\033%%G\\033[0m\\033[2J\\033[H' >/dev/tty1")


def write(text):
    put("/dev/tty1", text.replace("\n", "\r\n"))


def keep(name):
    """A picture of the screen, and its text: rows without the blanks at their ends."""
    for _ in range(10):
        before, said = device("vcsa"), device("vcsu")
        server.screenshot(name)
        if device("vcsa") == before:
            break
    else:
        raise Exception("the screen does not stand still")
    columns = before[1]
    told = "".join(chr(int.from_bytes(said[at : at + 4], "little")) for at in range(0, len(said), 4))
    rows = [told[at : at + columns].replace("\xa0", " ").rstrip() for at in range(0, len(told), columns)]
    with open(f"{server.out_dir}/{name}.txt", "w") as file:
        file.write("\n".join(rows).rstrip("\n") + "\n")


def with_text(name, text):
    clear()
    write(text + "root@guest:~# ")
    keep(name)


def with_command(name, command):
    clear()
    rows, columns = device("vcsa")[:2]
    # `head` ends before what it reads does.
    server.succeed(f"set +o pipefail; export ROOM={rows - 8} COLUMNS={columns}; ({command}) >/dev/tty1 2>&1")
    write("root@guest:~# ")
    keep(name)


def with_dialog(name, arguments):
    clear()
    server.succeed(
        "stty -F /dev/tty1 sane; cd /tmp; TERM=linux setsid -f -c dialog "
        f"{arguments} </dev/tty1 >/dev/tty1 2>/dev/null"
    )
    server.wait_until_succeeds("grep -q -a -E '<|OK' /dev/vcs1")
    server.succeed("sleep 2")
    keep(name)
    server.succeed("kill $(pidof dialog) || true; sleep 1")


GRUB = [
    "Debian GNU/Linux, with Linux 6.12.0-amd64",
    "Memory test (memtest86+x64.efi, serial 115200)",
    "Windows 11 (on /dev/nvme0n1p3)",
    "UEFI Firmware Settings",
]


def make_grub():
    """GRUB with its menu in one file, which boots as a kernel does."""
    menu = "set timeout=-1\n" + "".join(f"menuentry '{title}' {{ true; }}\n" for title in GRUB)
    server.succeed("mkdir -p /tmp/grub/boot/grub")
    put("/tmp/grub/boot/grub/grub.cfg", menu)
    server.succeed(
        "tar -cf /tmp/menu.tar -C /tmp/grub boot",
        "grub-mkimage -O i386-pc -m /tmp/menu.tar -p '(memdisk)/boot/grub' -o /tmp/core.img memdisk tar normal test",
        "cat /usr/lib/grub/i386-pc/lnxboot.img /tmp/core.img >/tmp/grub.img",
    )
    image = base64.b64decode(server.succeed("base64 -w0 /tmp/grub.img"))
    with open(f"{os.path.dirname(os.path.abspath(__file__))}/grub.img", "wb") as file:
        file.write(image)


def all_contents(kind):
    with_text(f"{kind}-poem", POEM)
    with_text(f"{kind}-code", CODE)
    with_text(f"{kind}-table", TABLE + POEM)
    with_text(f"{kind}-boot", BOOT)
    with_text(f"{kind}-colours", COLOURS)
    for word, command in SHELL.items():
        with_command(f"{kind}-{word}", command)
    for word, arguments in DIALOGS.items():
        with_dialog(f"{kind}-{word}", arguments)


server.start()
server.wait_until_tty_matches("1", "login:")
server.succeed("echo 1 >/proc/sys/kernel/printk")
device("vcsu")
# Without what the kernel has said in between.
clear()
server.succeed("systemctl restart getty@tty1")
server.wait_until_tty_matches("1", "login: ")
keep("vga-login")
server.succeed("systemctl stop getty@tty1; sleep 1")
all_contents("vga")

server.succeed("modprobe bochs; udevadm settle; sleep 3")
all_contents("fb")

FONTS = [
    "Lat15-Fixed16", "Uni2-Fixed14", "Uni2-Fixed18", "Lat15-VGA8", "Uni2-VGA28x16", "Uni2-Terminus20x10",
    "Lat15-Terminus32x16", "Lat15-TerminusBold22x11", "Uni2-TerminusBold24x12", "Lat15-TerminusBoldVGA16",
]
for number, font in enumerate(FONTS):
    server.succeed(f"setfont -C /dev/tty1 /usr/share/consolefonts/{font}.psf.gz; sleep 1")
    name = "font-" + font.lower()
    # In cells of 8 rows the cursor on a blank is an underscore.
    write("\033[?25l" if font.endswith("VGA8") else "\033[?25h")
    if number % 2:
        with_command(name, "ls -la --color=always /etc | head -n $((ROOM / 2))")
    else:
        # Fonts for the Latin alphabet have no Greek.
        with_text(name, CODE + POEM + BOOT)
make_grub()
server.shutdown()

grub.start()
grub.wait_for_text(GRUB[-1])
grub.screenshot("firmware-grub")
with open(f"{grub.out_dir}/firmware-grub.txt", "w") as file:
    file.write("\n".join(GRUB) + "\n")

# There is no kernel to ask: what firmware says, but for its version, is known beforehand.
firmware.start()
firmware.wait_for_text("No bootable device")
firmware.screenshot("firmware-no-disk")
with open(f"{firmware.out_dir}/firmware-no-disk.txt", "w") as file:
    file.write("Booting from Hard Disk...\nBoot failed: not a bootable disk\nNo bootable device.\n")
