//! Commands without a shell do what they would do in one; and what needs one gets it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::host::{AGENT, Host};
use crate::same::{normal, plain};

/// Commands that need no shell.
const SIMPLE: [&str; 53] = [
    "/bin/true",
    "/bin/true --version",
    "/bin/false x",
    "  uname\t -s  ",
    "env",
    "env A=1 B='' printenv A B",
    "env -i printenv",
    "printenv _",
    "printenv PWD OLDPWD SHLVL",
    "/usr/bin/printenv _ SHLVL",
    "id",
    "cat",
    "cat /proc/self/limits /proc/self/oom_score_adj /proc/self/comm /proc/self/cgroup",
    "tr '\\0' '|' /proc/self/cmdline",
    "cat /nonexistent",
    "ls /nonexistent -d",
    "ls /proc/self/fd",
    "readlink /proc/self/fd/0 /proc/self/cwd /proc/self/exe",
    "grep -E '^(Umask|Sig[BCI]|Cap|NoNew|Seccomp|Uid|Gid|Groups)' /proc/self/status",
    "sh -c 'echo $0 $# $- $PPID $$'",
    "sh -c 'ulimit -a; umask; pwd; trap; env'",
    "bash -c 'echo $SHLVL $_; shopt; set -o'",
    "sh -c 'exit 7'",
    "sh -c 'exit 255'",
    "sh -c 'kill -9 $$'",
    "sh -c 'kill -SEGV $$'",
    "sh -c 'kill -TERM $$'",
    "sh -c 'kill -INT $$'",
    "sh -c 'kill -PIPE $$'",
    "sh -c 'kill -HUP $$'",
    "sh -c 'yes | head -1'",
    "sh -c 'echo out; echo err >&2; exit 3'",
    "sh -c 'sleep 0.05 & echo early'",
    "setsid sh -c 'exit 5'",
    "timeout 0.05 sleep 5",
    "timeout -s KILL 0.05 sleep 5",
    "nice -n 3 nice",
    "nohup uname",
    "sleep 0",
    "sleep x",
    "tty",
    "stty",
    "/bin/echo",
    "/bin/echo -n a b",
    "/bin/echo a 'b  c' \"d  e\" f'g'\"h\"i '' \"\" j",
    "/bin/echo @ % + = : , . - _ a=b c+=d --e=f 1 2 g:h i/j k% %l @m -",
    "/bin/echo '$HOME' '`id`' '\\' '*' '~' '{a,b}' '#n' '!x' '|' ';' '&' '<' '>' '(' ')' '\"' '^' '[a]' '?'",
    "/bin/echo \"'\" \"*\" \"~\" \"{a,b}\" \"#n\" \"|\" \";\" \"&\" \"<\" \">\" \"(\" \")\" \"^\" \"[a]\" \"?\"",
    "./script a 'b c'",
    "here/script b",
    "./sub/tool",
    "own-tool x",
    "behind-folder x",
];

/// Commands that are done by a bash that has waited for a while, and by programs otherwise.
const BOTH: [&str; 4] = ["true", "false", " false ", "true\t"];

/// Commands that are left to bash.
const SHELL: [&str; 65] = [
    "",
    " ",
    ":",
    "true x",
    "false --help",
    "echo a",
    "echo -e 'a\\tb'",
    "test -e /",
    "[ -e / ]",
    "[[ -e / ]]",
    "printf '%s\\n' a b",
    "pwd",
    "type cat",
    "cd /",
    "command uname",
    "exec uname",
    "exit 3",
    "kill -9 $$",
    "! true",
    "if",
    "for",
    "{",
    "}",
    "A=1 printenv A",
    "A=1",
    "a+=b",
    "a[1]=b",
    "uname >/dev/null",
    "uname 2>&1",
    "uname </dev/null",
    "uname;",
    "uname; uname",
    "uname && uname",
    "uname || uname",
    "uname | cat",
    "uname &",
    "uname # -s",
    "#",
    "uname\n",
    "uname\nuname -s",
    "\nuname",
    "\"uname\" -s",
    "'uname' -s",
    "u'name' -s",
    "\\uname",
    "uname \\-s",
    "uname $x",
    "uname \"$x\"",
    "uname `echo -s`",
    "uname $(echo -s)",
    "/bin/echo \"\\$\"",
    "/bin/echo é 'é'",
    "/bin/echo ~ a=~ {a,b} s* ? [s]*",
    "/bin/echo 'open",
    "/bin/echo 'two\nlines'",
    "(uname)",
    "nosuch",
    "nosuch/x a",
    "/etc/passwd",
    "./sub",
    "./no-interpreter",
    "./no-script",
    "./no-permission",
    "behind-file x",
    "own-function x",
];

