//! The prompt, and the machines of a failed test, as a person at a terminal has them. A stand-in plays the machines,
//! except in one test.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration_tests::{Leaks, Terminal, need_vm, program};
use tempfile::TempDir;

use crate::conformance::has;
use crate::machine;

const STAND_IN: &str =
    "[machines.server]\nstart_script = \"run-server-vm\"\n[machines.server.qemu]\naccel = \"tcg\"\n";
/// Something is logged while a line is being printed, which breaks neither.
const SCRIPT: &str = "\
class Name:
    def __str__(self):
        server.log('meanwhile')
        return server.name
print('the script of', Name())
assert False, 'as it was told'
";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const LEAVE: &str = "\u{1d}";

/// A directory with a test.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(machines: &str, script: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("prompt-").tempdir().expect("a directory");
        let path = dir.path();
        fs::create_dir(path.join("temp")).expect("a directory");
        let stand_in = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/stand-in-vm");
        symlink(stand_in, path.join("run-server-vm")).expect("a link");
        fs::write(path.join("test.toml"), format!("name = \"test\"\nscript = \"script.py\"\n{machines}"))
            .expect("a manifest");
        fs::write(path.join("script.py"), script).expect("a script");
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn mark(&self) -> String {
        format!("INNKEEPER_TEST={}", self.path().display())
    }

    fn run(&self, arguments: &[&str]) -> Terminal {
        let mut command = Command::new(program());
        command
            .args(["run", "test.toml", "-o", "out"])
            .args(arguments)
            .current_dir(self.path())
            .env("INNKEEPER_TEST", self.path())
            .env("TMPDIR", self.path().join("temp"))
            .env("XDG_CONFIG_HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"));
        Terminal::start(&command)
    }

    /// Puts another terminal at a socket of the run's.
    fn attach(&self, socket: &str) -> Terminal {
        Terminal::start(Command::new(program()).args(["attach", socket]).env("INNKEEPER_TEST", self.path()))
    }

    /// Has a thread behind the prompt make a call in Python at [`Place::go`].
    fn at_go(terminal: &mut Terminal, call: &str) {
        terminal.type_in("import threading; os.mkfifo('go')\n");
        terminal.wait_for(">>> ");
        let target = format!("lambda: (open('go').close(), {call})");
        terminal.type_in(&format!("threading.Thread(target={target}).start()\n"));
        terminal.wait_for(">>> ");
    }

    fn go(&self) {
        drop(File::options().write(true).open(self.path().join("go")).expect("the thread reads"));
    }

    /// Waits for the end, and looks for what is left.
    fn ended(&self, terminal: Terminal, status: i32) -> String {
        let (ended, shown) = terminal.finish();
        assert_eq!(ended, Some(status), "{shown}");
        Leaks::assert_none(&self.mark(), &self.path().join("temp"), Duration::from_secs(2));
        shown
    }
}

#[test]
fn a_person_starts_machines_runs_verbs_completes_names_and_leaves() {
    if !has("python3") {
        return;
    }
    let place = Place::new(STAND_IN, SCRIPT);
    let mut terminal = place.run(&["-I", "--no-agent"]);
    let before = terminal.wait_for(">>> ");
    assert!(before.contains("Machines: server.") && !before.contains("starting vm"), "{before}");

    terminal.type_in("server.succ\t");
    terminal.wait_for("server.succeed(");
    terminal.type_in("'echo x$((6*7))')\n");
    let log = terminal.wait_for("'x42\\n'");
    assert!(log.contains("starting vm") && log.contains("must succeed: echo"), "{log}");
    terminal.wait_for(">>> ");

    // The log appears above the line that is being typed.
    Place::at_go(&mut terminal, "server.log('ab' + 'ove')");
    terminal.type_in("40 + 2");
    terminal.wait_for("40 + 2");
    place.go();
    terminal.wait_for("above\r\n");
    terminal.wait_for(">>> 40 + 2");
    terminal.type_in("\n");
    terminal.wait_for("42\r\n");

    terminal.type_in("test_script()\n");
    terminal.wait_for("meanwhile\r\n");
    terminal.wait_for("the script of server\r\n");
    terminal.wait_for("script.py\", line 6");
    let told = terminal.wait_for("AssertionError: as it was told");
    assert!(!told.contains("innkeeper/driver.py"), "frames of ours: {told}");

    terminal.type_in("server.console_interact()\n");
    terminal.wait_for("(Ctrl-] leaves)");
    terminal.type_in("hello\n");
    terminal.wait_for("typed: hello");
    terminal.type_in(LEAVE);
    terminal.wait_for("Closing connection to the console");

    // The plain shell is a visitor's for a while.
    terminal.type_in("server.shell_interact()\n");
    terminal.wait_for("Terminal is ready (there is no initial prompt):");
    terminal.type_in("trap '' HUP; sh -c 'echo y$((6*7)); exec sleep 1000'\n");
    terminal.wait_for("y42");
    terminal.type_in(LEAVE);
    terminal.wait_for(">>> ");
    terminal.type_in("server.succeed('echo z$((6*7))')\n");
    terminal.wait_for("'z42\\n'");
    terminal.wait_for(">>> ");

    terminal.type_in("debug.breakpoint()\n");
    terminal.wait_for("(Pdb) ");
    terminal.type_in("p server\n");
    terminal.wait_for("<QemuMachine 'server'>");
    terminal.type_in("c\n");
    terminal.wait_for(">>> ");

    terminal.type_in("server.wait_until_succeeds('false')\n");
    terminal.wait_for("waiting for success: false");
    terminal.type_in(CTRL_C);
    terminal.wait_for("KeyboardInterrupt");
    terminal.wait_for(">>> ");
    terminal.type_in("server.is_up()\n");
    terminal.wait_for("True");
    terminal.wait_for(">>> ");
    terminal.type_in(CTRL_D);
    terminal.wait_for("cleanup");
    place.ended(terminal, 0);
    let history = fs::read_to_string(place.path().join("state/innkeeper/history")).expect("a history");
    assert!(history.contains("server.succeed('echo x$((6*7))')"), "{history}");
}

