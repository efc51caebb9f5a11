//! The screen of a real guest: needles, stillness, text, and a pointer that the guest feels.

use integration_tests::{Setup, need_vm, plugin, program};

/// Prints the events of an input device, as type, code and value, up to the second release of the left button.
const EVENTS: &str = r#"
use strict;
open my $device, '<:raw', $ARGV[0] or die $!;
open my $ready, '>', '/tmp/ready' or die $!;
close $ready;
$| = 1;
my $releases = 0;
while ($releases < 2 && sysread($device, my $event, 24) == 24) {
    my ($type, $code, $value) = unpack 'x16 S S l', $event;
    print "$type $code $value\n" if $type;
    $releases++ if $type == 1 && $code == 272 && $value == 0;
}
"#;

/// An OCR engine for one word: a screen that is not dark from side to side reads `word`.
const READER: &str = r#"
import sys
data = open(sys.argv[1], "rb").read()
print("word" if max(data[data.index(b"255\n") + 4:]) > 100 else "")
"#;

const SCREEN: &str = r#"
import struct
import subprocess
import time

def size():
    server.screenshot("size")
    return struct.unpack(">II", (server.out_dir / "size.png").read_bytes()[16:24])

def show(row, column, text):
    # No cursor that blinks.
    server.succeed(f"printf '\\033c\\033[?25l\\033[{row};{column}H{text}' >/dev/tty1")

server.wait_for_unit("multi-user.target")
server.succeed("udevadm settle; systemctl stop getty@tty1; dmesg -n 1")
width, height = size()
cell = 9 if width == 720 else 8

with subtest("a needle is cut from a screen and found, also where it has moved to"):
    show(10, 20, "A NEEDLE")
    server.wait_still_screen(1)
    server.screenshot("whole")
    x, y = 19 * cell, 9 * 16
    cut = [PROGRAM, "needle", str(server.out_dir / "whole.png"), "--area", f"{x},{y},{8 * cell},16"]
    subprocess.run(cut + ["--name", "needle-1", "--tag", "needle", "-o", NEEDLES], check=True)
    found = server.assert_screen("needle")
    assert found["needle"] == "needle-1" and found["areas"][0]["similarity"] > 99.9, found
    assert found["click"] == [x + 4 * cell, y + 8], found
    show(12, 22, "A NEEDLE")
    found = server.assert_screen("needle-1")
    assert (found["areas"][0]["x"], found["areas"][0]["y"]) == (x + 2 * cell, y + 32), found

with subtest("a needle that is not there"):
    show(10, 20, "A POODLE")
    assert server.check_screen("needle") is None
    try:
        server.assert_screen("needle", timeout=1)
    except AssertionError as error:
        assert "`server-missed-1.png`" in str(error), error
    else:
        raise AssertionError("a poodle is no needle")
    assert (server.out_dir / "server-missed-1.png").is_file()

with subtest("a change of the screen"):
    before = server.mark_screen()
    show(1, 1, "something else on the whole of this line")
    server.wait_screen_change(before)

with subtest("text that appears"):
    show(1, 1, "")
    server.wait_still_screen(1)
    lag = min(float(server.succeed("date +%s.%N")) - time.time() for _ in range(3))
    server.execute("(sleep 3; date +%s.%N >/tmp/when; printf '\\033[10;20Hword' >/dev/tty1)", check_output=False)
    server.wait_for_text("^word$", timeout=60)
    print("seen %.3f s after it was printed" % (time.time() - float(server.succeed("cat /tmp/when")) + lag))
    assert server.find_text("wo", region=(0, 0, 19 * cell, height)) == []
    server.wait_for_text("word", timeout=60, region=(19 * cell, 9 * 16, 4 * cell, 16))

with subtest("the guest feels the pointer"):
    tablet = "grep -A8 'QEMU Virtio Tablet' /proc/bus/input/devices | grep -om1 'event[0-9]*'"
    device = server.wait_until_succeeds(tablet).strip()
    server.copy_from_host(EVENTS, "/tmp/events.pl")
    server.execute(f"perl /tmp/events.pl /dev/input/{device} >/tmp/events 2>&1", check_output=False)
    server.wait_for_file("/tmp/ready")
    server.mouse_click(width // 4, height // 2)
    server.mouse_click(width - 1, 0, button="right")
    server.mouse_scroll(2)
    server.mouse_click()
    server.wait_until_succeeds("test $(grep -c '^1 272 0$' /tmp/events) = 2")
    events = [tuple(map(int, line.split())) for line in server.succeed("cat /tmp/events").splitlines()]
    places = {0: [], 1: []}
    for kind, code, value in events:
        if kind == 3:
            places[code].append(value)
    assert [x * width // 32768 for x in places[0]] == [width // 4, width - 1], places
    assert [y * height // 32768 for y in places[1]] == [height // 2, 0], places
    keys = [(code, value) for kind, code, value in events if kind == 1 and code in (272, 273)]
    assert keys == [(272, 1), (272, 0), (273, 1), (273, 0), (272, 1), (272, 0)], events
    assert sum(value for kind, code, value in events if (kind, code) == (2, 8)) == -2, events
"#;

#[test]
fn the_screen_of_a_guest_is_looked_at_and_pointed_at() {
    if need_vm("base").is_none() {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let needles = place.path().join("needles");
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path.display().to_string()
    };
    let (events, reader) = (write("events.pl", EVENTS), write("reader.py", READER));
    let manifest = format!(
        "ocr = \"program\"\nneedles = {needles:?}\n\
         plugins = [{{ path = {:?}, settings = {{ command = [\"python3\", {reader:?}, \"{{}}\"] }} }}]\n{}",
        plugin("plugin-ocr"),
        crate::machine("base"),
    );
    let script = format!("PROGRAM = {:?}\nNEEDLES = {needles:?}\nEVENTS = {events:?}\n{SCREEN}", program());
    Setup::new(&manifest, &script).run().assert_status(0);
}
