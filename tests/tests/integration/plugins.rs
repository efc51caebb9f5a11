//! Plugins in the whole program: the three examples, and plugins that go wrong in the middle of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use driver_core::event::{Event, Outcome, Record};
use integration_tests::{Setup, example, need_vm, plugin, program};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use test_skip::skip_or_fail;

use crate::SOON;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// examples/plugin-local.
fn local() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| plugin("plugin-local").display().to_string())
}

/// A plugin whose machine plays, has a screen, and can be told to panic.
fn fake() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| example("plugin-host", "fixture_fake").display().to_string())
}

/// A run on a process tree; `table` is the machine's own.
fn on_local(table: &str, script: &str) -> Setup {
    let machines = format!("[machines.server]\nbackend = \"local\"\n{table}");
    Setup::new(&machines, script).args(&["--plugin", local()])
}

/// The example of a service on loopback, on the machine of `table`.
fn loopback(table: &str) -> Setup {
    let setup = Setup::new(&format!("[machines.server]\n{table}"), "");
    let script = repository("examples/loopback/loopback.py").display().to_string();
    setup.args(&["--plugin", local(), "--script", &script, "--timeout", "2m"])
}

/// Runs the program with other words than `run`.
fn innkeeper(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env("XDG_CONFIG_HOME", config).env("TMPDIR", config);
    command.output().expect("the program starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_service_on_loopback_runs_on_a_process_tree() {
    for arguments in [&[][..], &["--no-agent"]] {
        let run = loopback("backend = \"local\"\n").args(arguments).run();
        run.assert_status(0);
        assert_eq!(run.text("kept"), "kept\n");
        assert!(!run.said().contains("HYPERVISOR"), "{}", run.said());
    }
}

#[test]
fn the_same_service_runs_on_a_virtual_machine() {
    if need_vm("base").is_none() {
        return;
    }
    let run = loopback("image = \"base\"\n").run();
    run.assert_status(0);
    assert_eq!(run.text("kept"), "kept\n");
    // The word is the only change.
    loopback("image = \"base\"\nbackend = \"local\"\n").run().assert_status(0);
}

#[test]
fn the_local_backend_keeps_the_contract() {
    let place = tempfile::tempdir().unwrap();
    let checked = innkeeper(&["plugins", "check", local()], place.path());
    let text = said(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}");
    assert!(text.contains("kept     the shell answers") && !text.contains("BROKEN"), "{text}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{text}");
}

#[test]
fn a_process_tree_reboots_and_crashes_as_a_machine_does() {
    let setup = on_local(
        "",
        "server.start(allow_reboot=True)\nserver.succeed('echo 1 > /root/mark; : > /run/gone')\n\
         server.execute('reboot', check_output=False)\nserver.wait_for_console_text('reboot')\n\
         server.wait_for_console_text('is up')\nserver.succeed('test ! -e /run/gone && grep 1 /root/mark')\n\
         server.crash()\nassert not server.is_on()\nserver.succeed('grep 1 /root/mark')\n\
         server.execute('poweroff', check_output=False)\nserver.wait_for_shutdown(30)\n",
    );
    let run = setup.args(&["-v"]).run();
    run.assert_status(0);
    run.assert_says(&["the guest reboots", "the guest powered off"]);
}

#[test]
fn whatever_ends_a_run_ends_its_process_trees() {
    for table in ["", "[machines.server.local]\nnamespaces = false\n"] {
        // A daemon as stubborn as they come.
        let script = "server.succeed('setsid sh -c \"trap : TERM HUP; while :; do sleep 600; done\" \
                      </dev/null >/dev/null 2>&1 &')\nprint('up', flush=True)\nserver.succeed('sleep 600')\n";
        let run = on_local(table, script).start();
        run.wait_for_script("up");
        run.signal(Signal::KILL);
        // Which looks that nothing is left.
        run.finish_within(SOON).assert_status(128 + 9);

        let run = on_local(table, script).arg("--timeout=3s").run();
        run.assert_status(1);
        assert_eq!(run.ended().outcome, Outcome::TimedOut);
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_by_the_backend() {
    let run = on_local("[machines.server.local]\nnamespace = true\n", "server.start()\n").run();
    run.assert_status(3);
    run.assert_says(&["its table `local` makes no sense: unknown field `namespace`", "`namespaces = true`"]);
}

/// The reporter in C, built as its Makefile does.
fn tap(place: &Path) -> Option<PathBuf> {
    let folder = repository("examples/plugin-c");
    let made = Command::new("make")
        .arg("-C")
        .arg(place)
        .arg("-f")
        .arg(folder.join("Makefile"))
        .arg(format!("VPATH={}", folder.display()))
        .arg(format!("INCLUDE={}", repository("plugin-abi/include").display()))
        .output();
    match made {
        Ok(made) => {
            assert!(made.status.success(), "{}", said(&made));
            Some(place.join("libtap.so"))
        }
        Err(error) => skip_or_fail("REQUIRE_VM", format!("`make` cannot be started: {error}")),
    }
}

#[test]
fn a_reporter_in_c_writes_tap() {
    let place = tempfile::tempdir().unwrap();
    let Some(library) = tap(place.path()) else { return };
    let script = "with subtest('first # one'):\n    server.succeed('true')\n\
                  with subtest('second \"two\"'):\n    server.succeed('exit 3')\n";
    let run = on_local("", script).arg("--plugin").arg(&library.display().to_string()).run();
    run.assert_status(1);
    let text = run.text("result.tap");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..3],
        ["TAP version 13", "ok 1 - first \\# one", "not ok 2 - second \\\"two\\\""],
        "{text}"
    );
    assert!(lines.contains(&"not ok 3 - test") && lines.last() == Some(&"1..3"), "{text}");
    assert!(text.contains("message: \"command `exit 3` failed (exit code 3)"), "{text}");

    let manifest = format!(
        "plugins = [{:?}, {{ path = {:?}, settings = {{ file = \"no/such/folder\" }} }}]\n\
         [machines.server]\nbackend = \"local\"\n",
        local(),
        library
    );
    let run = Setup::new(&manifest, "").run();
    run.assert_status(2);
    run.assert_says(&["the TAP file cannot be made (see `file` in the plugin's settings)"]);
}

#[test]
fn an_engine_around_a_program_reads_the_screen() {
    let library = plugin("plugin-ocr");
    let manifest = |command: &str| {
        format!(
            "ocr = \"program\"\nplugins = [{:?}, {{ path = {library:?}, settings = {{ command = {command} }} }}]\n\
             [machines.server]\nbackend = \"rust-fake\"\n",
            fake()
        )
    };
    let script = "server.start()\nserver.wait_for_text(r'P6\\s1 1')\nprint(server.get_screen_text())\n";
    let run = Setup::new(&manifest("[\"head\", \"-n2\", \"{}\"]"), script).run();
    run.assert_status(0);
    run.assert_says(&["to appear on screen", "P6\n1 1\n"]);

    for (command, status, text) in [
        ("[\"no-such-program\", \"{}\"]", 3, "OCR engine `program`: `no-such-program` cannot be started"),
        ("[\"sh\", \"-c\", \"echo sorry >&2; exit 1 # {}\"]", 3, "`sh` failed: sorry"),
        (
            "[\"sh\", \"-c\", \"echo one >&2; echo two >&2; exit 1 # {}\"]",
            3,
            "OCR engine `program`: `sh` failed: one; two\n",
        ),
        ("[\"cat\"]", 2, "`command` does not say where the picture's path goes: put {} there"),
        ("[]", 2, "`command` names no program"),
    ] {
        let run = Setup::new(&manifest(command), "server.start()\nserver.get_screen_text()\n").run();
        run.assert_status(status);
        run.assert_says(&[text]);
    }
}

#[test]
fn nothing_is_left_of_an_engines_program_however_innkeeper_ends() {
    for signal in [Signal::KILL, Signal::INT] {
        let place = tempfile::tempdir().unwrap();
        let at_work = place.path().join("at-work");
        mknodat(CWD, &at_work, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let command = format!("echo >{at_work:?}; exec sleep 1000 # {{}}");
        let manifest = format!(
            "ocr = \"program\"\n[[plugins]]\npath = {:?}\n[[plugins]]\npath = {:?}\n\
             settings.command = [\"sh\", \"-c\", {command:?}]\n[machines.server]\nbackend = \"rust-fake\"\n",
            fake(),
            plugin("plugin-ocr"),
        );
        let run = Setup::new(&manifest, "server.start()\nserver.get_screen_text()\n").start();
        assert_eq!(fs::read(&at_work).unwrap(), b"\n");
        run.signal(signal);
        // That nothing is left is looked at by this; how soon is not the matter here.
        let _ = run.finish_within(Duration::from_secs(30));
    }
}

#[test]
fn shares_are_refused_by_a_backend_that_does_not_mount_them() {
    let run = on_local("shares = { data = \"/tmp\" }\n", "").run();
    run.assert_status(3);
    run.assert_says(&["it shares the directory `/tmp` (leave out `shares`"]);
}

#[test]
fn an_engine_that_is_not_there_is_told_where_it_was_named() {
    let machine = "[machines.server]\nimage = \"base\"\n";
    let run = Setup::new(&format!("ocr = \"goggles\"\n{machine}"), "").run();
    run.assert_status(2);
    run.assert_says(&["this OCR engine is not there", "there is no OCR engine \"goggles\"", "test.toml:4"]);
    let run = Setup::new(machine, "").args(&["--ocr", "goggles"]).run();
    run.assert_status(2);
    run.assert_says(&["there is no OCR engine \"goggles\": there are `auto`, `console`"]);
}

#[test]
fn a_plugin_that_panics_ends_the_run_in_an_orderly_way() {
    let manifest = format!(
        "plugins = [{{ path = {:?}, settings = {{ panic = \"launch\" }} }}]\n[machines.server]\nbackend = \"rust-fake\"\n",
        fake()
    );
    let run = Setup::new(&manifest, "server.start()\n").run();
    run.assert_status(3);
    assert_eq!(run.ended().outcome, Outcome::MachineFailed);
    run.assert_says(&[
        "panicked in `launch`: the fixture panics in launch",
        "it is not called again in this run",
    ]);
    run.assert_kind(Some("not_launched"));

    // A reporter that panics has not written its report: that is no pass.
    // No machine is its backend's: that could be set aside first, or not.
    let manifest = format!("plugins = [{{ path = {:?}, settings = {{ panic = \"record\" }} }}]\n", fake());
    let run = Setup::new(&manifest, "print('all is well')\n").run();
    run.assert_status(5);
    run.assert_says(&["error: failed to hand an event to `", "panicked in `record`"]);
}

/// The plugin in C of plugin-host's tests, built with a definition that breaks it.
fn broken(place: &Path, definition: &str) -> Option<PathBuf> {
    let library = place.join("libbroken.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-D{definition}"), "-I"])
        .arg(repository("plugin-abi/include"))
        .arg(repository("plugin-host/tests/fixtures/plugin.c"))
        .arg("-o")
        .arg(&library)
        .output();
    match compiled {
        Ok(compiled) => {
            assert!(compiled.status.success(), "{}", said(&compiled));
            Some(library)
        }
        Err(error) => {
            skip_or_fail("REQUIRE_VM", format!("there is no C compiler (install the package `gcc`): {error}"))
        }
    }
}

