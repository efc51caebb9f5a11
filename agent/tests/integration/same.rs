//! A command does what the same `bash -c` does in the shell whose place the agent has taken: in the bash
//! that waited as in a new one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::host::{Host, command, shell};

/// Scripts that a difference would show in.
const SCRIPTS: [&str; 44] = [
    "",
    "true",
    "false",
    "exit 7",
    "echo $undefined",
    "echo ${PIPESTATUS[@]} $? $_",
    "false | true",
    "true | false || echo rescued",
    "nosuch",
    "echo a; nosuch; echo b",
    "/etc/passwd",
    "if",
    "echo 'unterminated",
    "echo a\nif true; then\n",
    "echo a\nfi\necho b",
    "echo 1\necho 2\nnosuch\n",
    "cat <<E\none $((1+1))\nE\ncat <<'E'\n$x\nE",
    "f() { echo in $FUNCNAME \"$@\"; return 3; }; f a b",
    "trap 'echo bye $?' EXIT; false",
    "trap 'echo oops $LINENO' ERR; false",
    "trap 'echo term' TERM; kill -TERM $$; echo after",
    "exec sh -c 'exit 5'",
    "exec nosuch",
    "return 3",
    "kill -9 $$",
    "sh -c 'kill -SEGV $$'",
    "sh -c 'kill -TERM $$'; echo unseen",
    "setsid sh -c 'exit 5'",
    "read x; echo unseen",
    "cat; echo stdin is empty",
    "readlink /proc/self/fd/0; ls /proc/self/fd; cd /proc/$$/fd; echo *",
    "ls -l /proc/self/fd | wc -l",
    "echo \"$0 $# $- $LINENO $BASH_SUBSHELL $SHLVL\"; [ $SECONDS -le 1 ]",
    "[ $$ = $BASHPID ] && echo same",
    "pwd; umask; ulimit -a; trap; shopt; set -o; alias; hash",
    "env | grep -v ^_= | sort; env | grep ^_=",
    "tr '\\0' '\\n' </proc/$$/environ | grep -v ^BASH_ENV= | sort",
    "grep -E '^(Sig(Blk|Ign|Cgt)|Seccomp|NoNewPrivs|Umask)' /proc/self/status",
    "grep -E '^(SigIgn|Umask)' /proc/$$/status; :",
    // Not what differs from one to the next, nor the three that warm.rs names.
    "declare -F; declare -p | grep -vE ' (BASHPID|PPID|EPOCH[A-Z]*|S?RANDOM|BASH_ARGV0|BASH_EXECUTION_STRING|BASH_ARGC|SECONDS)'",
    "set +e; false; (exit 4); echo $?; set -v; echo shown\n",
    "sleep 0 & wait $!; echo $?; jobs",
    "echo $((1/0)); echo unseen",
    "yes | head -1; echo unseen",
];

/// What a script does in the shell.
pub(crate) fn plain(host: &Host, script: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    // What the shell itself says of a command that was killed is none of the command's.
    let line = r#"exec 3>&2 2>/dev/null; bash -c "set -euo pipefail; $1" </dev/null 2>&3 3>&-; exit $?"#;
    let mut shell = shell(host.folder.path(), line);
    // The shell runs its command as a child and not in its own place: `exit` follows.
    let output = shell.args(["shell", script]).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), normal(&text(&output.stderr)))
}

/// Without the numbers of processes.
pub(crate) fn normal(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']);
    let is_pid = |word: &str| word.trim().len() > 2 && word.trim().bytes().all(|byte| byte.is_ascii_digit());
    words.map(|word| if is_pid(word) { "PID " } else { word }).collect()
}

#[test]
fn a_command_does_what_bash_does() {
    let mut host = Host::new();
    for script in SCRIPTS {
        let expected = plain(&host, script, &[]);
        host.warm();
        let ids = [host.start(command(script)), host.start(command(script))];
        for (id, which) in ids.into_iter().zip(["waiting", "new"]) {
            let outcome = host.outcome(id);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let result = (outcome.status(), text(&outcome.stdout), normal(&text(&outcome.stderr)));
            assert_eq!(result, expected, "{script:?} in a {which} bash");
        }
    }
}
