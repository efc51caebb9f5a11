# Methods of all machines
import datetime
import pathlib

from test_driver.errors import MachineError, RequestedAssertionFailed

here = pathlib.Path(os.getcwd())


@check("`execute(command, check_return=True, check_output=True, timeout=15min)`: status and output")
def _():
    status, out = server.execute("echo out; exit 3")
    assert (status, out) == (3, "out\n") and server.execute("true")[0] == 0
    assert server.execute("kill -9 $$")[0] == 137


@check("`execute`: 124 after the timeout; numbers, floats and `timedelta`s")
def _():
    assert server.execute("sleep 20", timeout=1)[0] == 124
    assert server.execute("sleep 20", timeout=0.5)[0] == 124
    assert server.execute("sleep 20", timeout=datetime.timedelta(seconds=0.5))[0] == 124


@check("`execute(check_return=False)` gives -1, `check_output=False` gives -2 at once")
def _():
    assert server.execute("echo x", check_return=False) == (-1, "x\n")
    assert server.execute("sleep 0.2", check_output=False) == (-2, "")
    assert server.succeed("echo next") == "next\n"


@check("`execute`: bytes that are no UTF-8 are replaced, and refused with `check_return=False`")
def _():
    assert server.execute(r"printf 'a\377b'") == (0, "a\ufffdb")
    raises(UnicodeDecodeError, "utf-8", server.execute, r"printf 'a\377b'", check_return=False)


@check("durations: `bool` is refused")
def _():
    raises(TypeError, "expected a duration, got bool", server.execute, "true", timeout=True)


@check("durations: a bare number is warned of, at its line of the script")
def _():
    import contextlib, io
    with contextlib.redirect_stderr(io.StringIO()) as said:
        server.execute("true", timeout=7)
    text = said.getvalue()
    assert "??? Warning (UserWarning): \x1b[22mexecute(): passing a bare int/float as a duration is deprecated. "            "Use datetime.timedelta instead.\n    File \"<string>\", line " in text, text
    assert "server.execute(\"true\", timeout=7)" in text, text


@check("`succeed(*commands, timeout=None)`: outputs joined, ends of lines kept")
def _():
    assert server.succeed("echo a", "printf b") == "a\nb"
    logged('<head machine="server">must succeed: echo a</head>')
    raises(RequestedAssertionFailed, "command `echo no; exit 2` failed (exit code 2)", server.succeed, "echo no; exit 2")
    logged('<line machine="server">output: no')


@check("`fail(*commands, timeout=None)`")
def _():
    assert server.fail("echo a; false", "echo b; false") == "a\nb\n"
    logged('<head machine="server">must fail: echo b; false</head>')
    raises(RequestedAssertionFailed, "command `true` unexpectedly succeeded", server.fail, "true")


@check("`wait_until_succeeds(command, timeout=15min)`, `wait_until_fails`")
def _():
    assert server.wait_until_succeeds("echo yes") == "yes\n" and server.wait_until_fails("echo no; false") == "no\n"
    logged("waiting for success: echo yes")
    logged("waiting for failure: echo no; false")
    error = raises(RequestedAssertionFailed, "action timed out after", server.wait_until_succeeds, "false", timeout=0.3)
    assert "(timeout=0.3)" in str(error)


@check("the message of a wait that has failed", differs="its first line is the same; more lines say what was there instead")
def _():
    error = raises(RequestedAssertionFailed, "action timed out after", server.wait_until_succeeds, "echo seen; false",
                   timeout=0.3)
    assert "seen" in str(error)


@check("`sleep(secs)`, `sleep(duration=...)`: of the guest")
def _():
    server.sleep(0)
    server.sleep(duration=datetime.timedelta(seconds=0.01))
    raises(Exception, "sleep() got both 'duration' and 'secs'. Pass only 'duration'", server.sleep, secs=1, duration=1)
    raises(Exception, "sleep() missing required argument 'duration'", server.sleep)


@check("`sleep()` with wrong arguments", differs="a `ValueError`, not a `TypeError`")
def _():
    raises(ValueError, "sleep()", server.sleep)


