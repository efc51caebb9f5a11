//! Start scripts, the shell, the life of a test, how failures are told.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::stage::{Row, STAND_IN, Stage, check};

/// Waits in vain, sleeps, and tells of errors.
const LINES: &str = "server.sleep(1)\ntry:\n    server.wait_for_file('/nowhere', timeout=0.1)\n\
                     except Exception as error:\n    log.log_test_error(str(error))\n\
                     log.error('two\\nlines')\n";

pub(super) fn rows() -> Vec<Row> {
    let log = Stage::new(LINES).run(&[]).log();
    // A row of a line that differs, which is in that log.
    let told = |name: &str, line: &str, reason: &str| {
        check(name, || assert!(log.contains(line), "no `{line}` in {log}")).differs(reason)
    };
    vec![
        check("3.1 start scripts are shell commands, started in the machine's directory; arguments come as `\"$@\"`", || {
            let stage = Stage::with("x.start()\nprint('line', open(x.state_dir / 'line').read())", &["x"]);
            let file = stage.path().join("run-x-vm");
            fs::remove_file(&file).expect("what the stage has made");
            fs::write(&file, format!("#!/bin/sh\necho $PWD \"$@\" >line\nexec '{STAND_IN}' \"$@\"\n")).expect("what the stage has made");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("what the stage has made");
            let said = stage.run(&[]).ended(0).stdout;
            for part in [
                "tmp/vm-state-x ",
                "-chardev socket,id=shell,path=",
                "-device virtio-serial -device virtconsole,chardev=shell",
                "-device virtio-rng-pci",
                "-serial stdio",
                "-no-reboot",
                "-nographic",
                "-qmp unix:",
                "-monitor unix:",
            ] {
                assert!(said.contains(part), "no `{part}` in {said}");
            }
        }),
        check("3.1 a `TMPDIR` as long as the sockets of a machine let it be", || {
            let stage = Stage::with("server.succeed('true')", &["server"]);
            let mut config = stage.config();
            config["vlans"] = json!([]);
            stage.configure(&config);
            // Whatever the host's `TMPDIR` is.
            let short = tempfile::tempdir_in("/tmp").expect("a directory");
            let folder = short.path().join("x".repeat(82 - short.path().as_os_str().len()));
            fs::create_dir(&folder).expect("what the stage has made");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json", "-oout", "--with-accel=tcg"]).env("TMPDIR", folder);
            stage.finish(command).ended(0);
        }),
        check("3.1 arguments", || {})
            .differs("QEMU is also given a control channel and a port for files, which the driver keeps to itself; the sockets \
                      `qmp` and `monitor` are QEMU's, for scripts"),
        check("3.2 the shell: `set -euo pipefail`, each command anew, output to the last holder, UTF-8 replaced", || {
            let script = "server.fail('false | true')\nserver.fail('echo $undefined')\n\
                          server.succeed('cd /; x=1')\nassert server.succeed('echo ${x-none}') == 'none\\n'\n\
                          assert server.succeed('(sleep 0.2; echo late) &') == 'late\\n'\n\
                          assert server.succeed(\"printf 'a\\\\377'\") == 'a\\ufffd'\n\
                          quoted = \"echo \\\"it's\\\" '\\\"'\"\nassert server.succeed(quoted) == 'it\\'s \"\\n'\n";
            Stage::new(script).run(&[]).ended(0);
        }),
        check("3.2 standard error of commands is in the log, and text of the console", || {
            let script = "server.succeed('echo to-stderr >&2')\nserver.wait_for_console_text('to-stderr', timeout=60)\n";
            Stage::new(script).run(&[]).ended(0).says("server # to-stderr");
        }),
        check("3.2 standard error of what goes on in the background", || {}).differs(
            "with the agent, what comes after the end of its command is not heard: let it write to `/dev/console`",
        ),
        check("3.4, 3.5 QEMU's command line and QMP", || {
            let script = "assert 'running' in server.send_monitor_command('info status') if server.start() is None else 0\n\
                          assert server.qmp_client.send('query-status')['return']['running']\n";
            Stage::new(script).run(&[]).ended(0);
        }),
        check("3.6 VDE: `-netdev vde,sock=\"$QEMU_VDE_SOCKET_<N>\"`", || {})
            .differs("the switch is a part of the driver and speaks that protocol; the tests of start scripts with several \
                      machines use it"),
        check("2.3 and 3.7 `enable_ssh_backdoor`: `vhost-device-vsock`, QEMU's device, how to reach each machine", ssh_backdoor)
            .differs("the sockets are in the machines' directories; without the program the test goes on, and says so"),
        check("3.8 copies", || {}).differs("through the agent or the shell instead of the 9p share"),
        check("3.9 text on the screen", || {})
                .differs("one engine of our own, in one variant; real machines are read in the tests of screens"),
        check("4.1 the order of a test's lines", || {
            let script = "start_all()\nserver.connect()\n";
            let said = Stage::new(script).run(&[]).ended(0).log();
            let mut rest = said.as_str();
            for line in [
                "Machine state will be reset",
                "start all VLans",
                "start vlan",
                "running vlan (pid ",
                "(finished: start all VLans, in ",
                "Test will time out and terminate in 120.0 seconds",
                "run the VM test script",
                "start all VMs",
                "(finished: start all VMs, in ",
                "server: waiting for the VM to finish booting",
                "server: connected to guest root shell",
                "server: (connecting took ",
                "server: (finished: waiting for the VM to finish booting, in ",
                "(finished: run the VM test script, in ",
                "test script finished in ",
                "cleanup",
                "kill machine ",
                "kill vlan (pid ",
                "(finished: cleanup, in ",
            ] {
                let (_, after) = rest.split_once(line).unwrap_or_else(|| panic!("no `{line}` in {rest}\nof {said}"));
                rest = after;
            }
        }),
        check("4.1 lines", || {})
            .differs("`kill machine NAME (pid N)` instead of `kill QemuMachine (pid N)`; lines that say more: the seed of the \
                      networks' faults, a KVM that is slow, the steps of `block()`, `unblock()` and `forward_port()`; a guest's \
                      greeting comes when it is heard, not when somebody waits for it"),
        check("4.1 lines of VLANs", || {}).differs(
            "`start vlan`, and `creating tap interface` only with one; the sockets are in a directory of the run, and there \
             is no `vde_switch` that speaks of its own end",
        ),
        told(
            "4.1 the words of a wait in vain",
            " seconds (timeout=0.1)\n!!! waited for ",
            "seconds and the timeout, as in 26.05, also by the flags of 25.11, whose driver counts tries; and more lines, on \
             what was awaited and seen",
        ),
        check("4.1 how often a wait looks", || {})
            .differs("sooner than a second after the last look, where that costs little; so a condition that is awaited tells \
                      of more looks in the log"),
        told(
            "4.1 the seconds of `sleep()`",
            "server: must succeed: sleep 1.0\n",
            "`sleep 1.0`, as in 26.05, also by the flags of 25.11, whose driver has `sleep 1`",
        ),
        check("4.1 `additionally exposed symbols:` on standard output", || {
            let said = Stage::new("pass").run(&[]).ended(0).stdout;
            assert!(said.starts_with("additionally exposed symbols:\n    client, server,\n    vlan1, vlan2,\n    start_all, "));
        }),
        check("4.1 guests that are up write their disks at the end; a machine boots at its first command, and again after \
               `shutdown()`", || {
            let script = "assert server.succeed('echo 1') == '1\\n'\nserver.shutdown()\n\
                          assert server.succeed('echo 2') == '2\\n'\n";
            Stage::new(script).run(&[]).ended(0);
        }),
        check("4.2 the global timeout: machines are ended, files are written", || {
            let stage = Stage::new("start_all()\nserver.succeed('sleep 100')");
            let mut config = stage.config();
            config["global_timeout"] = 4.into();
            stage.configure(&config);
            stage.run(&["--junit=j.xml"]).ended(143).says("timeout reached; test terminating...").says("kill machine");
            assert!(stage.log_xml().ends_with("</logfile>\n") && stage.out().join("j.xml").exists());
        }),
        check("4.2 what is told after it", || {})
            .differs("the clean-up, as after any test; the NixOS driver ends itself in the middle of it"),
        check("4.3 a failed assertion: frames of the script alone, `!!! ` before each line, the message at the end", || {
            let script = "def helper():\n    server.succeed('exit 4')\n\nhelper()\n";
            let said = Stage::new(script).run(&[]).ended(1);
            let expected = "!!! Traceback (most recent call last):\n!!!   File \"<string>\", line 4, in <module>\n!!!     \
                            helper()\n!!!   File \"<string>\", line 2, in helper\n!!!     server.succeed('exit 4')\n!!! \n!!! \
                            RequestedAssertionFailed: command `exit 4` failed (exit code 4)\n";
            let log = said.log();
            assert!(log.replace(['~', '^'], "").contains(expected), "{log}");
            assert!(!log.contains("(finished: run the VM test script"), "{log}");
            assert!(said.stderr.contains("\u{1b}[31m!!! \u{1b}[0mTraceback"), "{}", said.stderr);
        }),
        check("4.3 all other exceptions", || {
            let said = Stage::new("x = 3\nassert x == 4\n").run(&[]).ended(1).log();
            assert!(said.contains("!!! AssertionError: assert x == 4\n!!!   x = 3\n"), "{said}");
        })
        .differs("told in the same way, with the script's frames alone, before the clean-up, and by their plain names; what led \
                  to them is told, too; a bare `assert` says what it compared, and a wrong argument names the method"),
        told(
            "4.3 `!!! ` before errors",
            "!!! two\n!!! lines\n",
            "also before the second line of one, and before what `log.error()` says",
        ),
        check("4.3 in a subtest, its name is told first", || {
            let said = Stage::new("with subtest('part'):\n    1/0\n").run(&[]).ended(1).log();
            let at = said.find("!!! Test \"part\" failed with error: \"division by zero\"").expect("the subtest's error");
            assert!(said.find("Traceback").expect("what the stage has made") > at, "{said}");
        }),
        check("4.4 Ctrl-C and SIGTERM end machines; so does `kill -9` of the driver", || {})
            .differs("with SIGTERM and `kill -9` the NixOS driver leaves machines behind"),
    ]
}

