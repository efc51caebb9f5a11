# How the script is executed
@check("one flat module: functions, closures and classes see its globals")
def _():
    assert "check" in globals() and "__file__" not in globals()


@check("`__name__` is `builtins`")
def _():
    assert __name__ == "builtins"


@check("the code's file is `<string>`")
def _():
    import sys
    assert sys._getframe().f_code.co_filename == "<string>"


@check("the working directory is the driver's, the environment too")
def _():
    assert os.path.exists("conformance-config.json") and os.environ["CONFORMANCE_ROWS"]


@check("the whole standard library can be imported")
def _():
    import json, pathlib, queue, shlex, socket, subprocess, tempfile, unittest
    assert subprocess.run(["true"]).returncode == 0


@check("Python", differs="3.9 or later will do, whichever `python3` is in `PATH`; it is a process of its own, so that a "
       "script that crashes does not take the driver with it")
def _():
    import sys
    assert sys.version_info >= (3, 9)


@check("`test_driver.*` can be imported, with the classes that are raised")
def _():
    from test_driver.debug import DebugAbstract, DebugNop
    from test_driver.driver import Driver
    from test_driver.efi import EfiGuid, EfiVariable
    from test_driver.errors import MachineError, RequestedAssertionFailed
    from test_driver.logger import AbstractLogger, CompositeLogger, LogLevel
    from test_driver.machine import BaseMachine as Base, Machine as Old, NspawnMachine as Nspawn, QemuMachine as Qemu
    from test_driver.machine.qmp import QMPAPIError, QMPSession
    from test_driver.polling_condition import PollingCondition, PollingConditionError
    from test_driver.vlan import VLan
    assert isinstance(driver, Driver) and isinstance(server, Qemu) and Old is Machine and isinstance(vlan1, VLan)
    assert isinstance(log, AbstractLogger) and isinstance(log, CompositeLogger) and isinstance(debug, DebugAbstract)
    raises(RequestedAssertionFailed, "failed (exit code 1)", server.succeed, "false")
