"""The machines of a script. Most of their verbs come from the driver's table; here is what Python adds: attributes
that scripts read and assign, and verbs that are made of others."""

import functools
import pathlib
import re
import shutil
import subprocess
import tempfile

from . import caution, durations, efi, errors, interact, parts, qmp, retrying, verbs

_TIMEOUT_S = 900


class BaseMachine:
    """A machine of the run."""

    def __init__(self, connection, description, logger=None, start_command="", keep_machine_state=False):
        self._connection = connection
        self._key = description["key"]
        self.name = description["name"]
        self._state_dir = pathlib.Path(description["state_dir"])
        self.out_dir = pathlib.Path(description["out_dir"])
        self.tmp_dir = pathlib.Path(description["tmp_dir"])
        self.shared_dir = pathlib.Path(description["shared_dir"])
        self.logger = logger
        self.callbacks = []
        self.keep_machine_state = keep_machine_state
        self.start_command = parts.StartCommand(start_command, self.name)
        self._process = None

    def __repr__(self):
        return "<%s %r>" % (type(self).__name__, self.name)

    def _ask(self, method, **params):
        return self._connection.request(method, dict(params, machine=self._key))

    def _state(self):
        return self._ask("machine")

    @property
    def state_dir(self):
        """The machine's directory on the host. One that is assigned is where the next launch runs."""
        return self._state_dir

    @state_dir.setter
    def state_dir(self, directory):
        self._state_dir = pathlib.Path(directory)
        self._ask("set_machine", state_dir=str(self._state_dir.absolute()))

    @property
    def pid(self):
        """The number of the hypervisor's process; ``None`` when the machine is off."""
        return self._state()["pid"]

    @property
    def process(self):
        """The hypervisor's process; ``None`` before the first start."""
        pid = self.pid
        if pid is not None and (self._process is None or self._process.pid != pid):
            self._process = parts.Process(self, pid)
        return self._process

    @process.setter
    def process(self, process):
        self._process = process

    def release(self):
        """Ends the machine."""
        pid = self.pid
        if pid is not None:
            self.log("kill %s (pid %d)" % (type(self).__name__, pid))
            self._crash()

    def nested(self, msg, attrs=None):
        """A context manager: what happens inside is shown under ``msg``."""
        return self._connection.scope("step", str(msg), self.name)

    def log_serial(self, msg):
        """Adds a line as if the machine had printed it."""
        self.logger.log_serial(msg, self.name)

    def run_callbacks(self):
        """What is done before each command: polling conditions are looked at."""
        for callback in self.callbacks:
            callback()

    def is_watched(self):
        """Whether ``run_callbacks`` has anything to do."""
        return any(getattr(getattr(callback, "__self__", None), "polling_conditions", True)
                   for callback in self.callbacks)

    def cleanup_statedir(self):
        """Removes the machine's directory."""
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.logger.log("deleting machine state directory %s" % self.state_dir, {"machine": self.name})
        self.logger.log("if you want to keep the machine state, pass --keep-machine-state",
                        {"machine": self.name})

    def copy_from_vm(self, source, target_dir=""):
        """The old name of ``copy_from_machine``."""
        caution.warn("Use copy_from_machine() instead", DeprecationWarning)
        self.copy_from_machine(source, target_dir)

    def get_window_names(self):
        """The titles of the windows of the X server in the guest."""
        return self.succeed(
            r"xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \"\([^\"]*\)\".*/\1/; t; d'"
        ).splitlines()

    def wait_for_window(self, regexp, timeout=_TIMEOUT_S):
        """Waits until the title of a window matches."""
        pattern = re.compile(regexp)

        def is_there(last):
            names = self.get_window_names()
            if last:
                self.log("Last chance to match %s on the window list, which currently contains: %s"
                         % (regexp, ", ".join(names)))
            return any(pattern.search(name) for name in names)

        with self.nested("waiting for a window to appear"):
            retrying.retry(is_there, timeout=durations.seconds(timeout, "wait_for_window"))

    def wait_for_x(self, timeout=_TIMEOUT_S):
        """Waits until the guest has a graphical session."""

        def is_there(_last):
            status, _ = self.execute("journalctl -b SYSLOG_IDENTIFIER=systemd |"
                                     ' grep "Reached target Current graphical"')
            return status == 0 and self.execute("[ -e /tmp/.X11-unix/X0 ]")[0] == 0

        with self.nested("waiting for the X11 server"):
            retrying.retry(is_there, timeout=durations.seconds(timeout, "wait_for_x"))

    def ssh_backdoor_command(self):
        """How to reach the machine by SSH; empty without the SSH backdoor."""
        host = getattr(self, "vsock_host", None)
        return "ssh -o User=root vsock-mux/%s" % host if host else ""


