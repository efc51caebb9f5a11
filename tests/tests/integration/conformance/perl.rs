//! The driver in Perl, until 2019 (section 7): its invocation, what scripts see, its log.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use integration_tests::program;

use super::stage::{Finished, Row, STAND_IN, Stage, check};

const PRELUDE: &str = include_str!("../../../conformance/prelude.pl");
const FUNCTIONS: &str = include_str!("../../../conformance/7.2.pl");
const METHODS: &str = include_str!("../../../conformance/7.3.pl");
/// How the derivations of 2019 had the script run.
const TESTS: &str = "eval $ENV{testScript}; die $@ if $@;";

/// All sections, in order.
pub(super) fn rows() -> Vec<(&'static str, Vec<Row>)> {
    let functions = std::thread::spawn(|| rows_of("7.2", FUNCTIONS, 1, "1 out of 2 tests succeeded"));
    let methods = std::thread::spawn(|| rows_of("7.3", METHODS, 0, "test script finished in "));
    let (invocation, log) = (invocation(), log());
    vec![
        ("7.1 Invocation", invocation),
        ("7.2 Functions", functions.join().expect("the rows")),
        ("7.3 Methods of machines", methods.join().expect("the rows")),
        ("7.4, 7.5 The log", log),
    ]
}

fn rows_of(section: &str, script: &str, status: i32, last_words: &str) -> Vec<Row> {
    let stage = Stage::new("");
    let finished = run(&stage, &format!("{PRELUDE}{script}"), |command| {
        command.env("out", stage.out());
    });
    let rows = fs::read_to_string(stage.path().join("rows")).unwrap_or_default();
    let mut rows: Vec<Row> = rows.lines().map(|row| serde_json::from_str(row).expect("a row")).collect();
    rows.push(check(&format!("{section}: the script ends with status {status}"), || {
        finished.ended(status).says(last_words);
    }));
    rows
}

/// The program in the manner of 2019, with two machines.
fn command(stage: &Stage, script: &str) -> Command {
    let mut command = stage.command();
    command
        .args(["./run-server-vm", "./run-client-vm", "--without-agent", "--with-accel=tcg"])
        .env("VLANS", "1 2")
        .env("tests", TESTS)
        .env("testScript", script);
    command
}

fn run(stage: &Stage, script: &str, change: impl FnOnce(&mut Command)) -> Finished {
    let mut command = command(stage, script);
    change(&mut command);
    stage.finish(command)
}

fn passes(script: &str) -> Finished {
    run(&Stage::new(""), script, |_| {}).ended(0)
}