#[test]
fn a_plugin_that_hangs_hangs_nobody() {
    let place = tempfile::tempdir().unwrap();
    let hangs = "LAUNCH=(start_process(log),hang())";
    let Some(library) = broken(place.path(), hangs) else { return };
    let manifest = format!("plugins = [{library:?}]\n[machines.server]\nbackend = \"broken\"\n");
    let run = Setup::new(&manifest, "server.start()\n").arg("--timeout=2s").start();
    let started = run.wait_for(
        "the machine's start",
        |record| matches!(&record.event, Event::Log { text, .. } if text == "starting vm"),
    );
    assert_eq!(started.machine.as_deref(), Some("server"));
    let run = run.finish_within(Duration::from_secs(20));
    run.assert_status(1);
    assert_eq!(run.ended().outcome, Outcome::TimedOut);
}

#[test]
fn plugins_that_cannot_be_told_apart_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let twin = place.path().join("libtwin.so");
    fs::copy(local(), &twin).unwrap();
    let run = on_local("", "").args(&["--plugin", &twin.display().to_string()]).run();
    run.assert_status(2);
    run.assert_says(&[local(), "libtwin.so` are both a plugin called `local` (leave one of the two out)"]);
    if let Some(qemu) = broken(place.path(), "NAME=\"qemu\"") {
        let run = on_local("", "").args(&["--plugin", &qemu.display().to_string()]).run();
        run.assert_status(2);
        run.assert_says(&[
            "libbroken.so` offers a backend `qemu`, which innkeeper has itself (give it another name)",
        ]);
    }
    // The same file twice is one plugin.
    on_local("", "server.start()\n").args(&["--plugin", local()]).run().assert_status(0);
}