#[test]
fn a_person_types_perl_of_2019() {
    if !has("perl") {
        return;
    }
    let place = Place::new("", "");
    let mut command = Command::new(program());
    command
        .args(["nixos-test-driver", "./run-server-vm", "--without-agent", "--with-accel=tcg"])
        .current_dir(place.path())
        .env("INNKEEPER_TEST", place.path())
        .env("TMPDIR", place.path().join("kept"))
        .env("LOGFILE", "/dev/null")
        .env("VLANS", "1")
        // How lines are edited differs from host to host.
        .env("PERL_RL", "Stub")
        .env("testScript", "print 'the script of ', $server->name, \"\\n\";")
        .env_remove("tests");
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("> ");
    terminal.type_in("startAll\n");
    terminal.wait_for("server: starting vm");
    terminal.wait_for("> ");
    terminal.type_in("$said = $server->succeed('echo x$((6*7))')\n");
    terminal.wait_for("> ");
    terminal.type_in("print \"it was $said\"\n");
    terminal.wait_for("it was x42");
    terminal.wait_for("> ");
    terminal.type_in("testScript\n");
    terminal.wait_for("the script of server");
    terminal.wait_for("> ");
    terminal.type_in("$server->succeed('exit 3')\n");
    terminal.wait_for("command `exit 3' did not succeed (exit code 3)");
    terminal.wait_for("> ");
    // Ctrl-C ends what is being waited for, and a line that is being typed.
    terminal.type_in("$server->waitUntilSucceeds('false')\n");
    terminal.wait_for("waiting for success: false");
    terminal.type_in(CTRL_C);
    terminal.wait_for("interrupted");
    terminal.wait_for("> ");
    terminal.type_in("die 'never'");
    terminal.wait_for("never");
    terminal.type_in(CTRL_C);
    terminal.wait_for("> ");
    // The prompt outlives one that comes while it tells what a line has come to.
    terminal
        .type_in("package Late; use overload 'bool', sub { kill 'INT', $$; 1 }, '\"\"', sub { 'late' };\n");
    terminal.wait_for("> ");
    terminal.type_in("die bless {}, 'Late'\n");
    terminal.wait_for("> ");
    terminal.type_in("print $server->isUp ? \"it is u\" . \"p\\n\" : ''\n");
    terminal.wait_for("it is up");
    terminal.wait_for("> ");
    terminal.type_in(CTRL_D);
    terminal.wait_for("test script finished in ");
    place.ended(terminal, 0);
    // Nothing but the machine's state, which is there for the next run.
    let kept = fs::read_dir(place.path().join("kept")).expect("the directory");
    let mut kept: Vec<_> = kept.map(|entry| entry.expect("an entry").file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["shared-xchg", "vm-state-server"]);
}

