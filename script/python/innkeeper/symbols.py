"""The global names of a test script."""

import contextlib
import os
import re
import sys
import time
import unittest

from . import errors, machine, verbs, vlan

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_RETRY_TIMEOUT_S = 900


class Log:
    """The log of the run."""

    def __init__(self, connection):
        self._connection = connection

    def log(self, msg, attrs=None):
        """Adds a line. ``attrs={"machine": name}`` says which machine it is about."""
        self._connection.log("info", msg, (attrs or {}).get("machine"))

    def debug(self, msg):
        """Adds a line for those who look closely."""
        self._connection.log("debug", msg)

    def info(self, msg):
        """Adds a line."""
        self._connection.log("info", msg)

    def warning(self, msg):
        """Adds a line about something odd."""
        self._connection.log("warning", msg)

    def error(self, msg):
        """Adds a line about an error and ends the script with status 1, as the NixOS driver does."""
        self.log_test_error(msg)
        sys.exit(1)

    def log_test_error(self, msg):
        """Adds a line about an error. The script goes on."""
        self._connection.log("error", msg)

    def nested(self, msg, attrs=None):
        """A context manager: what happens inside is shown under ``msg``."""
        return self._connection.scope("step", msg, (attrs or {}).get("machine"))

    @contextlib.contextmanager
    def subtest(self, name):
        """A context manager: a named part of the test, with an outcome of its own in the reports."""
        with self._connection.scope("subtest", name):
            try:
                yield
            except Exception as error:
                self._connection.complete(error)
                self.log_test_error('Test "%s" failed with error: "%s"' % (name, error))
                raise


class _Test(unittest.TestCase):
    failureException = errors.RequestedAssertionFailed


def retry(fn, timeout_seconds=None, timeout=None):
    """Calls ``fn(False)`` until it returns something true, and once more as ``fn(True)`` when time is up.

    Pauses are short at first and grow to one second. The default is 15 minutes.
    """
    if timeout is not None and timeout_seconds is not None:
        raise TypeError("retry() got both 'timeout' and 'timeout_seconds' arguments. Pass only 'timeout'")
    limit = verbs.duration(timeout if timeout is not None else timeout_seconds)
    limit = float(_RETRY_TIMEOUT_S if limit is None else limit)
    started = time.monotonic()
    pause = _FIRST_PAUSE_S
    while time.monotonic() - started < limit:
        if fn(False):
            return
        time.sleep(max(0.0, min(pause, started + limit - time.monotonic())))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    if not fn(True):
        elapsed = time.monotonic() - started
        raise errors.RequestedAssertionFailed(
            "action timed out after %.2f seconds (timeout=%s)" % (elapsed, limit))


def variable_name(name):
    """The variable of a machine called ``name``: what no identifier may hold becomes ``_``."""
    return re.sub(r"^[^A-Za-z_]|[^A-Za-z0-9_]", "_", name)


def build(connection, hello):
    """The globals that the script starts with."""
    machine.add_verbs(connection, hello["verbs"])
    machines = [machine.QemuMachine(connection, description) for description in hello["machines"]]
    machines.sort(key=lambda each: each.name)
    vlan.add_verbs(connection, hello["verbs"])
    vlans = [vlan.VLan(description) for description in hello["vlans"]]
    log = Log(connection)
    symbols = {verb["name"]: verbs.function(connection, verb)
               for verb in hello["verbs"] if verb["target"] == "run"}
    symbols.update(
        machines=machines,
        vlans=vlans,
        log=log,
        subtest=log.subtest,
        retry=retry,
        t=_Test(),
        os=os,
        BaseMachine=machine.BaseMachine,
        QemuMachine=machine.QemuMachine,
        Machine=machine.QemuMachine,
        VLan=vlan.VLan,
    )
    if len(machines) == 1:
        symbols["machine"] = machines[0]
    symbols.update(("vlan%d" % each.nr, each) for each in vlans)
    symbols.update((variable_name(each.name), each) for each in machines)
    return symbols