#[test]
fn the_users_configuration_names_plugins_too() {
    let config = tempfile::tempdir().unwrap();
    let folder = config.path().join("innkeeper");
    fs::create_dir(&folder).unwrap();
    fs::copy(local(), folder.join("liblocal.so")).unwrap();
    fs::write(folder.join("config.toml"), "plugins = [\"liblocal.so\"]\n").unwrap();
    let machines = "[machines.server]\nbackend = \"local\"\n";
    let run = Setup::new(machines, "server.succeed('true')\n");
    run.env("XDG_CONFIG_HOME", &config.path().display().to_string()).run().assert_status(0);
    let listed = innkeeper(&["plugins", "--plugin", fake()], config.path());
    let text = said(&listed);
    assert_eq!(listed.status.code(), Some(0), "{text}");
    for line in [
        "local 0.1.0\n",
        "innkeeper/liblocal.so\n",
        "  built for ABI 1.1\n",
        "  backend `local` without facets\n",
        "innkeeper/config.toml\n",
        "  backend `rust-fake` with screen, keyboard, pointer, monitor, power\n",
        "  OCR engine `rust-fake`\n",
        "  reporter `rust-fake`\n",
        "  named by --plugin\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }

    fs::write(folder.join("config.toml"), "plugin = []\n").unwrap();
    let wrong = innkeeper(&["plugins"], config.path());
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    assert!(said(&wrong).contains("unknown key `plugin` in the configuration"), "{}", said(&wrong));
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_told_where_it_was_named() {
    let machines = "plugins = [\"./script.py\"]\n[machines.server]\nbackend = \"local\"\n";
    let run = Setup::new("plugins = [\"./script.py\"]\n[machines.server]\n", "")
        .args(&["--backend", "local"])
        .run();
    run.assert_status(2);
    run.assert_says(&["script.py"]);
    let run = Setup::new(machines, "").run();
    run.assert_status(2);
    run.assert_says(&["script.py` cannot be loaded", "test.toml:4:12", "this plugin cannot be used"]);
    let config = tempfile::tempdir().unwrap();
    let listed =
        innkeeper(&["plugins", "--plugin", "/nonexistent/lib.so", "--plugin", local()], config.path());
    let text = said(&listed);
    assert_eq!(listed.status.code(), Some(2), "{text}");
    assert!(text.contains("plugin `/nonexistent/lib.so` cannot be read (correct the path"), "{text}");
    assert!(text.contains("backend `local`"), "the others are listed: {text}");
    let none = innkeeper(&["plugins"], config.path());
    assert!(said(&none).starts_with("no plugins: name some with --plugin"), "{}", said(&none));
}

#[test]
fn a_verb_that_the_backend_cannot_do_is_refused_before_anything_starts() {
    let run = on_local("", "server.succeed('true')\nserver.wait_for_text('x')\n").run();
    run.assert_status(3);
    run.assert_says(&["no screen, which wait_for_text() of machine `server` needs", "line 2", "`qemu`"]);
    run.assert_kind(Some("unsupported"));
    let starts = |record: &Record| matches!(record.event, Event::MachineState { .. });
    assert!(!run.events().iter().any(starts), "a machine was started");
}
