//! The text on a real guest's screen.

use std::fs;
use std::process::Command;

use integration_tests::{Setup, need_vm, program};

/// Makes a file when the console's text has `login:`, without a look at pixels: the time of the file tells when.
const WATCHER: &str = r#"
use strict;
open my $ready, '>', '/tmp/watching' or die $!;
close $ready;
open my $screen, '<', '/dev/vcs1' or die $!;
my $text = '';
until ($text =~ /login:/) {
    sysseek $screen, 0, 0;
    sysread $screen, $text, 100000;
    select undef, undef, undef, 0.002;
}
open my $when, '>', '/tmp/when' or die $!;
"#;

/// Shows a hundred screens of random text in random colours, in text mode and on a framebuffer, and compares what is
/// read with what the kernel says.
const RANDOM_SCREENS: &str = r#"
import base64
import random
import time

dice = random.Random(6)
# What the kernel's font and a VGA's have. Full and half blocks are not among them: they look like a blank, and like
# each other, in exchanged colours.
CHARACTERS = (
    "".join(chr(code) for code in range(0x21, 0x7F)) * 3
    + "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥áíóúñÑªº¿½¼¡«»°±²·µß÷"
    + "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌αΓπΣσΦΘΩδ∞φε∩≡≥≤⌠⌡≈√ⁿ■"
)


def device(name):
    return base64.b64decode(server.succeed(f"base64 -w0 /dev/{name}1"))


def show(text):
    data = base64.b64encode(text.encode()).decode()
    server.succeed(f"base64 -d >/dev/tty1 <<'END'\n{data}\nEND")


def words(text):
    return [" ".join(line.split()) for line in text.split("\n") if line.split()]


def screens(count):
    rows, columns = device("vcsa")[:2]
    for number in range(count):
        text = "\033%G\033[0m\033[?25l\033[2J"
        for row in range(1, rows + 1):
            length = dice.choice([0, dice.randint(1, columns - 1), columns - 1])
            text += f"\033[{row};1H"
            while length > 0:
                ink, ground = dice.sample(range(8), 2)
                run = min(length, dice.randint(1, 30))
                bright = dice.choice(["", "1;"])
                blanks = " " * dice.choice([1, 1, 8])
                text += f"\033[0;{bright}3{ink};4{ground}m" + "".join(dice.choice(CHARACTERS + blanks) for _ in range(run))
                length -= run
        show(text)
        said = device("vcsu")
        told = "".join(chr(int.from_bytes(said[at : at + 4], "little")) for at in range(0, len(said), 4))
        expected = words("\n".join(told[at : at + columns] for at in range(0, len(told), columns)))
        read = words(server.get_screen_text())
        for one, other in zip(expected, read):
            assert one == other, f"screen {number}: {one!r} was read as {other!r}"
        assert len(expected) == len(read), f"screen {number}: {len(expected)} rows, {len(read)} were read"


server.start()
server.wait_for_text("guest login:")

with subtest("a prompt is seen soon after it has appeared"):
    server.copy_from_host(WATCHER, "/tmp/watch.pl")
    late = []
    for _ in range(5):
        server.succeed("systemctl stop getty@tty1; rm -f /tmp/watching /tmp/when; printf '\\033c' >/dev/tty1")
        ahead = min(float(server.succeed("date +%s.%N")) - time.time() for _ in range(5))
        server.execute("perl /tmp/watch.pl >/dev/null 2>&1", check_output=False)
        server.wait_for_file("/tmp/watching")
        server.execute("(sleep 1; systemctl start getty@tty1) >/dev/null 2>&1", check_output=False)
        server.wait_for_text("guest login:")
        seen = time.time() + ahead
        server.wait_for_file("/tmp/when")
        late.append(seen - float(server.succeed("stat --format %.6Y /tmp/when")))
    print("seen after it appeared: " + ", ".join("%.0f ms" % (one * 1e3) for one in late))
    # What it takes is in docs/performance.md; a host may be busy.
    assert min(late) < 5, late

with subtest("a wait in vain says what was read"):
    try:
        server.wait_for_text("no such words", timeout=1)
    except Exception as error:
        assert "last seen" in str(error) and "guest login:" in str(error), error
    else:
        raise AssertionError("there are no such words")

server.succeed("systemctl stop getty@tty1; echo 1 >/proc/sys/kernel/printk")
device("vcsu")
screens(50)
server.succeed("modprobe bochs && udevadm settle")
server.wait_until_succeeds("test -e /sys/class/graphics/fb0 || test -e /sys/class/drm/card0")
screens(50)

with subtest("the cursor hides nothing"):
    show("\033[0m\033[2J\033[H\033[?25hguest: ")
    server.wait_for_text("guest:")
    assert server.get_screen_text() == "guest:\n", server.get_screen_text()
"#;

#[test]
fn a_hundred_random_screens_are_read_as_the_kernel_has_them() {
    if need_vm("base").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let watcher = place.path().join("watch.pl");
    fs::write(&watcher, WATCHER).unwrap();
    let script = format!("WATCHER = {:?}\n{RANDOM_SCREENS}", watcher.display().to_string());
    Setup::new(&(crate::machine("base") + "memory = \"512M\"\n"), &script)
        .args(&["--ocr", "console"])
        .run()
        .assert_status(0);
}

/// The packs in the tree can be made again by anybody: they hold what a guest teaches.
#[test]
fn the_font_that_a_guest_teaches_is_the_one_in_the_tree() {
    if need_vm("base").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let manifest = place.path().join("learn.toml");
    fs::write(&manifest, format!("name = \"learn\"\nscript = \"none.py\"\n{}", crate::machine("base")))
        .unwrap();
    let pack = place.path().join("learnt.glyphs");
    let mut command = Command::new(program());
    command.args(["ocr", "learn"]).arg(&manifest).arg("-o").arg(&pack).args(["--name", "VGA 9x16"]);
    let output = command.current_dir(place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../ocr/fonts/vga-9x16.glyphs");
    let glyphs = |text: String| {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(glyphs(fs::read_to_string(pack).unwrap()), glyphs(fs::read_to_string(shipped).unwrap()));
}