/// A program that says how it was called.
const PROGRAM: &str = "#!/bin/sh\necho \"$0\" \"$#\" \"$@\" \"$_\"\n";

fn write(file: &Path, text: &str, mode: u32) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

/// Fills the folder that commands run in with programs, good and bad ones.
fn fill(folder: &Path) {
    std::os::unix::fs::symlink(".", folder.join("here")).unwrap();
    write(&folder.join("script"), PROGRAM, 0o755);
    write(&folder.join("sub/tool"), PROGRAM, 0o755);
    write(&folder.join("no-interpreter"), "#!/nonexistent/sh\n", 0o755);
    write(&folder.join("no-script"), "echo \"without a first line: $0 $SHLVL\"\n", 0o755);
    write(&folder.join("no-permission"), PROGRAM, 0o644);
}

/// Two folders to be looked through before others: variables for agent and shell.
fn variables(folder: &Path) -> [(&'static str, String); 2] {
    let (first, second) = (folder.join("first"), folder.join("second"));
    fs::create_dir_all(first.join("behind-folder")).unwrap();
    write(&first.join("behind-file"), PROGRAM, 0o644);
    for tool in ["behind-folder", "behind-file", "own-tool", "own-function"] {
        write(&second.join(tool), PROGRAM, 0o755);
    }
    let others = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{others}", first.display(), second.display());
    [("PATH", path), ("BASH_FUNC_own-function%%", "() {  echo a function\n}".to_owned())]
}

/// Whether the command left the bash alone that waits.
fn needs_no_bash(host: &mut Host, script: &str) -> bool {
    let before = host.warm();
    host.run(script);
    host.warm() == before
}

/// Waits until simple commands are run directly.
fn wait_for_direct(host: &mut Host) {
    let begun = Instant::now();
    while !needs_no_bash(host, "/bin/true") {
        assert!(begun.elapsed() < Duration::from_secs(60), "simple commands need a shell");
    }
}

#[test]
fn a_simple_command_does_what_bash_does() {
    let folder = tempfile::tempdir().unwrap();
    let variables = variables(folder.path());
    let variables = variables.each_ref().map(|(name, value)| (*name, &**value));
    let mut host = Host::with(&variables);
    fill(host.folder.path());
    wait_for_direct(&mut host);
    let all = SIMPLE.iter().map(|script| (script, Some(true)));
    let all = all.chain(SHELL.iter().map(|script| (script, Some(false))));
    for (script, is_simple) in all.chain(BOTH.iter().map(|script| (script, None))) {
        let expected = plain(&host, script, &variables);
        let before = host.warm();
        let outcome = host.run(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let result = (outcome.status(), text(&outcome.stdout), normal(&text(&outcome.stderr)));
        assert_eq!(sorted(result), sorted(expected), "{script:?}");
        if let Some(is_simple) = is_simple {
            assert_eq!(host.warm() == before, is_simple, "{script:?} needs no shell");
        }
    }
}

/// With the lines of the output in order, and without the numbers of processes: bash keeps no order among
/// variables.
fn sorted((status, stdout, stderr): (i32, String, String)) -> (i32, Vec<String>, String) {
    let mut lines: Vec<_> = normal(&stdout).lines().map(str::to_owned).collect();
    lines.sort();
    (status, lines, stderr)
}

#[test]
fn a_folder_that_has_moved_is_told_by_bash() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::create_dir(&old).unwrap();
    let mut host = Host::starting(&format!("export PWD OLDPWD; cd '{}'\n{AGENT}", old.display()));
    wait_for_direct(&mut host);
    assert_eq!(host.run("printenv PWD").text().trim(), old.to_str().unwrap());
    fs::rename(&old, &new).unwrap();
    assert_eq!(host.run("printenv PWD").text().trim(), new.to_str().unwrap());
}

#[test]
fn a_bash_that_somebody_has_changed_runs_everything() {
    for variable in [("SHELLOPTS", "xtrace"), ("PATH", "bin:/usr/bin:/bin"), ("LC_ALL", "xx_XX.UTF-8")] {
        let mut host = Host::with(&[variable]);
        for _ in 0..10 {
            assert!(!needs_no_bash(&mut host, "/bin/true"), "{variable:?}");
        }
    }
}
