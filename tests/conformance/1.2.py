# Global names
import threading

from test_driver.errors import MachineError


@check("`start_all()`")
def _():
    start_all()
    assert server.booted and client.booted
    logged("<head>start all VMs</head>")


@check("`start_all()` when machines fail", differs="one failure is that machine's own error; of several the text is the "
       "same list")
def _():
    broken = create_machine("/nonexistent/run-broken-vm")
    raises(MachineError, "broken", broken.start)


@check("`test_script()`, `run_tests()`")
def _():
    assert callable(test_script) and callable(run_tests)


@check("`machines`: a list sorted by name")
def _():
    assert isinstance(machines, list) and [m.name for m in machines] == ["client", "server"]
    assert machines[0] is client


@check("`machines_qemu`, `machines_nspawn`: the driver's own lists")
def _():
    assert machines_qemu is driver.machines_qemu and machines_nspawn is driver.machines_nspawn


@check("`vlans`, `vlan<N>`")
def _():
    assert [v.nr for v in vlans] == [1, 2] and vlans[0] is vlan1 and repr(vlan2) == "<Vlan Nr. 2>"
    assert os.environ["QEMU_VDE_SOCKET_1"] == str(vlan1.socket_dir) and vlan1.pid
    assert (vlan1.socket_dir / "ctl").exists()


@check("VLANs", differs="the switch is a part of the driver, not a process `vde_switch`: `process` is not there, `pid` is "
       "the driver's, `tap_name` is None without a tap device")
def _():
    assert vlan1.tap_name is None


@check("`driver`")
def _():
    assert driver.machines[0] is client


@check("`log`: `log`, `debug`, `info`, `warning`, `nested`, `subtest`, `log_test_error`, `log_serial`, `set_log_level`")
def _():
    from test_driver.logger import LogLevel
    log.log("a plain line")
    log.log("about client", {"machine": "client"})
    log.debug("a debug line")
    log.info("an info line")
    log.warning("a warning line")
    log.log_test_error("an error line")
    log.log_serial("a serial line", "client")
    with log.nested("a nest", {"machine": "client"}):
        with log.subtest("a subtest"):
            pass
    for text in ("a plain line", '<line machine="client">about client', "an info line", "a warning line",
                 "an error line", "a serial line", '<head machine="client">a nest', "subtest: a subtest"):
        logged(text)
    log.set_log_level(LogLevel.WARNING)
    log.info("left out")
    log.log("not left out")
    log.set_log_level(LogLevel.INFO)
    logged("not left out")
    with open(os.environ["LOGFILE"]) as file:
        assert "left out</line><line>not" not in file.read().replace("\n", "")


@check("`log.error()` prints and exits with status 1")
def _():
    try:
        log.error("the end")
    except SystemExit as error:
        assert error.code == 1
    else:
        raise AssertionError("it went on")


@check("`os`")
def _():
    import os as real
    assert os is real


@check("`create_machine(start_command, *, name=None, keep_machine_state=False)`")
def _():
    made = create_machine(os.environ["STAND_IN_VM"], name="made")
    assert isinstance(made, QemuMachine) and made.name == "made" and made not in driver.machines
    assert made.succeed("echo made") == "made\n"
    made.crash()


@check("`create_machine()`: the name comes from `run-(.+)-vm$`, or is `machine`")
def _():
    assert create_machine("/x/run-some-name-vm").name == "some-name"
    assert create_machine("qemu-system-x86_64 -m 1").name == "machine"


@check("`create_machine({...})`, as until 23.11")
def _():
    old = create_machine({"startCommand": os.environ["STAND_IN_VM"], "name": "old"})
    assert old.succeed("echo old") == "old\n"
    old.crash()
    text = str(create_machine({"hda": "disk.img", "hdaInterface": "scsi", "qemuFlags": "-m 9", "cdrom": "c.iso",
                               "usb": "u.img", "bios": "b.fd", "name": "parts"}).start_command)
    for part in ("scsi-hd,drive=hda", os.path.abspath("disk.img"), "-cdrom c.iso", "usb-storage", "-bios b.fd", "-m 9"):
        assert part in text, text


@check("`create_machine()`: two of one name", differs="the second has a directory of its own while the first runs; the "
       "NixOS driver removes the first one's disks")
def _():
    one = create_machine(os.environ["STAND_IN_VM"], name="twin")
    one.start()
    two = create_machine(os.environ["STAND_IN_VM"], name="twin")
    assert one.state_dir != two.state_dir
    one.crash()


@check("`subtest(name)`, nested, with its error told and raised again")
def _():
    def work():
        with subtest("outer one"):
            with subtest("inner one"):
                return "left by return"
    assert work() == "left by return"
    for _ in "a":
        with subtest("left by break"):
            break

    def bad():
        with subtest("bad one"):
            raise ValueError("oh")
    raises(ValueError, "oh", bad)
    logged('Test "bad one" failed with error: "oh"')
    logged("<head>subtest: bad one</head>")


@check("`join_all()`")
def _():
    one = threading.Thread(target=join_all)
    one.start()
    for machine in machines:
        machine.crash()
    one.join(10)
    assert not one.is_alive()
    logged("wait for all VMs to finish")


@check("`join_all()`", differs="the global timeout stays: what hangs after it is ended, too")
def _():
    driver.race_timer.cancel()


@check("`serial_stdout_off()`, `serial_stdout_on()`")
def _():
    serial_stdout_off()
    server.start()
    server.succeed("echo hidden-serial-line >&2")
    server.wait_for_console_text("hidden-serial-line")
    serial_stdout_on()
    server.succeed("echo shown-serial-line >&2")
    logged('type="serial">shown-serial-line')
    with open(os.environ["LOGFILE"]) as file:
        assert 'type="serial">hidden-serial-line' not in file.read()


@check("`polling_condition`, `retry`, `debug`, `t`")
def _():
    assert callable(polling_condition) and callable(retry) and debug.breakpoint() is None


@check("`BaseMachine`, `QemuMachine`, `NspawnMachine`; `Machine` of old")
def _():
    def helper(machine: Machine, other: QemuMachine, any: BaseMachine, container: "NspawnMachine") -> None: ...
    assert isinstance(server, BaseMachine) and isinstance(server, Machine) and not isinstance(server, NspawnMachine)


@check("`t`: a `unittest.TestCase` whose failures are `RequestedAssertionFailed`")
def _():
    from test_driver.errors import RequestedAssertionFailed
    t.assertEqual(1, 1)
    t.assertIn("a", "abc")
    with t.assertRaises(ValueError):
        raise ValueError
    with t.subTest(part=1):
        t.assertTrue(True)
    raises(RequestedAssertionFailed, "1 != 2", t.assertEqual, 1, 2)
    raises(RequestedAssertionFailed, "no", t.fail, "no")


@check("`dump_machine_ssh()`: nothing without the backdoor")
def _():
    dump_machine_ssh()


@check("one variable for each machine, with `_` for what no identifier has")
def _():
    from test_driver.driver import pythonize_name
    assert [pythonize_name(n) for n in ("a-b", "0a-b.c", "x_1")] == ["a_b", "_a_b_c", "x_1"]


@check("`machine`: the only machine, whatever it is called", differs="without a warning: it is going to stay")
def _():
    assert "machine" not in globals()