@check("`systemctl(q, user=None)`, `start_job`, `stop_job`")
def _():
    assert server.systemctl("daemon-reload") == (0, "systemctl daemon-reload\n")
    assert server.systemctl("status x", user="alice")[0] == 0
    assert server.start_job("x") == (0, "start x\n") and server.stop_job("x") == (0, "stop x\n")


@check("`wait_for_unit(unit, user=None, timeout=15min)`")
def _():
    server.wait_for_unit("good.service")
    logged("<head machine=\"server\">waiting for unit good.service</head>")
    raises(RequestedAssertionFailed, 'unit "bad.service" reached state "failed"', server.wait_for_unit, "bad.service")


@check("`wait_for_unit` of a unit without a job", differs="it has five seconds to get one (`grace`), so that a unit that "
       "is about to be started is not a failure")
def _():
    raises(RequestedAssertionFailed, 'unit "idle.service" is inactive and there are no pending jobs',
           server.wait_for_unit, "idle.service", grace=0)


@check("`get_unit_info(unit, user=None)`, `get_unit_property(unit, property, user=None)`")
def _():
    info = server.get_unit_info("good.service")
    assert info["ActiveState"] == "active" and info["Description"] == "a=b"
    assert server.get_unit_property("good.service", "SubState") == "value of SubState"
    raises(RequestedAssertionFailed, 'retrieving systemctl info for unit "missing.x" failed with exit code 4',
           server.get_unit_info, "missing.x")
    raises(RequestedAssertionFailed, 'retrieving systemctl property "P" for unit "missing.x" failed with exit code 4',
           server.get_unit_property, "missing.x", "P")


@check("`require_unit_state(unit, require_state=\"active\")`")
def _():
    server.require_unit_state("good.service")
    server.require_unit_state("bad.service", "failed")
    raises(RequestedAssertionFailed, "Expected unit 'bad.service' to to be in state 'active' but it is in state 'failed'",
           server.require_unit_state, "bad.service")
    logged("checking if unit 'bad.service' has reached state 'active'")


@check("`wait_for_file(filename, timeout=15min)`: with patterns")
def _():
    server.succeed("touch %s/a-file" % here)
    server.wait_for_file("%s/a-fi*" % here)
    logged("waiting for file '%s/a-fi*'" % here)


@check("`wait_for_open_port(port, addr=\"localhost\", timeout=15min)`, `wait_for_closed_port`")
def _():
    server.wait_for_open_port(80)
    server.wait_for_closed_port(81, addr="127.0.0.1")
    logged("waiting for TCP port 80 on localhost")
    logged("waiting for TCP port 81 on 127.0.0.1 to be closed")


@check("`wait_for_open_unix_socket(addr, is_datagram=False, timeout=15min)`")
def _():
    server.wait_for_open_unix_socket("/run/open")
    logged("waiting for UNIX-domain stream on '/run/open'")
    server.wait_for_open_unix_socket("/run/open", is_datagram=True)
    logged("waiting for UNIX-domain datagram on '/run/open'")


@check("`get_window_names()`, `wait_for_window(regexp, timeout=15min)`, `wait_for_x(timeout=15min)`")
def _():
    assert server.get_window_names() == ["A terminal", "A clock"]
    server.wait_for_window("(?i)TERMINAL$")
    logged("waiting for a window to appear")
    raises(RequestedAssertionFailed, "timed out", server.wait_for_window, "none", timeout=0.1)
    logged("Last chance to match none on the window list, which currently contains: A terminal, A clock")


@check("`send_key(key, delay=10ms, log=True)`, `send_chars(chars, delay=10ms)`")
def _():
    server.send_key("ret")
    server.send_key("A", delay=0, log=False)
    server.send_chars("a b\n", delay=0.001)
    logged("sending key 'ret'")
    logged("sending keys 'a b\\n'")


@check("`screenshot(filename)`: a name goes into the output directory, `.png` is added")
def _():
    server.screenshot("one")
    server.screenshot("two.png")
    server.screenshot(str(here / "three.png"))
    assert (driver.out_dir / "one.png").exists() and (driver.out_dir / "two.png").exists()
    assert (here / "three.png").exists()
    logged('image="one.png">making screenshot %s/one.png' % driver.out_dir)


@check("`get_screen_text()`, `get_screen_text_variants()`, `wait_for_text(regex, timeout=15min)`",
       differs="one engine of our own reads the screen, in one variant, instead of three runs of "
       "tesseract; real machines are read in the tests of screens")