fn ssh_backdoor() {
    let script = r#"
sockets = driver.vhost_vsock.sockets
assert sorted(sockets) == ["client", "server"] and sockets["client"].cid == 3 and sockets["server"].cid == 4
server.start()
assert server.vsock_host == sockets["server"].host and server.vsock_host.is_socket()
assert server.ssh_backdoor_command() == f"ssh -o User=root vsock-mux/{server.vsock_host}"
words = open(f"/proc/{server.pid}/cmdline").read().split("\0")
assert f"socket,id=vsock_ssh,path={server.vsock_guest}" in words, words
assert "vhost-user-vsock-pci,chardev=vsock_ssh" in words, words
dump_machine_ssh()
other = create_machine("true", name="other")
assert other.vsock_host is None and other.ssh_backdoor_command() == ""
"#;
    let stage = Stage::new(script);
    let mut config = stage.config();
    config["enable_ssh_backdoor"] = json!(true);
    stage.configure(&config);
    stage
        .run(&["--test-script", "/dev/null"])
        .ended(0)
        .says("the SSH backdoor")
        .says("the test goes on without");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/stand-in-vsock");
    symlink(program, stage.path().join("vhost-device-vsock")).expect("a link");
    let mut command = stage.command();
    let path = format!("{}:{}", stage.path().display(), std::env::var("PATH").expect("a PATH"));
    command.env("PATH", path).args([
        "-c",
        "conformance-config.json",
        "-oout",
        "--without-agent",
        "--with-accel=tcg",
    ]);
    let finished = stage.finish(command).ended(0);
    let host = stage.path().join("tmp/vm-state-server/vsock-host.socket");
    let said = finished
        .says("start vhost-device-vsock")
        .says("create_machine(other): not enabling SSH backdoor")
        .log();
    let line = format!("    server: ssh -o User=root vsock-mux/{}\n", host.display());
    assert_eq!(said.matches(&line).count(), 2, "at the start and by dump_machine_ssh(): {said}");
    assert!(
        said.contains("SSH backdoor enabled, the machines can be accessed like this:\nNote: this requires "),
        "{said}"
    );
}
