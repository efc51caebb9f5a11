# The `driver` object
@check("`config`, with the fields of the file")
def _():
    assert driver.config.global_timeout == 120 and driver.config.vlans == [1, 2]
    assert driver.config.vms["server"].name == "server"


@check("`tests`, `out_dir`, `logger`, `debug`, `interactive`, `keep_machine_state`, `vlans`")
def _():
    assert "def check(" in driver.tests and driver.out_dir.is_dir() and driver.logger is log and driver.debug is debug
    assert driver.interactive is False and driver.keep_machine_state is False and driver.vlans == vlans


@check("`polling_conditions`, `race_timer`, `vhost_vsock`")
def _():
    assert driver.polling_conditions == [] and driver.race_timer.cancel() is None and driver.vhost_vsock is None


@check("`machines`: a new sorted list each time")
def _():
    assert driver.machines is not driver.machines and [m.name for m in driver.machines] == ["client", "server"]


@check("`driver.machines_qemu.append(m)`, `driver.machines.append(m)`", differs="both are kept, as 25.11 and 26.05 each have "
       "one of them; a machine that the script has made is ended with the run in any case")
def _():
    one = create_machine(os.environ["STAND_IN_VM"], name="appended-1")
    two = create_machine(os.environ["STAND_IN_VM"], name="appended-2")
    driver.machines.append(one)
    driver.machines_qemu.append(two)
    assert one in driver.machines and two in driver.machines and one in machines_qemu
    start_all()
    assert one.booted and two.booted
    machines_qemu.remove(one)
    machines_qemu.remove(two)
    one.crash()
    two.crash()


@check("methods: `start_all`, `join_all`, `test_script`, `run_tests`, `create_machine`, `subtest`, `test_symbols`, "
       "`dump_machine_ssh`, `serial_stdout_on`, `serial_stdout_off`, `check_polling_conditions`, `polling_condition`, "
       "`terminate_test`")
def _():
    for name in ("start_all join_all test_script run_tests create_machine subtest test_symbols dump_machine_ssh "
                 "serial_stdout_on serial_stdout_off check_polling_conditions polling_condition terminate_test").split():
        assert callable(getattr(driver, name)), name
    assert driver.test_symbols()["server"] is server
    with driver.subtest("by the driver"):
        pass
