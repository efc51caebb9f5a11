"""The global ``driver``: the run, as scripts of the NixOS driver reach into it."""

import contextlib
import os
import pathlib
import re
import threading
import types

from . import debug, legacy, log, machine, polling, verbs, vlan


class Machines(list):
    """A list of machines. One that is appended is known to the driver from then on."""

    def __init__(self, driver, machines):
        super().__init__(machines)
        self._driver = driver

    def append(self, machine):
        super().append(machine)
        if machine not in self._driver.machines_qemu:
            self._driver.machines_qemu.append(machine)


class Driver:
    """The run."""

    def __init__(self, connection, hello, runner):
        setup = hello.get("setup") or {}
        self._connection, self._runner = connection, runner
        self._verbs = {verb["name"]: verbs.function(connection, verb)
                       for verb in hello["verbs"] if verb["target"] == "run"}
        level = log.LogLevel[setup.get("log_level", "debug").upper()]
        self.logger = log.Log(connection, level)
        self.config = _namespace(setup.get("config") or {})
        self.tests = runner.source
        self.interactive = bool(hello.get("prompt"))
        self.keep_machine_state = self.keep_vm_state = setup.get("keep_machine_state", False)
        self.global_timeout = setup.get("timeout_s")
        self.vhost_vsock = _vsock(setup.get("vhost_vsock"))
        self.polling_conditions = []
        hook = setup.get("debug_hook")
        if hook:
            self.debug = debug.Debug(self.logger, hook)
        else:
            self.debug = debug.DebugPrompt() if self.interactive else debug.DebugNop()
        # The driver's own timer runs elsewhere; this one is for those who look at it.
        self.race_timer = threading.Timer(self.global_timeout or 0, lambda: None)
        is_old = setup.get("generation") == 25
        if is_old:
            machine.QemuMachine.__name__ = machine.QemuMachine.__qualname__ = "Machine"
        machine.add_verbs(connection, hello["verbs"])
        vlan.add_verbs(connection, hello["verbs"])
        config = setup.get("config") or {}
        containers = config.get("containers") or {}
        self.machines_qemu, self.machines_nspawn = [], []
        for description in hello["machines"]:
            name = description["name"]
            kind, known = (("nspawn", containers) if name in containers else ("qemu", config.get("vms", {})))
            made = self._machine(description, known.get(name, {}).get("start_script", ""), kind=kind)
            (self.machines_nspawn if kind == "nspawn" else self.machines_qemu).append(made)
        self._described = self.machines_qemu + self.machines_nspawn
        for each in self._described:
            each.callbacks = [self.check_polling_conditions]
        for each in self.machines_qemu if self.vhost_vsock else []:
            sockets = self.vhost_vsock.sockets[each.name]
            each.vsock_host, each.vsock_guest = sockets.host, sockets.guest
        self.vlans = [vlan.VLan(description, is_old) for description in hello["vlans"]]
        self.out_dir = pathlib.Path(hello["out_dir"])
        self.polling_condition = polling.decorator(self)

    def _machine(self, description, command, keep=False, kind="qemu"):
        keep = keep or self.keep_machine_state
        make = machine.NspawnMachine if kind == "nspawn" else machine.QemuMachine
        return make(self._connection, description, self.logger, command, keep)

    @property
    def machines(self):
        """All machines by name, in a list that is made anew each time."""
        return Machines(self, sorted(self.machines_qemu + self.machines_nspawn, key=lambda each: each.name))

    def start_all(self):
        """Starts all machines at once, and returns when each hypervisor runs."""
        self._verbs["start_all"]()
        for each in self._appended():
            each.start()

    def join_all(self):
        """Waits until all machines are off."""
        self._verbs["join_all"]()
        for each in self._appended():
            each.wait_for_shutdown()

    def _appended(self):
        return [each for each in self.machines_qemu if each not in self._described]

    def test_script(self):
        """Runs the test script again."""
        with self.logger.nested("run the VM test script"):
            self._runner.run(self.test_symbols())

    def run_tests(self):
        """Runs the test script again, and has the guests write their disks."""
        self.test_script()
        for each in self.machines:
            if each.is_up():
                each.execute("sync")

    @contextlib.contextmanager
    def subtest(self, name):
        """A context manager: a named part of the test, with an outcome of its own in the reports."""
        with self.logger.subtest(name):
            yield

    def create_machine(self, start_command, *, name=None, keep_machine_state=False, keep_vm_state=False):
        """Makes a machine that is started by a shell command; old scripts give a dictionary."""
        keep = keep_machine_state or keep_vm_state
        if isinstance(start_command, dict):
            keep = keep or bool(start_command.get("keep_vm_state"))
            start_command, name_within = legacy.start_command(start_command)
            name = name or name_within
        command = os.fspath(start_command)
        if name is None:
            found = re.search("run-(.+)-vm$", os.path.basename(command))
            name = found.group(1) if found else "machine"
        if self.vhost_vsock:
            self.logger.warning("create_machine(%s): not enabling SSH backdoor, this is not supported for VMs created"
                                " with create_machine!" % name)
        params = {"name": name, "command": command, "keep": keep}
        return self._machine(self._connection.request("create_machine", params), command, keep)

    def serial_stdout_on(self):
        """Shows what the guests print on their consoles, from now on."""
        self.logger.print_serial_logs(True)

    def serial_stdout_off(self):
        """Shows it no more."""
        self.logger.print_serial_logs(False)

    def check_polling_conditions(self):
        """Looks at the conditions that are due; raises if one does not hold."""
        for condition in list(self.polling_conditions):
            condition.maybe_raise()

    def dump_machine_ssh(self):
        """Says how to reach the machines by SSH, if there is the SSH backdoor."""
        for line in self.vhost_vsock.told if self.vhost_vsock else []:
            self.logger.log(line)

    def terminate_test(self):
        """Ends all machines."""
        with self.logger.nested("timeout reached; test terminating..."):
            for each in self.machines:
                each.release()

    def test_symbols(self):
        """The globals of the script."""
        return self._runner.symbols(self)


def _vsock(described):
    """The SSH backdoor, if there is one."""
    if not described:
        return None
    sockets = {name: types.SimpleNamespace(host=pathlib.Path(each["host"]), guest=pathlib.Path(each["guest"]),
                                           cid=each["cid"])
               for name, each in described["sockets"].items()}
    return types.SimpleNamespace(sockets=sockets, told=described["told"])


def _namespace(value):
    """Keys as attributes, except where they are names of the test's own."""
    if isinstance(value, dict):
        fields = {key: _namespace(inner) if not isinstance(inner, dict)
                  else {name: _namespace(each) for name, each in inner.items()}
                  for key, inner in value.items()}
        return types.SimpleNamespace(**fields)
    return value
