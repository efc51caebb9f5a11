//! The command lines, the configuration, the environment, the files, the exit statuses.

use std::fs;
use std::process::Command;

use integration_tests::Terminal;
use serde_json::json;

use super::stage::{Finished, Row, STAND_IN, Stage, check};

/// How the derivations of the first drivers in Python had the script run.
const RUN_IT: &str = "exec(os.environ[\"testScript\"])";
const SIMPLE: &str = "start_all()\nassert server.succeed('echo x') == 'x\\n'\nprint('ran', sorted(m.name for m in machines))\n";

pub(super) fn rows() -> Vec<Row> {
    vec![
        check("2.1 `-c/--config PATH`, required; `nixos-test-driver` by name, or `innkeeper nixos-test-driver`", || {
            let stage = Stage::new(SIMPLE);
            assert!(stage.run(&[]).ended(0).stdout.contains("ran ['client', 'server']"));
            let mut command = stage.command();
            command.args(["-o", "out"]);
            stage.finish(command).ended(2).says("the following arguments are required: -c/--config");
            let mut other = Command::new(integration_tests::program());
            other.envs(stage.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
            other.current_dir(stage.path()).args(["nixos-test-driver", "--conf=conformance-config.json", "-oout"]);
            other.arg("--without-agent");
            stage.finish(other).ended(0);
        }),
        check("2.1 `--test-script PATH` instead of the configuration's", || {
            let stage = Stage::new("raise SystemExit(9)");
            fs::write(stage.path().join("other"), SIMPLE).expect("what the stage has made");
            stage.run(&["--test-script", "other"]).ended(0);
        }),
        check("2.1 `-K/--keep-machine-state`, `--keep-vm-state`; what is said of the state", || {
            let stage = Stage::new("open(server.state_dir / 'kept', 'a').write('x')\n");
            stage.run(&[]).ended(0).says("Machine state will be reset. To keep it, pass --keep-machine-state");
            let said = stage.run(&["-K"]).ended(0).log();
            assert!(!said.contains("will be reset") && !said.contains("deleting"), "{said}");
            stage.run(&["--keep-vm-state"]).ended(0);
            let kept = stage.path().join("tmp/vm-state-server/kept");
            assert_eq!(fs::read_to_string(&kept).expect("what the stage has made"), "xxx");
            let dir = kept.parent().expect("what the stage has made").display().to_string();
            let again = stage.run(&[]).ended(0).says(&format!("deleting machine state directory {dir}"));
            again.says("if you want to keep the machine state, pass --keep-machine-state");
            assert_eq!(fs::read_to_string(kept).expect("what the stage has made"), "x");
        }),
        check("2.1 and 1.12 `-I/--interactive`, `--no-interactive`: a prompt, its history, no time limit", || {
            Stage::new(SIMPLE).run(&["-I", "--no-interactive"]).ended(0);
            let stage = Stage::new(SIMPLE);
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json", "-I", "--without-agent", "--with-accel=tcg"]);
            let mut terminal = Terminal::start(&command);
            terminal.wait_for("additionally exposed symbols:");
            let before = terminal.wait_for(">>> ");
            assert!(!before.contains("starting vm") && !before.contains("Test will time out"), "{before}");
            for (typed, shown) in [
                ("(driver.interactive, driver.out_dir == driver.out_dir.cwd())\n", "(True, True)"),
                ("test_script()\n", "ran ['client', 'server']"),
                ("server.succeed('false')\n", "RequestedAssertionFailed: command `false` failed (exit code 1)"),
            ] {
                terminal.type_in(typed);
                terminal.wait_for(shown);
                terminal.wait_for(">>> ");
            }
            terminal.type_in("\u{4}");
            let (status, shown) = terminal.finish();
            assert_eq!(status, Some(0), "{shown}");
            let history = fs::read_to_string(stage.path().join(".nixos-test-history"));
            assert!(history.expect("a history").contains("test_script()"));
        }),
        check("2.1 `-o/--output_directory DIR`: must be a directory that can be written", || {
            let stage = Stage::new(SIMPLE);
            stage
                .run(&["-onothing"])
                .ended(2)
                .says("argument -o/--output_directory: nothing is not a directory");
            let stage = Stage::new("server.start()\nserver.screenshot('x')\nassert str(driver.out_dir) == os.getcwd()\n");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json", "--without-agent"]);
            stage.finish(command).ended(0);
            assert!(stage.path().join("x.png").exists());
        }),
        check("2.1 `--junit-xml PATH`, seen from the output directory", || {
            let stage = Stage::new(SIMPLE);
            stage.run(&["--junit=junit.xml"]).ended(0);
            assert!(stage.out().join("junit.xml").exists());
        }),
        check("2.1 `--log-level {debug,info,warning,error}`, or `logLevel` in the environment", || {
            let script = "log.debug('d-line')\nlog.info('i-line')\nlog.warning('w-line')\nlog.log('p-line')\n";
            let stage = Stage::new(script);
            let shown = |said: &str| ["d-line", "i-line", "w-line", "p-line"].map(|line| said.contains(line));
            assert_eq!(shown(&stage.run(&[]).ended(0).log()), [false, true, true, true]);
            assert_eq!(shown(&stage.run(&["--log-level", "debug"]).ended(0).log()), [true; 4]);
            let mut command = stage.command();
            command.args(["-cconformance-config.json", "--without-agent"]).env("logLevel", "warning");
            assert_eq!(shown(&stage.finish(command).ended(0).log()), [false, false, true, true]);
            stage.run(&["--log-level=loud"]).ended(2).says("argument --log-level: invalid choice: 'loud'");
        }),
        check("2.1 at `--log-level error` a failure is still told", || {
            Stage::new("assert False, 'told anyway'\n").run(&["--log-level=error"]).ended(1).says("told anyway");
        })
        .differs("the NixOS driver leaves the failure out"),
        check("2.1 argparse: prefixes of options, `-oDIR`, `--option=VALUE`, an option again, flags from wrappers", || {
            let stage = Stage::new(SIMPLE);
            let mut command = stage.command();
            command.args(["--conf", "nothing", "--log", "debug", "--without-a", "--out=out", "--junit", "j.xml"]);
            command.args(["-c", "conformance-config.json", "--debug-hook=/bin/attach"]);
            stage.finish(command).ended(0);
        }),
        check("2.1 wrong usage: usage text on standard error, status 2; `-h`: status 0", || {
            let stage = Stage::new(SIMPLE);
            stage.run(&["--nonsense"]).ended(2).says("usage: nixos-test-driver").says("unrecognized arguments");
            stage.run(&["--log-level"]).ended(2).says("expected one argument");
            assert!(stage.run(&["-h"]).ended(0).stdout.contains("--config"));
        }),
        check("2.1 `generate-driver-symbols`", || {
            let stage = Stage::new(SIMPLE);
            let mut command = Command::new(stage.path().join("generate-driver-symbols"));
            command.current_dir(stage.path());
            stage.finish(command).ended(0);
            let written = fs::read_to_string(stage.path().join("driver-symbols")).expect("what the stage has made");
            let printed = stage.run(&[]).ended(0).stdout;
            let printed = printed.lines().find(|line| line.contains("start_all")).expect("what the stage has made").trim().to_owned();
            assert_eq!(printed.replace(", VLan", ""), written.replace(',', ", "));
        }),
        check("2.2 `--start-scripts S...`, `--vlans N...`, `--global-timeout SECS`, `testscript`, `-K/--keep-vm-state`", || {
            let stage = Stage::new(SIMPLE);
            let flags = ["--start-scripts", "./run-server-vm", "./run-client-vm", "--vlans", "1", "2", "1"];
            let more = ["--global-timeout", "60", "--keep-vm-state", "--", "script"];
            let all: Vec<&str> = flags.into_iter().chain(more).collect();
            let said = stage.run_old(&all).ended(0).says("Test will time out and terminate in 60 seconds");
            assert!(said.stdout.contains("vlan1, vlan2"), "{}", said.stdout);
            assert!(!said.log().contains("will be reset"));
        }),
        check("2.2 `startScripts`, `vlans`, `globalTimeout`, `testScript` in the environment; flags beside them", || {
            let stage = Stage::new(SIMPLE);
            let mut command = stage.command();
            command.args(["--without-agent", "-o", "out", "--junit-xml", "j.xml"]);
            command.env("startScripts", "./run-server-vm ./run-client-vm").env("vlans", "3");
            command.env("globalTimeout", "3600").env("testScript", "script");
            let said = stage.finish(command).ended(0).says("pass --keep-vm-state");
            assert!(said.stdout.contains("vlan3"), "{}", said.stdout);
            let mut command = stage.command();
            command.env("startScripts", "./run-server-vm");
            stage.finish(command).ended(2).says("the following arguments are required: testscript");
        }),
        check("2.2 `--dump-vsocks OFFSET`", || {
            let stage = Stage::new("pass");
            let flags = ["--start-scripts", "./run-server-vm", "--dump-vsocks", "4", "--", "script"];
            stage.run_old(&flags).ended(0).says("ssh -o User=root vsock/5");
        }),
        check("2.2 `--vm-names`, `--vm-start-scripts` (early 2026)", || {
            let stage = Stage::new("assert other.name == 'other'");
            stage.run_old(&["--vm-names", "other", "--vm-start-scripts", "./run-server-vm", "--", "script"]).ended(0);
        }),
        check("20.03 to 21.05: start scripts as arguments, `VLANS`, `tests`, `testScript`, `out`, `-K/--keep-vm-state`", || {
            let stage = Stage::new("");
            let said = run_early(&stage, RUN_IT, SIMPLE, &[]).ended(0).says("pass --keep-vm-state");
            assert!(said.stdout.contains("vlan1, vlan2") && said.stdout.contains("ran ['client', 'server']"));
            let shot = "server.start()\nserver.screenshot('x')\nassert False, 'as it was told'\n";
            run_early(&stage, RUN_IT, shot, &["-K"]).ended(1).says("line 3, in <module>\n!!!     assert False");
            assert!(stage.out().join("x.png").exists());
            // Code of one's own, instead of the script or around it.
            run_early(&stage, "assert server.succeed('echo x') == 'x\\n'", "", &[]).ended(0);
            let around = "start_all()\nis_there = True\nexec(os.environ['testScript'])\ntest_script()\n";
            run_early(&stage, around, "assert server.booted\nlog.log('once')", &[]).ended(0);
            run_early(&stage, "test_script()", "server.succeed('exit 3')", &[]).ended(1).says("`exit 3`");
        }),
        check("20.03 to 21.05: `tests` unset: a prompt", || {
            let stage = Stage::new("");
            fs::write(stage.path().join("typed"), "test_script()\nraise SystemExit(4)\n").expect("the lines");
            let mut command = early(&stage, "start_all()\nprint('the script of', server.name)");
            command.stdin(fs::File::open(stage.path().join("typed")).expect("the lines"));
            let said = stage.finish(command).ended(4);
            assert!(said.stdout.contains("the script of server"), "{}", said.stdout);
        }),
        check("20.03 to 21.05: lines, places, what is at hand", || {})
            .differs("the log is that of 25.11, `XDG_RUNTIME_DIR` counts, and `tests` has no standard input"),
        check("2.2 names of machines come from `run-(.+)-vm$`", || {
            let stage = Stage::new("assert [m.name for m in machines] == ['machine']");
            fs::copy(STAND_IN, stage.path().join("start")).expect("what the stage has made");
            stage.run_old(&["--start-scripts", "./start", "--", "script"]).ended(0);
        }),
        check("2.2 names and warnings of that time: `<Machine 'NAME'>`, nothing is deprecated", || {
            let script = "print(repr(server))\nserver.succeed('echo x >copied', timeout=9)\n\
                          server.copy_from_vm(server.succeed('pwd').strip() + '/copied')\n";
            let stage = Stage::new(script);
            let said = stage.run_old(&["--start-scripts", "./run-server-vm", "--", "script"]).ended(0);
            assert!(said.stdout.contains("<Machine 'server'>\n"), "{}", said.stdout);
            assert!(!said.stderr.contains("Warning"), "{}", said.stderr);
            assert!(stage.out().join("copied").exists());
        }),
        check("2.2 no `--global-timeout`: no limit", || {
            let stage = Stage::new("pass");
            let said = stage.run_old(&["--start-scripts", "./run-server-vm", "--", "script"]).ended(0).log();
            assert!(!said.contains("will time out"), "{said}");
        }),
        check("2.3 the configuration: unknown keys are left alone, `global_timeout` also as ISO 8601", || {
            let stage = Stage::new("pass");
            let mut config = stage.config();
            config["global_timeout"] = json!("PT1M");
            stage.configure(&config);
            stage.run(&[]).ended(0).says("Test will time out and terminate in 60.0 seconds");
        }),
        check("2.3 a key that is missing: status 1", || {
            let stage = Stage::new("pass");
            let mut config = stage.config();
            config.as_object_mut().expect("what the stage has made").remove("vlans");
            stage.configure(&config);
            stage.run(&[]).ended(1).says("missing field `vlans`");
        })
        .differs("one line instead of a traceback"),
        check("2.3 `containers`, `display_viewers`", || {
            let stage = Stage::new("print(machines_nspawn, machines_qemu)");
            let mut config = stage.config();
            config["containers"] = json!({ "box": { "name": "box", "start_script": "x" } });
            (config["vms"], config["vlans"]) = (json!({}), json!([]));
            stage.configure(&config);
            let said = stage.run(&[]);
            let told = said.log().contains("containers need root") || said.log().contains("containers need namespaces");
            assert!(told || said.stdout.contains("[<NspawnMachine 'box'>] []"), "{}\n{}", said.stdout, said.stderr);
        })
        .differs("viewers of displays are not started"),
        check("2.4 `XDG_RUNTIME_DIR`, or else `TMPDIR` and so on, holds the state; made with mode 0700", || {
            let stage = Stage::new("print('base', server.tmp_dir)");
            let runtime = stage.path().join("runtime");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json"]).env("XDG_RUNTIME_DIR", &runtime);
            let said = stage.finish(command).ended(0).stdout;
            assert!(said.contains(&format!("base {}", runtime.display())), "{said}");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json"]).env("XDG_RUNTIME_DIR", stage.path().join("script"));
            stage.finish(command).ended(1).says("The directory defined by XDG_RUNTIME_DIR, TMPDIR, TEMP, TMP or CWD");
        }),
        check("2.4 what start scripts find: `TMPDIR`, `SHARED_DIR`, `USE_TMPDIR`, `NIX_EFI_VARS`, `QEMU_VDE_SOCKET_<N>`, and \
               all that the driver found", || {
            let stage = Stage::with("x.start()\nprint('env', open(x.state_dir / 'env').read())", &["x"]);
            let script = format!("#!/bin/sh\nenv >\"$TMPDIR/env\"\nexec '{STAND_IN}' \"$@\"\n");
            let file = stage.path().join("run-x-vm");
            fs::remove_file(&file).expect("what the stage has made");
            fs::write(&file, script).expect("what the stage has made");
            let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
            fs::set_permissions(&file, mode).expect("what the stage has made");
            let mut command = stage.command();
            command.args(["-c", "conformance-config.json", "--without-agent"]).env("QEMU_OPTS", "-m 1");
            let said = stage.finish(command).ended(0).stdout;
            let base = stage.path().join("tmp").display().to_string();
            for line in [
                format!("TMPDIR={base}/vm-state-x"),
                format!("SHARED_DIR={base}/shared-xchg"),
                "USE_TMPDIR=1".to_owned(),
                format!("NIX_EFI_VARS={base}/vm-state-x/x-efi-vars.fd"),
                "QEMU_VDE_SOCKET_1=".to_owned(),
                "QEMU_VDE_SOCKET_2=".to_owned(),
                "QEMU_OPTS=-m 1".to_owned(),
            ] {
                assert!(said.contains(&line), "no `{line}` in {said}");
            }
        }),
        check("2.4 `QEMU_VDE_SOCKET_<N>`", || {
            let script = "assert os.environ['QEMU_VDE_SOCKET_1'] == str(vlan1.socket_dir)";
            Stage::new(script).run(&[]).ended(0);
        })
        .differs("each machine has a directory of its own, so that it can be told who sent what; the directory of all is the \
                  script's"),
        check("2.5 `vm-state-<name>`, `shared-xchg` stay; the output directory has what the test puts there, and no more", || {
            let stage = Stage::new("start_all()\nserver.screenshot('x')");
            stage.run(&[]).ended(0);
            let names = |dir: &str| {
                let mut names: Vec<String> = fs::read_dir(stage.path().join(dir))
                    .expect("what the stage has made")
                    .map(|entry| entry.expect("what the stage has made").file_name().into_string().expect("what the stage has made"))
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names("tmp"), ["shared-xchg", "vm-state-client", "vm-state-server"]);
            assert_eq!(names("out"), ["x.png"]);
        }),
        check("2.5 the directories of VLANs", || {
            Stage::new("assert 'vde1.ctl' not in str(vlan1.socket_dir)").run(&[]).ended(0);
        })
        .differs("in a directory of the run's own, mode 0700, that goes with it"),
        check("2.6 status 0; 1 for every failure; the script's own `sys.exit(n)`; 130 for `KeyboardInterrupt`", || {
            for (script, status) in [
                ("pass", 0),
                ("import sys; sys.exit(0)", 0),
                ("import sys; sys.exit(7)", 7),
                ("import sys; sys.exit('text')", 1),
                ("log.error('x')", 1),
                ("server.succeed('false')", 1),
                ("assert False", 1),
                ("1/0", 1),
                ("this is no Python", 1),
                ("raise KeyboardInterrupt", 130),
                ("create_machine('exit 3;').start()", 1),
            ] {
                Stage::new(script).run(&[]).ended(status);
            }
        }),
        check("2.6 status 143 at the global timeout, 130 at Ctrl-C, 143 at SIGTERM", || {
            let stage = Stage::new("start_all()\nserver.succeed('sleep 100')");
            let mut config = stage.config();
            config["global_timeout"] = json!(2);
            stage.configure(&config);
            stage.run(&[]).ended(143).says("timeout reached; test terminating...");
            for (signal, status) in [("INT", 130), ("TERM", 143)] {
                let script = "start_all()\nserver.connect()\nopen('up', 'w')\nserver.succeed('sleep 100')";
                let stage = Stage::new(script);
                let program = stage.path().join("nixos-test-driver").display().to_string();
                let mut command = stage.command();
                let mut shell = Command::new("bash");
                shell.current_dir(stage.path()).envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
                shell.args(["-c", &format!(
                    "set -m; '{program}' -cconformance-config.json --without-agent & pid=$!; \
                     until test -e up; do read -t 0.05 <> <(:) || :; done; kill -{signal} $pid; wait $pid"
                )]);
                command = shell;
                stage.finish(command).ended(status).says("kill machine server");
            }
        }),
        check("2.6 a signal", || {}).differs("machines are ended and files written also at SIGTERM; a bug of innkeeper's is 70"),
    ]
}

/// The program in the manner of NixOS 20.03 to 21.05, with two machines.
fn early(stage: &Stage, script: &str) -> Command {
    let mut command = stage.command();
    command
        .args(["./run-server-vm", "./run-client-vm", "--without-agent", "--with-accel=tcg"])
        .env("VLANS", "1 2 1")
        .env("out", stage.out())
        .env("testScript", script);
    command
}

fn run_early(stage: &Stage, tests: &str, script: &str, more: &[&str]) -> Finished {
    let mut command = early(stage, script);
    command.env("tests", tests).args(more);
    stage.finish(command)
}