class QemuMachine(BaseMachine):
    """A virtual machine of the run."""

    serial_thread = None
    vsock_guest = vsock_host = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.last_lines = parts.ConsoleLines(self)
        self.shell = parts.Shell(self)
        self._monitor = self._qmp = None
        self.efi_vars = efi.Store(self)

    @property
    def booted(self):
        """Whether the machine is on. The driver knows; what is assigned is not kept."""
        return self._state()["on"]

    @booted.setter
    def booted(self, value):
        pass

    @property
    def connected(self):
        """Whether the machine is on and its shell has answered. Assigning ``False`` has the next command wait for a new
        shell, as after a reboot."""
        return self._state()["up"]

    @connected.setter
    def connected(self, value):
        if not value:
            self._ask("set_machine", connected=False)

    @property
    def monitor_path(self):
        """The socket of QEMU's command line."""
        return self.state_dir / "monitor"

    @property
    def qmp_path(self):
        """The socket of QEMU's protocol."""
        return self.state_dir / "qmp"

    @property
    def shell_path(self):
        """Where the socket of the guest's shell is made."""
        return self.state_dir / "shell"

    @property
    def efi_vars_path(self):
        """The file of the firmware's variables."""
        return self.state_dir / ("%s-efi-vars.fd" % self.name)

    @property
    def monitor(self):
        """A connection with QEMU's command line; ``None`` when the machine is off."""
        self._monitor = self._of_launch(self._monitor, lambda: parts.connect(self.monitor_path))
        return self._monitor[1] if self._monitor else None

    @property
    def qmp_client(self):
        """A connection that speaks QMP; ``None`` when the machine is off."""
        self._qmp = self._of_launch(self._qmp, lambda: qmp.QMPSession.from_path(self.qmp_path))
        return self._qmp[1] if self._qmp else None

    def _of_launch(self, known, make):
        """What belongs to one launch of the hypervisor, with its number."""
        pid = self.pid
        if known and known[0] == pid:
            return known
        if known:
            known[1].close()
        return None if pid is None else (pid, make())

    @property
    def full_console_log(self):
        """The lines that the guest has printed since the last start."""
        text = self.get_console_log()
        return text.split("\n") if text else []

    def wait_for_monitor_prompt(self):
        """Reads from ``monitor`` until it prompts."""
        read = b""
        while not read.endswith(b"(qemu) "):
            chunk = self.monitor.recv(1024)
            if not chunk:
                break
            read += chunk
        return read.decode("utf-8", "replace")

    def wait_for_qmp_event(self, event_filter, timeout=600):
        """The first event of QEMU's that ``event_filter`` is true of."""
        client = self.qmp_client
        if client is None:
            raise RuntimeError("QMP API is not ready yet, is the VM ready?")
        return client.wait_for(event_filter, durations.seconds(timeout, "wait_for_qmp_event"))

    def reboot(self):
        """Presses Ctrl+Alt+Del, and has the next command wait for the new shell. The machine must have been started
        with ``start(allow_reboot=True)``."""
        self.send_key("ctrl-alt-delete")
        self.connected = False

    def shell_interact(self, address=None):
        """Puts the terminal at a shell of its own in the guest; Ctrl-] leaves it. ``address``: instead of the terminal,
        what socat connects with by it."""
        interact.shell(self, address)

    def console_interact(self):
        """Puts the terminal at the guest's serial console; Ctrl-] leaves it."""
        interact.console(self)

    def create_efi_vars(self):
        """Makes an empty store of the firmware's variables."""
        self.efi_vars.create()

    def write_efi_vars(self, variables):
        """Writes the store anew, with ``variables`` in it."""
        self.efi_vars.write(variables)

    def read_efi_vars(self):
        """The variables in the store."""
        return self.efi_vars.read()

    def dump_efi_vars(self):
        """Prints the variables in the store."""
        for variable in self.read_efi_vars():
            variable.print()


class NspawnMachine(BaseMachine):
    """A container of the run."""

    def is_up(self):
        """Whether the container is on."""
        return self._state()["on"]

    def wait_for_x(self, timeout=_TIMEOUT_S):
        """Waits until the container has an X server."""
        with self.nested("waiting for the X11 server"):
            retrying.retry(lambda _last: self.execute("xwininfo -root >/dev/null 2>&1")[0] == 0,
                           timeout=durations.seconds(timeout, "wait_for_x"))

    def screenshot(self, filename):
        """Takes a picture of the container's X server."""
        target = pathlib.Path(filename if "." in filename else filename + ".png")
        if "/" not in filename:
            target = self.out_dir / target
        with self._connection.scope("step", "making screenshot %s" % target, self.name), \
                tempfile.TemporaryDirectory(dir=self.shared_dir) as folder:
            inside = "/tmp/shared/%s/screen.xwd" % pathlib.Path(folder).name
            self.succeed("xwd -root -silent -out %s" % inside)
            data = (pathlib.Path(folder) / "screen.xwd").read_bytes()
            for program in ("xwdtopnm", "pnmtopng"):
                done = subprocess.run([program], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                if done.returncode != 0:
                    raise errors.MachineError("Cannot convert screenshot (%s returned code %d)"
                                              % (program, done.returncode))
                data = done.stdout
            target.write_bytes(data)


# What containers have not (in the NixOS driver, which has no attributes of these names there).
_ONLY_OF_QEMU = frozenset([
    "block", "connect", "console_interact", "crash", "dump_tty_contents", "forward_port", "get_console_log",
    "get_tty_text", "reboot", "send_console", "send_monitor_command", "shell_interact", "switch_root", "unblock",
    "wait_for_console_text", "wait_until_tty_matches",
])


def _at_a_prompt(run):
    """``send_monitor_command`` as scripts that count lines want its answer: as QEMU's command line has it, which shows each
    letter with all before it, and prompts at the end."""

    @functools.wraps(run)
    def send_monitor_command(self, command):
        answer = run(self, command)
        echo = "".join("\x1b[D" * at + command[:at + 1] + "\x1b[K" for at in range(len(command)))
        return "%s\r\n%s(qemu) " % (echo, answer)

    return send_monitor_command


def add_verbs(connection, table):
    """Gives machines their verbs."""
    for verb in table:
        if verb["target"] != "machine":
            continue
        function = verbs.function(connection, verb)
        if verb["name"] == "send_monitor_command":
            function = _at_a_prompt(function)
        setattr(QemuMachine, verb["name"], function)
        if verb["name"] not in _ONLY_OF_QEMU and verb["name"] not in vars(NspawnMachine):
            setattr(NspawnMachine, verb["name"], function)
        if verb["name"] == "crash":
            BaseMachine._crash = function
