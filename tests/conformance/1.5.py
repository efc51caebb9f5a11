# What only virtual machines of QEMU have
import queue
import subprocess

from test_driver.errors import MachineError, RequestedAssertionFailed

server.start(allow_reboot=True)


@check("`booted`, `connected`, `pid`")
def _():
    assert client.booted is False and client.connected is False and client.pid is None
    server.connect()
    assert server.booted is True and server.connected is True and isinstance(server.pid, int)


@check("`connect()`: its messages")
def _():
    logged("waiting for the VM to finish booting")
    logged("starting vm")
    logged("QEMU running (pid %d)" % server.pid)
    logged("Guest shell says: b'Spawning backdoor root shell...\\n'")
    logged("connected to guest root shell")
    logged("(connecting took ")


@check("`process`: `pid`, `poll()`, `wait()`, `stdin`", differs="not a `subprocess.Popen`; `stdout` is None, as the driver "
       "reads it")
def _():
    assert server.process.pid == server.pid and server.process.poll() is None
    raises(subprocess.TimeoutExpired, "", server.process.wait, timeout=0.1)
    server.process.stdin.write(b"hello process\n")
    server.process.stdin.flush()
    server.wait_for_console_text("typed: hello process")


@check("`start_command`: `machine_name`, `cmd()`, `run()`")
def _():
    assert server.start_command.machine_name == "server" and "run-server-vm" in server.start_command.cmd()


@check("`send_console(chars)`, `wait_for_console_text(regex, timeout=None)`, `get_console_log()`")
def _():
    server.send_console("one line\n")
    server.wait_for_console_text("typed: one (?P<x>line)")
    assert "typed: one line" in server.get_console_log()
    logged("waiting for typed: one (?P&lt;x&gt;line) to appear on console")
    raises(RequestedAssertionFailed, "timed out", server.wait_for_console_text, "typed: one", timeout=0.1)


@check("`wait_for_console_text` joins lines without their ends")
def _():
    server.send_console("first half\nsecond half\n")
    server.wait_for_console_text("first halftyped: second")


@check("`last_lines`: a `queue.Queue` of lines that nobody has consumed")
def _():
    assert isinstance(server.last_lines, queue.Queue)
    server.send_console("for the queue\n")
    while server.last_lines.get() != "typed: for the queue":
        pass
    raises(queue.Empty, "", server.last_lines.get, block=False)
    raises(queue.Empty, "", server.last_lines.get, timeout=0.1)
    assert server.last_lines.empty() and server.last_lines.qsize() == 0


@check("`full_console_log`: a list")
def _():
    assert "typed: one line" in server.full_console_log


@check("`shell`: `send(bytes)`", differs="the driver holds the shell, so nothing can be read from it and it has no "
       "`fileno()`")
def _():
    server.shell.send(b"true\n")
    assert server.succeed("echo still") == "still\n"


@check("`monitor`, `wait_for_monitor_prompt()`")
def _():
    assert server.wait_for_monitor_prompt().endswith("(qemu) ")
    server.monitor.send(b"info status\n")
    assert "running" in server.wait_for_monitor_prompt()


@check("`send_monitor_command(cmd)`: what QEMU printed, between the command's echo and the prompt")
def _():
    assert server.send_monitor_command("info status").splitlines()[-2:] == ["VM status: running", "(qemu) "]
    # Of each letter it shows the whole line anew.
    assert server.send_monitor_command("no") == "n\x1b[K\x1b[Dno\x1b[K\r\n(qemu) "


@check("`qmp_client`: `send`, `events`, `wait_for_event`; errors are `QMPAPIError`")
def _():
    from test_driver.machine.qmp import QMPAPIError, QMPSession
    assert isinstance(server.qmp_client, QMPSession) and server.qmp_client is server.qmp_client
    assert server.qmp_client.send("query-status")["return"]["status"] == "running"
    server.qmp_client.send("input-send-event", {"events": [{"type": "btn", "data": {"down": True, "button": "left"}}]})
    error = raises(QMPAPIError, "[CommandNotFound]", server.qmp_client.send, "nonsense")
    assert error.class_name == "CommandNotFound" and "nonsense" in error.description
    assert list(server.qmp_client.events(timeout=0.05)) == []
    another = QMPSession.from_path(server.qmp_path)
    another.close()


@check("`wait_for_qmp_event(event_filter, timeout=10min)`")
def _():
    client_ = server.qmp_client
    client_.send("system_reset")
    assert server.wait_for_qmp_event(lambda e: e["event"] == "RESET", timeout=5)["event"] == "RESET"
    raises(TimeoutError, "", server.wait_for_qmp_event, lambda e: True, timeout=0.1)
    raises(RuntimeError, "QMP API is not ready yet, is the VM ready?", client.wait_for_qmp_event, lambda e: True)
    server.connected = True


