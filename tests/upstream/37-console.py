# The serial console: lines are waited for, kept, hidden and shown.
server.wait_for_console_text("Linux version")
server.wait_for_unit("multi-user.target")
server.succeed("echo said: one two >/dev/ttyS0")
server.wait_for_console_text("said: (?P<word>one) (?=two)")
print("said: one two" in server.get_console_log())
serial_stdout_off()
server.succeed("echo said: hidden >/dev/ttyS0")
server.wait_for_console_text("said: hidden")
serial_stdout_on()
server.succeed("echo said: shown >&2")
server.wait_for_console_text("said: shown", timeout=60)
with subtest("in vain"):
    server.wait_for_console_text("never said", timeout=2)
