"""Parts of machines that scripts of the NixOS driver take into their own hands."""

import io
import os
import queue
import signal
import socket
import subprocess
import time


class ConsoleLines(queue.Queue):
    """The lines of the console that nobody has consumed: ``wait_for_console_text`` takes from the same."""

    def __init__(self, machine):
        super().__init__()
        self._machine = machine

    def qsize(self):
        """How many there are."""
        return self._machine._state()["console_lines"]

    def empty(self):
        """Whether there is none."""
        return self.qsize() == 0

    def get(self, block=True, timeout=None):
        """The next one. ``queue.Empty`` when there is none, or none in time."""
        if not block:
            wait = 0
        else:
            wait = float("1e9") if timeout is None else timeout
        line = self._machine._ask("console_line", wait_s=wait)
        if line is None:
            raise queue.Empty
        return line

    def get_nowait(self):
        """The next one, if it is there."""
        return self.get(block=False)


class Process:
    """The hypervisor's process, as far as ``subprocess.Popen`` is used of it. Its standard input is the guest's serial
    console."""

    stderr = None

    def __init__(self, machine, pid):
        self._machine = machine
        self.pid = pid
        self.returncode = None
        self.args = str(machine.start_command)
        self.stdin = _Console(machine)
        self.stdout = None

    def poll(self):
        """``None`` while it runs."""
        if self.returncode is None and self._machine._state()["pid"] != self.pid:
            self.returncode = 0
        return self.returncode

    def wait(self, timeout=None):
        """Waits for its end."""
        ends = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if ends is not None and time.monotonic() >= ends:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.05)
        return self.returncode

    def send_signal(self, number):
        """Sends it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class _Console(io.RawIOBase):
    """Writes to the guest's serial console."""

    def __init__(self, machine):
        super().__init__()
        self._machine = machine

    def writable(self):
        return True

    def write(self, data):
        self._machine.send_console(bytes(data).decode("utf-8", "replace"))
        return len(data)


class Shell:
    """The guest's root shell. The driver holds it, so commands can be sent to it, and nothing can be read."""

    def __init__(self, machine):
        self._machine = machine

    def send(self, data):
        """Runs what it is told, without an answer."""
        self._machine.execute(bytes(data).decode().rstrip("\n"), check_return=False, check_output=False)
        return len(data)

    def sendall(self, data):
        """As ``send``."""
        self.send(data)

    def recv(self, *_args):
        """Cannot be: the driver reads."""
        raise io.UnsupportedOperation("the shell is read by the driver (use execute())")

    def fileno(self):
        """Cannot be: the driver holds it."""
        raise io.UnsupportedOperation("the shell is held by the driver (use execute())")


class StartCommand:
    """The shell command that starts a machine."""

    def __init__(self, command, name):
        self._cmd = command
        self.machine_name = name

    def __str__(self):
        return self._cmd

    def cmd(self, *arguments, **_more):
        """The command; what the driver adds to it is its own affair."""
        return " ".join([self._cmd, *map(str, arguments)])

    def run(self, state_dir, shared_dir, *_args, **_more):
        """Starts it without the driver, in ``state_dir``."""
        environment = dict(os.environ, TMPDIR=str(state_dir), SHARED_DIR=str(shared_dir), USE_TMPDIR="1")
        return subprocess.Popen(self._cmd, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=state_dir, env=environment)


def connect(path):
    """A stream connected with the socket at ``path``."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock
