//! The guest shell against a real bash: what commands mean, and what of them arrives.

use std::time::{Duration, Instant};

use driver_core::fake::LocalBash;
use driver_core::{Deadline, DriverError, Shell, ShellOutput, quote};
use proptest::prelude::*;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A shell on a bash in a fresh directory.
fn shell() -> (Shell, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut bash = LocalBash::start(directory.path(), &[]).expect("bash starts");
    let mut stderr = bash.take_stderr().expect("stderr");
    tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    (Shell::open("server", Box::new(bash), |_| {}), directory)
}

async fn run(shell: &Shell, command: &str) -> (i32, String) {
    let ShellOutput { status, stdout } = shell.run(command, None, soon()).await.expect("the shell answers");
    (status, String::from_utf8(stdout).expect("UTF-8"))
}

#[tokio::test]
async fn commands_mean_what_they_mean_upstream() {
    let (shell, _directory) = shell();
    for (command, status, output) in [
        ("true", 0, ""),
        ("echo one; exit 7", 7, "one\n"),
        ("false | cat", 1, ""),
        ("echo $never_set", 1, ""),
        ("false; echo not reached", 1, ""),
        ("kill -9 $$", 137, ""),
        ("kill -TERM $$", 143, ""),
        ("no-such-program", 127, ""),
        ("cat; echo stdin is empty", 0, "stdin is empty\n"),
        ("cd /; x=1; export y=2", 0, ""),
        ("echo ${x-unset} ${y-unset}; echo loud >&2", 0, "unset unset\n"),
        ("(sleep 0.1; echo late) & echo early", 0, "early\nlate\n"),
        ("echo 'it'\"'\"'s' \"$((1 + 1))\" `echo b` \\\\ #", 0, "it's 2 b \\\n"),
        ("cat <<'EOF'\n$x `y`\nEOF\necho end", 0, "$x `y`\nend\n"),
        ("echo a\necho b;", 0, "a\nb\n"),
        ("echo -n no newline", 0, "no newline"),
        ("echo $0 $#", 0, "bash 0\n"),
        ("if true; then", 2, ""),
        ("echo ')' ']' '\" }'", 0, ") ] \" }\n"),
    ] {
        assert_eq!(run(&shell, command).await, (status, output.to_owned()), "{command}");
    }
}

#[tokio::test]
async fn the_guest_ends_a_command_after_its_timeout() {
    let (shell, _directory) = shell();
    let limit = Some(Duration::from_millis(100));
    let output = shell.run("echo before; sleep 600", limit, soon()).await.unwrap();
    assert_eq!(output, ShellOutput { status: 124, stdout: b"before\n".to_vec() });
    let long = format!("sleep 600 # {}", "x".repeat(200_000));
    assert_eq!(shell.run(&long, limit, soon()).await.unwrap().status, 124);
    assert_eq!(run(&shell, "echo next").await, (0, "next\n".to_owned()));
}

#[tokio::test]
async fn bytes_arrive_as_they_are() {
    let (shell, _directory) = shell();
    let all = "for i in {0..255}; do printf \"\\\\x$(printf %x $i)\"; done";
    let output = shell.run(all, None, soon()).await.unwrap();
    assert_eq!(output.stdout, (0..=255).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_command_may_have_a_mebibyte() {
    let (shell, _directory) = shell();
    let text = "0123456789abcde'".repeat(1 << 16);
    let command = format!("printf %s {} | md5sum; echo $# $0; cat; echo 'two\n\n'", quote(&text));
    let short = "head -c 1048576 < <(while :; do printf %s \"0123456789abcde'\"; done) | md5sum || true";
    let (status, sum) = run(&shell, short).await;
    assert_eq!(status, 0);
    assert_eq!(run(&shell, &command).await, (0, format!("{sum}0 bash\ntwo\n\n\n")));
    let with_end = format!("true {}\ncat <<END\nx\nEND\n\n", "y".repeat(1 << 20));
    assert_eq!(run(&shell, &with_end).await, (0, "x\n".to_owned()));
    assert_eq!(run(&shell, &format!("exit 3 #{}", "y".repeat(1 << 20))).await, (3, String::new()));
}

#[tokio::test]
async fn a_hundred_million_bytes_of_output_arrive() {
    let (shell, _directory) = shell();
    let output = shell.run("head -c 100000000 /dev/zero | tr '\\0' x", None, soon()).await.unwrap();
    assert_eq!(output.status, 0);
    assert_eq!(output.stdout.len(), 100_000_000);
    assert_eq!(memchr::memchr2(0, b'y', &output.stdout), None);
    assert_eq!((output.stdout[0], output.stdout[99_999_999]), (b'x', b'x'));
}

#[tokio::test]
async fn too_much_output_is_refused_and_the_next_command_works() {
    let (shell, _directory) = shell();
    let small = shell.clone().with_output_limit(1000);
    let error = small.run("head -c 5000000 /dev/zero", None, soon()).await.unwrap_err().to_string();
    assert!(error.contains("more than the 1000 bytes"), "{error}");
    assert!(error.contains("head -c 5000000"), "{error}");
    assert_eq!(run(&shell, "echo next").await, (0, "next\n".to_owned()));
}

#[tokio::test]
async fn a_thousand_commands_in_a_row_and_a_hundred_at_once() {
    let (shell, _directory) = shell();
    for _ in 0..1000 {
        assert_eq!(run(&shell, "true").await, (0, String::new()));
    }
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let shell = shell.clone();
            tokio::spawn(async move { (number, run(&shell, &format!("echo {number}; exit {number}")).await) })
        })
        .collect();
    for task in tasks {
        let (number, answer) = task.await.unwrap();
        assert_eq!(answer, (number, format!("{number}\n")));
    }
}

