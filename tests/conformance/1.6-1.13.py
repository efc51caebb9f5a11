# Keys, retry, polling conditions, exceptions, breakpoints
import datetime
import time

from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.polling_condition import PollingConditionError


@check("1.6 the table of keys: letters, signs, names of QEMU")
def _():
    server.start()
    for key, name in (("A", "shift-a"), ("!", "shift-0x02"), (" ", "spc"), ("\n", "ret"), ("-", "0x0C"), ("x", "x")):
        server.send_key(key, delay=0)
        logged("sending key %r" % name)
    for key in "ctrl-alt-f2 alt_r-2 shift-minus caps_lock-d semicolon backspace meta_l kp_enter esc tab".split():
        server.send_key(key, delay=0)


@check("1.7 `retry(fn, timeout_seconds=None, timeout=None)` in all its forms; `fn` gets one argument")
def _():
    seen = []
    retry(lambda last: seen.append(last) or len(seen) == 3)
    assert seen == [False, False, False]
    for args, kwargs in (((30,), {}), ((), {"timeout": 30}), ((), {"timeout_seconds": 30}),
                         ((), {"timeout": datetime.timedelta(seconds=30)})):
        retry(lambda last: True, *args, **kwargs)
    last = []
    error = raises(RequestedAssertionFailed, "action timed out after 0.", retry, lambda l: last.append(l), timeout=0.1)
    assert last[-1] is True and "(timeout=0.1)" in str(error)
    raises(TypeError, "retry() got both 'timeout' and 'timeout_seconds' arguments. Pass only 'timeout'", retry,
           lambda l: True, timeout=1, timeout_seconds=1)


@check("1.7 `retry`: pauses", differs="short at first and one second at most, so that what comes soon is seen soon")
def _():
    began, calls = time.monotonic(), []
    retry(lambda last: calls.append(0) or len(calls) == 4)
    assert time.monotonic() - began < 1.5


@check("1.7 `retry(fn, n)` of 25.11", differs="`n` is seconds, not tries with a second between")
def _():
    raises(RequestedAssertionFailed, "timed out", retry, lambda last: False, 0.1)


@check("1.8 `polling_condition`, bare and with arguments; description, docstring, name")
def _():
    @polling_condition
    def by_name(): ...

    @polling_condition
    def by_doc():
        "a docstring"

    @polling_condition(seconds_interval=0, description="by argument")
    def other(): ...

    @polling_condition(interval=datetime.timedelta(seconds=1))
    def fourth(): ...
    names = [c.condition.description for c in (by_name, by_doc, other, fourth)]
    assert names == ["by_name", "a docstring", "by argument", "fourth"]


@check("1.8 `with condition:` looks before each command, and fails the test")
def _():
    calls = []

    @polling_condition(seconds_interval=0)
    def holds():
        calls.append(server.execute("true")[0])
    with holds:
        assert driver.polling_conditions
        server.succeed("true")
        server.send_monitor_command("info status")
    assert calls == [0, 0] and driver.polling_conditions == []
    logged("Checking polling condition 'holds'")
    logged("(not called yet)")
    logged("Polling condition succeeded: holds")

    @polling_condition(seconds_interval=0)
    def broken():
        return False

    def work():
        with broken:
            server.succeed("true")
    raises(PollingConditionError, "Polling condition failed: broken", work)
    logged("Polling condition failed: broken")


@check("1.8 conditions are looked at inside of the command's step, before each of several commands")
def _():
    reached = os.path.join(os.getcwd(), "reached")
    commands = ["echo first", "echo second", "touch " + reached]
    looks = []

    @polling_condition(seconds_interval=0)
    def each_time():
        # The step has begun.
        logged("must succeed: " + commands[len(looks)])
        looks.append(commands[len(looks)])
        return len(looks) < 3
    with each_time:
        server.succeed("echo first", "echo second")
    assert looks == commands[:2], looks

    def work():
        with each_time:
            server.succeed(commands[2])
    raises(PollingConditionError, "Polling condition failed: each_time", work)
    assert looks == commands and not os.path.exists(reached)


@check("1.8 conditions while a wait goes on", differs="looked at all the time, not only between two tries: a condition "
       "that fails ends the wait")
def _():
    began = time.monotonic()

    @polling_condition(seconds_interval=0.1)
    def for_a_while():
        return time.monotonic() - began < 0.5

    def work():
        with for_a_while:
            server.wait_until_succeeds("false")
    raises(PollingConditionError, "for_a_while", work)
    assert server.succeed("echo still") == "still\n"


@check("1.8 `condition.wait(timeout_seconds=None, timeout=None)`")
def _():
    tries = []

    @polling_condition
    def soon():
        tries.append(0)
        return len(tries) == 2
    soon.wait(timeout=10)
    logged("waiting for soon")
    logged("(soon failure not fatal yet)")

    @polling_condition
    def never():
        return False
    raises(RequestedAssertionFailed, "timed out", never.wait, timeout=0.1)
    logged("Last chance for never")


@check("1.9 extensions that were seen only elsewhere", missing="`attempt_timeout`, `wait_for_unit_active_state`")
def _():
    assert not hasattr(server, "wait_for_unit_active_state")


@check("1.10 containers (`NspawnMachine`)", differs="status 124 at the end of a timeout, as in machines, not an exception; "
       "standard error is in the log; no viewers of displays; messages speak of machines")
def _():
    # What they do is tested on real ones.
    assert machines_nspawn == []
    for name in "succeed", "execute", "wait_for_unit", "copy_from_machine", "shutdown", "release", "wait_for_x":
        assert hasattr(NspawnMachine, name), name
    for name in "connect", "crash", "reboot", "block", "send_monitor_command", "get_tty_text", "forward_port":
        assert not hasattr(NspawnMachine, name), name


@check("1.11 exceptions: classes and what they derive from")
def _():
    from test_driver.machine.qmp import QMPAPIError
    assert issubclass(RequestedAssertionFailed, AssertionError) and issubclass(MachineError, Exception)
    assert issubclass(PollingConditionError, Exception) and issubclass(QMPAPIError, RuntimeError)
    assert str(QMPAPIError("Class", "what", 7)) == "<QMP API error related to transaction 7 [Class]: what>"
    raises(Exception, "failed", server.succeed, "false")


@check("1.12 interactive mode: `driver.interactive`")
def _():
    assert driver.interactive is False
