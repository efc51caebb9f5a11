"""The global names of a test script."""

import os
import re
import unittest

from . import errors, machine, retrying, vlan


class _Test(unittest.TestCase):
    failureException = errors.RequestedAssertionFailed


def variable_name(name):
    """The variable of a machine called ``name``: what no identifier may hold becomes ``_``."""
    return re.sub(r"^[^A-Za-z_]|[^A-Za-z0-9_]", "_", name)


def general(driver):
    """Those that every test has, in the order in which they are told."""
    return {
        "start_all": driver.start_all,
        "test_script": driver.test_script,
        "machines": driver.machines,
        "machines_qemu": driver.machines_qemu,
        "machines_nspawn": driver.machines_nspawn,
        "vlans": driver.vlans,
        "driver": driver,
        "log": driver.logger,
        "os": os,
        "create_machine": driver.create_machine,
        "subtest": driver.logger.subtest,
        "run_tests": driver.run_tests,
        "join_all": driver.join_all,
        "retry": retrying.retry,
        "serial_stdout_off": driver.serial_stdout_off,
        "serial_stdout_on": driver.serial_stdout_on,
        "polling_condition": driver.polling_condition,
        "BaseMachine": machine.BaseMachine,
        "QemuMachine": machine.QemuMachine,
        "NspawnMachine": machine.NspawnMachine,
        "Machine": machine.QemuMachine,
        "VLan": vlan.VLan,
        "t": _Test(),
        "debug": driver.debug,
        "dump_machine_ssh": driver.dump_machine_ssh,
    }


def build(driver, tell):
    """The globals that the script starts with; ``tell``: those of a NixOS test are printed."""
    names, machines = general(driver), driver.machines
    if tell:
        print("additionally exposed symbols:\n    %s,\n    %s,\n    %s" % (
            ", ".join(each.name for each in machines),
            ", ".join("vlan%s" % each.nr for each in driver.vlans),
            ", ".join(names)))
    if len(machines) == 1:
        names["machine"] = machines[0]
    names.update(("vlan%s" % each.nr, each) for each in driver.vlans)
    names.update((variable_name(each.name), each) for each in machines)
    return names