@check("`monitor_path`, `qmp_path`, `shell_path`, `efi_vars_path`", differs="they are in `state_dir`, also where that was "
       "assigned")
def _():
    assert server.monitor_path == server.state_dir / "monitor" and server.qmp_path.exists()
    assert server.shell_path.name == "shell" and server.efi_vars_path.name == "server-efi-vars.fd"


@check("`vsock_host`, `vsock_guest`: None without the backdoor")
def _():
    assert server.vsock_host is None and server.vsock_guest is None


@check("`serial_thread`", missing="it is None")
def _():
    assert server.serial_thread is None


server.crash()
server.start(allow_reboot=True)
server.connect()


@check("`reboot()`: the next command waits for the new shell")
def _():
    server.reboot()
    assert server.connected is False
    assert server.succeed("echo again") == "again\n" and server.booted


@check("`connected = False`: the next command waits for the new shell")
def _():
    server.execute("reboot", check_output=False, check_return=False)
    server.connected = False
    server.connect()
    assert server.succeed("echo thrice") == "thrice\n"


@check("`switch_root()`")
def _():
    server.switch_root()
    assert server.succeed("echo root") == "root\n"


@check("`get_tty_text(tty)`, `wait_until_tty_matches(tty, regexp, timeout=15min)`, `dump_tty_contents(tty)`")
def _():
    assert "login:" in server.get_tty_text("1") and "login:" in server.get_tty_text(1)
    server.wait_until_tty_matches("1", "(?i)LOGIN")
    logged("waiting for (?i)LOGIN to appear on tty 1")
    raises(RequestedAssertionFailed, "timed out", server.wait_until_tty_matches, 1, "nothing", timeout=0.1)
    logged("Last chance to match /nothing/ on TTY1, which currently contains:")
    server.dump_tty_contents("1")


@check("`forward_port(host_port=8080, guest_port=80)`, `block()`, `unblock()`")
def _():
    server.block()
    server.unblock()
    assert callable(server.forward_port)


@check("`crash()`")
def _():
    server.crash()
    logged("forced crash")
    assert not server.booted
    server.crash()


@check("`state_dir` can be assigned: the next launch runs there")
def _():
    client.start()
    client.shutdown()
    server.state_dir = client.state_dir
    server.start()
    assert server.qmp_path.parent == client.state_dir and server.succeed("echo moved") == "moved\n"
    server.crash()
    server.state_dir = server.tmp_dir / "vm-state-server"


@check("QEMU that dies while it is started: `MachineError`", differs="the message says how it ended and its last words")
def _():
    broken = create_machine("echo last words; exit 7;")
    error = raises(MachineError, "status 7", broken.start)
    assert "last words" in str(error), error


@check("`console_interact()`, `shell_interact(address=None)`",
       differs="Ctrl-] leaves, and Ctrl-C and Ctrl-D reach the guest; the shell is one of its own, with a prompt; "
               "without `-I` and an address they are refused, instead of reading what is not typed")
def _():
    raises(RuntimeError, "needs somebody at a terminal", server.console_interact)
    raises(RuntimeError, "needs somebody at a terminal", server.shell_interact)


@check("`create_efi_vars()`, `write_efi_vars(list)`, `read_efi_vars()`, `dump_efi_vars()`")
def _():
    import contextlib, io, uuid
    from test_driver.efi import EfiGuid, EfiVariable
    client.create_efi_vars()
    assert client.read_efi_vars() == [] and client.efi_vars_path.stat().st_size == 2 * 0x42000
    raises(RequestedAssertionFailed, "OVMF variables store exists", client.create_efi_vars)
    flags = EfiVariable.Flags.NON_VOLATILE | EfiVariable.Flags.BOOTSERVICE_ACCESS
    vendor = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
    client.write_efi_vars([EfiVariable(vendor, "Test", b"data!", EfiVariable.State.VAR_ADDED, flags),
                           EfiVariable(vendor_uuid=vendor, name="Other", data=b"")])
    first, second = client.read_efi_vars()
    assert (first.name, first.data, first.vendorUUID) == ("Test", b"data!", vendor)
    assert not first.volatile and first.boot_access and not first.runtime_access and second.name == "Other"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        client.dump_efi_vars()
    assert "Test" in said.getvalue() and EfiGuid is not None
    client.start()
    raises(RequestedAssertionFailed, "System is currently running and concurrent reads / writes to the OVMF variables "
           "is unsupported", client.read_efi_vars)
    client.crash()