fn invocation() -> Vec<Row> {
    vec![
        check("start scripts as arguments; names from `run-(.*)-vm$`; `tests` is evaluated, `testScript` is there for it", || {
            passes("startAll; die if join(' ', sort keys %vms) ne 'client server' || !$server->{booted};");
        }),
        check("how it is told apart", || {}).differs(
            "it is this command line when `tests` or `VLANS` is set, `startScripts` is not, and there is no option of a later \
             driver; the first drivers in Python (20.03 to 21.05) had the same, and are meant when `tests` or `testScript` \
             is Python",
        ),
        check("`VLANS`: a network for each number; `QEMU_VDE_SOCKET_<N>`", || {
            passes("die if !-d $ENV{QEMU_VDE_SOCKET_1} || !-d $ENV{QEMU_VDE_SOCKET_2} || $ENV{QEMU_VDE_SOCKET_3};")
                .says("starting VDE switch for network 1\nstarting VDE switch for network 2\n");
        }),
        check("`tests` without a `testScript`", || {
            let stage = Stage::new("");
            run(&stage, "", |command| {
                command.env("tests", "$server->succeed('true');").env_remove("testScript");
            })
            .ended(0);
        }),
        check("`tests` unset: a prompt, `> `; after it, what comes after a script", || {
            let stage = Stage::new("");
            fs::write(stage.path().join("typed"), "testScript\ndie 'at once'\nexit 3 if $x\n").expect("the lines");
            let said = run(&stage, "$server->connect; our $x = 1;", |command| {
                let typed = fs::File::open(stage.path().join("typed")).expect("the lines");
                command.env_remove("tests").env("PERL_RL", "Stub").stdin(typed);
            })
            .ended(3)
            .says("at once at prompt line 1.\n");
            assert_eq!(said.stdout, "> > > ");
        })
        .differs(
            "lines are edited and recalled only where Term::ReadLine::Gnu is installed, and there is no file of them; \
             variables need no `my`; Ctrl-C ends what is being waited for, not the driver",
        ),
        check("`nixos-run-vms`: starts the machines and waits until they are off", || {
            let stage = Stage::new("");
            symlink(program(), stage.path().join("nixos-run-vms")).expect("a link");
            symlink(STAND_IN, stage.path().join("run-off-vm")).expect("a link");
            let mut command = Command::new(stage.path().join("nixos-run-vms"));
            command
                .args(["./run-off-vm", "--without-agent"])
                .current_dir(stage.path())
                .env("TMPDIR", stage.path().join("tmp"))
                .env("USE_SERIAL", "1")
                .env("STAND_IN_QUITS", "1")
                .env_remove("tests")
                .stdin(Stdio::null());
            stage.finish(command).ended(0).says("starting all VMs\n").says("waiting for all VMs to finish\n");
        }),
        check("`out`: where screenshots go; without it, the working directory", || {
            let stage = Stage::new("");
            run(&stage, "$server->start; $server->screenshot('here');", |_| {}).ended(0);
            assert!(stage.path().join("here.png").exists());
        }),
        check("`TMPDIR`: `vm-state-<name>`, which keeps what an earlier run has left", || {
            let stage = Stage::new("");
            let script = "$server->start; open my $f, '>>', $server->stateDir . '/kept'; print $f 'x';";
            run(&stage, script, |_| {}).ended(0);
            run(&stage, script, |_| {}).ended(0);
            let kept = fs::read_to_string(stage.path().join("tmp/vm-state-server/kept"));
            assert_eq!(kept.expect("the file"), "xx");
        }),
        check("the shared directory", || {}).differs("it is `shared-xchg`, as in later drivers, not `xchg-shared`"),
        check("`QEMU_OPTS` and all else reach the start scripts", || {
            let stage = Stage::new("");
            let script = "$server->start; open my $f, '<', \"/proc/$server->{pid}/environ\"; local $/; \
                          die if <$f> !~ /QEMU_OPTS=-snapshot\\0/;";
            run(&stage, script, |command| {
                command.env("QEMU_OPTS", "-snapshot");
            })
            .ended(0);
        }),
        check("QEMU's arguments", || {})
            .differs("they come as `\"$@\"`, after `$QEMU_OPTS`, where the driver in Perl put them into `QEMU_OPTS`"),
        check("`USE_SERIAL=1`", || {}).differs("consoles are in the log, with and without it"),
        check("status 1: the script dies, a subtest has failed; it is Perl's own when the script exits", || {
            let failing = |script| run(&Stage::new(""), script, |_| {});
            failing("die \"no\\n\"").ended(1).says("error: no\n");
            failing("subtest 'x', sub { die }").ended(1).says("0 out of 1 tests succeeded");
            failing("exit 3").ended(3);
            failing("if (1 {").ended(1).says("syntax error at testScript line 1");
        }),
        check("after the script: `collecting systemd units exection time`, `collecting coverage data`, `syncing`, `cleaning up`", || {
            let said = passes("$server->connect;").log();
            let mut rest = said.as_str();
            for line in [
                "starting VDE switch for network 1\n",
                "running the VM test script\n",
                "server: waiting for the VM to finish booting\n",
                "collecting systemd units exection time\n",
                "server: running command: systemd-analyze blame\n",
                "collecting coverage data\n",
                "server: running command: test -e /sys/kernel/debug/gcov\n",
                "server: exit status 1\n",
                "syncing\n",
                "server: running command: sync\n",
                "cleaning up\n",
                "killing server (pid ",
            ] {
                let (_, after) = rest.split_once(line).unwrap_or_else(|| panic!("no `{line}` in {rest}\nof {said}"));
                rest = after;
            }
            assert!(!said.contains("client: running command: sync"), "{said}");
        }),
        check("`kill -9`, SIGTERM", || {}).differs("no machine is left behind"),
        check("options of innkeeper's: `--with-report DIR`, `--with-log-html`, `--with-accel`, `--without-agent`", || {
            let stage = Stage::new("");
            run(&stage, "$server->connect;", |command| {
                command.args(["--with-report", "result"]);
            })
            .ended(0);
            assert!(stage.path().join("result/report.html").exists());
        })
        .differs("not in the driver in Perl"),
    ]
}