def _():
    text = server.get_screen_text()
    assert isinstance(text, str) and server.get_screen_text_variants() == [text]
    server.wait_for_text("", timeout=60)
    raises(Exception, "timed out after", lambda: server.wait_for_text("no such text", timeout=0.5))


@check("`copy_from_host(source, target)`: files and directories", differs="through the agent or the shell, without the "
       "9p share: it works in every guest, and the steps in the log are others")
def _():
    (here / "tree" / "inner").mkdir(parents=True)
    (here / "tree" / "inner" / "file").write_text("content")
    server.copy_from_host("tree", "%s/copied" % here)
    assert server.succeed("cat %s/copied/inner/file" % here) == "content"


@check("`copy_from_host_via_shell(source, target)`", differs="of any size")
def _():
    (here / "large").write_bytes(b"x" * 300000)
    server.copy_from_host_via_shell(str(here / "large"), "%s/sub/large" % here)
    assert server.succeed("wc -c <%s/sub/large" % here).strip() == "300000"


@check("`copy_from_machine(source, target_dir=\"\")`, `copy_from_vm` with a `DeprecationWarning`")
def _():
    server.succeed("mkdir -p %s/from; echo text >%s/from/guest" % (here, here))
    server.copy_from_machine("%s/from/guest" % here)
    server.copy_from_machine("%s/from" % here, "dir")
    assert (driver.out_dir / "guest").read_text() == "text\n" and (driver.out_dir / "dir/from/guest").exists()
    import contextlib, io
    with contextlib.redirect_stderr(io.StringIO()) as said:
        server.copy_from_vm("%s/from/guest" % here, "old")
    assert "(DeprecationWarning): \x1b[22mUse copy_from_machine() instead" in said.getvalue(), said.getvalue()


@check("`start()`, `shutdown()`, `wait_for_shutdown(timeout=None)`, `is_up()`, `release()`")
def _():
    client.shutdown()
    client.start()
    assert client.booted and not client.is_up()
    client.connect()
    assert client.is_up()
    client.shutdown()
    assert not client.is_up() and not client.booted
    client.wait_for_shutdown()
    logged("waiting for the VM to power off")
    client.start()
    import subprocess
    raises(subprocess.TimeoutExpired, "", client.wait_for_shutdown, timeout=0.1)
    client.release()
    assert not client.booted
    logged("kill QemuMachine (pid ")


@check("`ssh_backdoor_command()`: empty without the backdoor")
def _():
    assert server.ssh_backdoor_command() == ""


@check("`log(msg)`, `log_serial(msg)`, `nested(msg, attrs={})`, `run_callbacks()`, `cleanup_statedir()`")
def _():
    server.log("said by server")
    logged('<line machine="server">said by server</line>')
    with server.nested("around it"):
        server.succeed("true")
    logged('<head machine="server">around it</head>')
    server.log_serial("as if printed")
    server.run_callbacks()
    client.cleanup_statedir()
    assert not client.state_dir.exists()
    client.state_dir.mkdir(mode=0o700)


@check("attributes: `name`, `out_dir`, `tmp_dir`, `state_dir`, `shared_dir` (paths), `callbacks`, `keep_machine_state`, "
       "`logger`")
def _():
    assert server.name == "server" and server.state_dir == server.tmp_dir / "vm-state-server"
    assert server.out_dir == driver.out_dir and server.shared_dir == server.tmp_dir / "shared-xchg"
    assert isinstance(server.callbacks, list) and server.keep_machine_state is False and server.logger is log
    assert (server.state_dir.stat().st_mode & 0o777) == 0o700


@check("`repr(machine)`; machines are compared by identity, and can be keys")
def _():
    assert repr(server) == "<QemuMachine 'server'>" and f"{client}" == "<QemuMachine 'client'>"
    assert {server: 1, client: 2}[server] == 1 and server != client
    assert sorted(machines, key=lambda m: m.name)[0] is client


@check("`wait_for_x(timeout=15min)`")
def _():
    raises(RequestedAssertionFailed, "timed out", server.wait_for_x, timeout=0.1) if not os.path.exists(
        "/tmp/.X11-unix/X0") else server.wait_for_x()
    logged("waiting for the X11 server")
