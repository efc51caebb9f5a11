# The list of twenty: what a drop-in breaks on if it is forgotten
import queue
import threading


@check("1. several commands, outputs joined")
def _():
    assert server.succeed("echo 1", "echo 2") == "1\n2\n"


@check("2. `Machine` and `QemuMachine` in annotations")
def _():
    def work(one: Machine, other: QemuMachine) -> Machine: ...


@check("3. assignment of attributes; standard types")
def _():
    server.state_dir = server.state_dir
    assert (server.state_dir / "x").name == "x" and isinstance(server.last_lines, queue.Queue)


@check("4. `except RequestedAssertionFailed`, `except Exception`, `AssertionError`")
def _():
    raises(AssertionError, "failed", server.succeed, "false")


@check("5. machines in f-strings")
def _():
    assert f"{server}" == "<QemuMachine 'server'>"


@check("6. `driver.machines.append`, `driver.machines_qemu.append`")
def _():
    driver.machines.append(create_machine("/nonexistent", name="never-started"))


@check("7. `retry`, `polling_condition`, `subtest` with `return` and `break`")
def _():
    retry(lambda last: True)


@check("8. `status, out = execute(...)`, `[1]`")
def _():
    status, out = server.execute("echo x")
    assert server.execute("echo x")[1] == out


@check("9. Python's `re` everywhere")
def _():
    server.execute("echo 'price: 42 EUR' >&2")
    server.wait_for_console_text(r"price: (?P<n>\d+)(?= EUR)")


@check("10. relative paths, `os.environ`, `subprocess` on the host")
def _():
    import pathlib
    pathlib.Path("relative").write_text("x")
    server.copy_from_host("relative", os.getcwd() + "/absolute")
    assert pathlib.Path("absolute").read_text() == "x"


@check("13. threads, also of one machine")
def _():
    results = {}

    def work(machine, n):
        results[machine.name, n] = machine.succeed("sleep 0.05; echo %d" % n)
    threads = [threading.Thread(target=work, args=(m, n)) for m in machines for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == {(m.name, n): "%d\n" % n for m in machines for n in range(4)}


@check("14. `start_command` with shell syntax and variables; scripts that take their time")
def _():
    os.environ["NOT_FOR_THE_DRIVER"] = "1"
    slow = create_machine("sleep 0.3; A=b exec ${STAND_IN_VM}", name="slow")
    assert slow.succeed("echo $A") == "b\n"
    slow.crash()


@check("14. variables that the script sets for start scripts: `os.environ[\"NIX_DISK_IMAGE\"] = path`")
def _():
    os.environ["NIX_DISK_IMAGE"], os.environ["WITH_QUOTES"] = "/some/disk.qcow2", "it's \"$HOME\""
    told = create_machine('echo "$NIX_DISK_IMAGE $WITH_QUOTES ${TMPDIR##*/}" >told; exec "$STAND_IN_VM"', name="told")
    os.environ["TMPDIR"], kept = "/elsewhere", os.environ["TMPDIR"]
    told.start()
    assert (told.state_dir / "told").read_text() == '/some/disk.qcow2 it\'s "$HOME" vm-state-told\n'
    os.environ["TMPDIR"] = kept
    del os.environ["NIX_DISK_IMAGE"], os.environ["WITH_QUOTES"]
    told.crash()
    told.start()
    assert (told.state_dir / "told").read_text() == "  vm-state-told\n"
    told.crash()


@check("15. what was never started is not booted at the end; `shutdown()` of what is off does nothing")
def _():
    create_machine("/nonexistent/never").shutdown()


@check("16. `-` in names: `_` in variables")
def _():
    from test_driver.driver import pythonize_name
    assert pythonize_name("a-b") == "a_b"


@check("17. names of screenshots with a directory or an ending")
def _():
    os.mkdir("shots")
    server.screenshot("./shots/x.png")
    assert os.path.exists("shots/x.png")


@check("18. durations as floats, ints, `timedelta`s")
def _():
    import datetime
    server.send_chars("a", delay=0.01)
    server.sleep(0)
    server.sleep(datetime.timedelta(0))


@check("19. `vm-state-<name>` in the directory for temporary files, and files that were put there before the start")
def _():
    kept = create_machine(os.environ["STAND_IN_VM"], name="kept")
    (kept.state_dir / "put").write_text("x")
    kept.start()
    assert (kept.state_dir / "put").exists() and kept.state_dir == server.tmp_dir / "vm-state-kept"
    kept.crash()