#[test]
fn a_prompt_that_is_ended_from_outside_leaves_the_terminal_as_it_was() {
    if !has("python3") {
        return;
    }
    let place = Place::new(STAND_IN, "");
    let mut terminal = place.run(&["-I", "--no-agent", "--timeout", "3s"]);
    terminal.wait_for(">>> ");
    terminal.type_in("server.succeed('true')\n");
    terminal.wait_for("longer than the 3s");
    let echoes = terminal.echoes();
    place.ended(terminal, 1);
    assert!(echoes, "what is typed cannot be seen");
}

#[test]
fn a_prompt_that_is_killed_leaves_the_terminal_as_it_was() {
    if !has("python3") {
        return;
    }
    let place = Place::new(STAND_IN, "");
    let mut terminal = place.run(&["-I", "--no-agent"]);
    terminal.wait_for(">>> ");
    Place::at_go(&mut terminal, "os.kill(os.getpid(), 9)");
    // At the prompt the terminal has settings of the prompt's own.
    terminal.type_in("40 + 2");
    terminal.wait_for("40 + 2");
    let echoed = terminal.echoes();
    place.go();
    terminal.wait_for("ended before the script was over");
    let echoes = terminal.echoes();
    place.ended(terminal, 1);
    assert!(!echoed && echoes, "what is typed was seen: {echoed}, and is: {echoes}");
}

#[test]
fn lines_that_are_piped_in_are_obeyed_too() {
    if !has("python3") {
        return;
    }
    let place = Place::new(STAND_IN, "");
    let line = format!(
        "echo 'print(server.succeed(\"echo x$((6*7))\"))' | '{}' run test.toml -I --no-agent -o out",
        program().display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(place.path()).env("INNKEEPER_TEST", place.path());
    shell.env("TMPDIR", place.path().join("temp")).env("XDG_STATE_HOME", place.path().join("state"));
    let mut terminal = Terminal::start(&shell);
    terminal.wait_for("x42");
    place.ended(terminal, 0);
}

#[test]
fn the_machines_of_a_failed_test_stay_up_until_somebody_has_seen_enough() {
    if !has("python3") {
        return;
    }
    let place = Place::new(STAND_IN, "server.succeed('true')\nserver.succeed('exit 3')\n");
    let mut terminal = place.run(&["--pause-on-failure", "--no-agent"]);
    terminal.wait_for("paused: the machines are up until you press Enter");
    terminal.wait_for("innkeeper attach ");
    let shell = terminal.wait_for("\r\n");
    terminal.wait_for("innkeeper attach ");
    let console = terminal.wait_for("\r\n");
    let mut visitor = place.attach(shell.trim());
    visitor.type_in("echo y$((6*7))\n");
    visitor.wait_for("y42");
    visitor.type_in(LEAVE);
    assert_eq!(visitor.finish().0, Some(0));
    let mut visitor = place.attach(console.trim());
    visitor.wait_for("(Ctrl-] leaves)");
    visitor.type_in("hello\n");
    visitor.wait_for("typed: hello");
    terminal.type_in("\n");
    // The run's end ends the visit.
    assert_eq!(visitor.finish().0, Some(0));
    place.ended(terminal, 1);
}

#[test]
fn a_real_guest_has_a_shell_and_a_console_for_a_person() {
    if need_vm("base").is_none() || !has("python3") {
        return;
    }
    let place =
        Place::new(&machine("base"), "server.wait_for_unit('multi-user.target')\nserver.succeed('exit 3')\n");
    let mut terminal = place.run(&["-I", "--vnc"]);
    terminal.wait_for(">>> ");
    terminal.type_in("test_script()\n");
    terminal.wait_for("command `exit 3` failed");
    terminal.wait_for(">>> ");
    terminal.type_in("server.shell_interact()\n");
    terminal.wait_for("# ");
    terminal.type_in("stty size; echo $((6*7)) $(tty)\n");
    terminal.wait_for("24 200");
    terminal.wait_for("42 /dev/pts/");
    terminal.type_in("sleep 1000\n");
    terminal.wait_for("sleep 1000");
    terminal.type_in(LEAVE);
    terminal.wait_for(">>> ");
    // What ran there has ended.
    terminal.type_in("server.wait_until_fails('pgrep -x sleep')\n");
    terminal.wait_for("''");
    terminal.type_in("server.shell_interact()\n");
    terminal.wait_for("# ");
    terminal.type_in("exit\n");
    terminal.wait_for(">>> ");
    terminal.type_in("(server.state_dir / 'vnc.sock').is_socket()\n");
    terminal.wait_for("True");
    // Before there is a prompt again, it would be the end of nothing.
    terminal.wait_for(">>> ");
    terminal.type_in(CTRL_D);
    place.ended(terminal, 0);
}
