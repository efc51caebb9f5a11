# The screen and the keyboard: a shell on a terminal is typed to.
server.wait_for_unit("multi-user.target")
# Nobody but the shell writes there.
server.succeed("systemctl stop getty@tty1.service; dmesg -n 1")
server.succeed("systemd-run -p StandardInput=tty-force -p StandardOutput=tty -p TTYPath=/dev/tty1 bash --norc")
server.wait_until_tty_matches("1", "bash[^ ]*# ")
server.send_chars("echo typed-$((6*7))\n", delay=0.05)
server.wait_until_tty_matches("1", "typed-42")
server.send_key("ctrl-l")
server.send_key("a")
server.send_key("A", delay=0.2)
print("never" in server.get_tty_text("1"))
server.screenshot("screen")
server.screenshot("other.png")
print(sorted(path.name for path in driver.out_dir.glob("*.png")))
with subtest("a terminal that stays as it is"):
    server.wait_until_tty_matches("1", "never there", timeout=1)
