//! Keys and terminals of a real guest: nothing is lost while the host is busy, and what arrived is known.

use integration_tests::{Setup, need_vm};

/// Busier than a host should be, while a text is typed.
const LOAD: &str = r#"
import random
import subprocess

server.wait_for_unit("multi-user.target")
server.succeed("udevadm settle; systemctl stop getty@tty1; stty -F /dev/tty1 sane")
server.succeed("setsid -c cat </dev/tty1 >>/tmp/typed 2>&1 &")
alphabet = "".join(chr(code) for code in range(32, 127))
typed = "".join(random.choice(alphabet) for _ in range(300)) + "\n"
burn = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count())]
try:
    server.send_chars(typed, delay=0)
finally:
    for process in burn:
        process.kill()
server.wait_until_succeeds("test $(wc -l </tmp/typed) = 1")
arrived = server.succeed("cat /tmp/typed")
assert arrived == typed, f"{typed!r} became {arrived!r}"
"#;

/// What a person sees and types at the terminal in the foreground.
const TERMINAL: &str = r#"
server.wait_for_unit("multi-user.target")
server.wait_until_tty_matches("1", r"login: ")
assert "login: " in server.get_tty_text("1")
server.succeed("systemctl stop getty@tty1; stty -F /dev/tty1 sane")
# A readline that is interrupted by the kernel does not know where its cursor is: see below.
server.succeed("dmesg -n 1")
server.succeed("TERM=linux setsid -c bash --norc -i </dev/tty1 >/dev/tty1 2>&1 &")
server.wait_until_tty_matches("1", "bash-.*# ")

with subtest("what is typed is on the terminal, over several rows, and on one that scrolls sideways"):
    words = "echo " + " ".join(f"word{n}" for n in range(30))
    server.type_text(words + " >/tmp/rows\nTERM=dumb exec bash --norc -i\n")
    server.type_text(words + " >/tmp/sideways\necho ready >/tmp/ready\n")
    server.wait_for_file("/tmp/ready")
    server.succeed("cmp /tmp/rows /tmp/sideways")

with subtest("the kernel prints in the middle"):
    server.succeed("dmesg -n 7")
    server.succeed("(for n in $(seq 10); do echo noise $n >/dev/kmsg; sleep 0.1; done) >/dev/null 2>&1 &")
    server.type_text("echo nothing of it is taken for an answer >/tmp/noise\n")
    server.wait_until_succeeds("grep 'taken for an answer' /tmp/noise")

with subtest("a prompt for a password"):
    server.type_text("read -sp 'Password: ' secret; echo $secret >/tmp/secret\n")
    server.wait_until_tty_matches("1", "(?m)^Password: ")
    try:
        server.type_text("hunter2", timeout=1)
    except AssertionError as error:
        assert "'hunter2' to stand before the cursor" in str(error) and "last seen: ''" in str(error), error
    else:
        raise AssertionError("nobody saw the password")
    server.type_text("!\n", verify=False)
    server.wait_until_succeeds("grep '^hunter2!$' /tmp/secret")

with subtest("a terminal that nobody has used"):
    server.execute("(sleep 1; echo here I am >/dev/tty5) >/dev/null 2>&1 &")
    server.wait_until_tty_matches("5", "here I am", timeout=30)
    server.dump_tty_contents("5")
    server.succeed("journalctl | grep 'here I am'")
"#;

#[test]
fn keys_are_not_lost_on_a_busy_host() {
    if need_vm("base").is_none() {
        return;
    }
    for keyboard in ["", "[machines.server.qemu]\nextra_args = [\"-device\", \"virtio-keyboard-pci\"]\n"] {
        let manifest = crate::machine("base") + keyboard;
        Setup::new(&manifest, LOAD).run().assert_status(0);
    }
}

crate::both!(
    what_is_typed_and_shown_on_a_terminal_is_known,
    what_is_typed_and_shown_on_a_terminal_is_known_without_the_agent,
    terminal
);

fn terminal(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    Setup::new(&crate::machine("base"), TERMINAL).args(arguments).run().assert_status(0);
}