const LOGGED: &str = "startAll; $server->connect; subtest 'good', sub { $server->succeed('echo \"<&>\" >&2') };\n\
                      subtest 'bad', sub { $server->fail('true') };\n$server->screenshot('shot');";

fn log() -> Vec<Row> {
    vec![
        check("lines on standard error: `<machine>: <text>`, `<machine># <console>`, no colours", || {
            let said = passes("$server->log('plain'); $server->succeed('echo s >&2'); print \"printed\\n\";");
            for line in [
                "server: plain\n",
                "server: must succeed: echo s >&2\n",
                "server# s\n",
                "running the VM test script\n",
            ] {
                assert!(said.stderr.contains(line), "no {line:?} in {}", said.stderr);
            }
            assert!(!said.stderr.contains('\u{1b}'), "{}", said.stderr);
            assert_eq!(said.stdout, "printed\n");
        }),
        check(
            "`LOGFILE`: no declaration; `<line [machine] [type] [error]>`, `<nest><head [machine] [image] [expanded]>`; each \
               nest ends with `<line>(%.2f seconds)</line>`",
            || {
                let stage = Stage::new("");
                run(&stage, LOGGED, |_| {}).ended(1);
                let xml = stage.log_xml();
                for part in [
                    "<nest><head expanded=\"1\">running the VM test script</head>",
                    "<nest><head>starting all VMs</head>",
                    "<head machine=\"server\">must succeed: echo \"&lt;&amp;&gt;\" &gt;&amp;2</head>",
                    "<line machine=\"server\" type=\"serial\">&lt;&amp;&gt;</line>",
                    "<line error=\"1\">error: command `true' unexpectedly succeeded</line>",
                    "<line error=\"1\">1 out of 2 tests succeeded</line>",
                    "<head machine=\"server\" image=\"shot.png\">making screenshot ‘shot.png’</head>",
                    " seconds)</line></nest>",
                ] {
                    assert!(xml.contains(part), "no `{part}` in {xml}");
                }
                assert!(xml.starts_with("<logfile>") && xml.ends_with("</nest></logfile>\n"), "{xml}");
            },
        ),
        check("the log", || {}).differs(
            "it also tells of networks and of the agent; it is whole at any time, also after `kill -9`",
        ),
        check(
            "`log.html` with `--with-log-html`: the script's step and what led to an error are open",
            || {
                let stage = Stage::new("");
                run(&stage, LOGGED, |command| {
                    command.arg("--with-log-html").env("out", stage.out());
                })
                .ended(1);
                let page = fs::read_to_string(stage.out().join("log.html")).expect("log.html");
                for part in [
                    "class=\"logTreeToggle\">-</a> <code>running the VM test script</code>",
                    "class=\"errorLine\"",
                    "shot.png",
                ] {
                    assert!(page.contains(part), "no `{part}` in {page}");
                }
                assert!(stage.out().join("nix-support/hydra-build-products").exists());
            },
        )
        .differs("the driver in Perl left it to the derivation, which made it of log.xml"),
    ]
}