#[tokio::test]
async fn a_command_that_is_given_up_leaves_nothing_behind() {
    let (shell, directory) = shell();
    shell.ready(soon()).await.unwrap();
    let gate = directory.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let waiting = format!("cat {}; echo of the past", gate.display());

    let brief = Deadline::after(Duration::from_millis(50));
    let error = shell.run(&waiting, None, brief).await.unwrap_err();
    assert!(matches!(&error, DriverError::Timeout { seen: None, .. }), "{error}");
    let brief = Deadline::after(Duration::from_millis(50));
    let error = shell.run("echo impatient", None, brief).await.unwrap_err().to_string();
    assert!(error.contains("`echo impatient`") && error.contains("still busy with `cat "), "{error}");

    let next = run(&shell, "echo next");
    let (next, ()) = tokio::join!(next, async { std::fs::write(&gate, "the gate is open\n").unwrap() });
    assert_eq!(next, (0, "next\n".to_owned()));
}

#[tokio::test]
async fn what_is_fired_runs_and_does_not_disturb() {
    let (shell, _directory) = shell();
    shell.fire("echo fired; touch mark; exit 9", soon()).await.unwrap();
    assert_eq!(run(&shell, "ls").await, (0, "mark\n".to_owned()));
    shell.send_raw("touch raw\n", soon()).await.unwrap();
    assert_eq!(run(&shell, "ls").await, (0, "mark\nraw\n".to_owned()));
}

#[tokio::test]
async fn a_shell_that_dies_names_the_command() {
    let (shell, _directory) = shell();
    let error = shell.run("kill -9 $PPID; exit 0", None, soon()).await.unwrap_err();
    assert!(matches!(error, DriverError::Shell { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("was closed by the guest") && text.contains("kill -9 $PPID"), "{text}");
    let started = Instant::now();
    assert!(matches!(shell.run("true", None, soon()).await, Err(DriverError::Shell { .. })));
    assert!(matches!(shell.ready(soon()).await, Err(DriverError::Shell { .. })));
    assert!(matches!(shell.send_raw("exit\n", soon()).await, Err(DriverError::Shell { .. })));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn files_travel_both_ways() {
    let (shell, directory) = shell();
    let content: Vec<u8> = (0..10_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let name = "made/for it/a file's name";
    shell.upload(name, 0o640, content.as_slice(), content.len() as u64, soon()).await.unwrap();
    let path = directory.path().join(name);
    assert!(std::fs::read(&path).unwrap() == content);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o640);

    let mut copy = Vec::new();
    let length = shell.download(name, &mut copy, u64::MAX, soon()).await.unwrap();
    assert_eq!(length, content.len() as u64);
    assert!(copy == content);

    shell.upload("empty", 0o600, &b""[..], 0, soon()).await.unwrap();
    assert_eq!(run(&shell, "stat -c '%s %a' empty").await, (0, "0 600\n".to_owned()));
}

#[tokio::test]
async fn files_that_cannot_travel_say_why() {
    let (shell, _directory) = shell();
    let content = vec![b'\n'; 300_000];
    let length = content.len() as u64;
    let error = shell.upload("/proc/no/such", 0o644, content.as_slice(), length, soon()).await.unwrap_err();
    assert!(
        error.to_string().contains("`/proc/no/such` could not be written in the guest: mkdir: "),
        "{error}"
    );
    let error = shell.upload("/dev/full", 0o644, content.as_slice(), length, soon()).await.unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    let error = shell.upload("short", 0o644, &b"abc"[..], 4, soon()).await.unwrap_err();
    assert!(matches!(error, DriverError::File { .. }), "{error}");
    let error = shell.download("/no/such", tokio::io::sink(), 10, soon()).await.unwrap_err();
    assert!(matches!(error, DriverError::Assertion { .. }), "{error}");
    let error = shell.download("/dev/zero", tokio::io::sink(), 10, soon()).await;
    assert!(error.unwrap_err().to_string().contains("more than the 10 bytes"));
}

#[tokio::test]
async fn a_command_with_a_nul_is_refused() {
    let (shell, _directory) = shell();
    let error = shell.run("echo \0", None, soon()).await.unwrap_err();
    assert!(matches!(error, DriverError::Usage { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn quoted_words_survive_a_shell(words in prop::collection::vec("[^\0]{0,20}", 1..20)) {
        let quoted: Vec<_> = words.iter().map(|word| quote(word)).collect();
        let script = format!("printf '%s\\0' {}", quoted.join(" "));
        let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        prop_assert_eq!(output.stdout, expected.into_bytes());
    }
}
