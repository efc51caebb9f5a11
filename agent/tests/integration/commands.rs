//! Commands that run and end by themselves.

use std::os::unix::fs::PermissionsExt as _;

use sha2::{Digest as _, Sha256};

use crate::host::{Host, children, command};

#[test]
fn a_command_has_status_stdout_and_stderr() {
    let outcome = Host::new().run("echo out; echo err >&2; exit 3");
    assert_eq!((outcome.status(), outcome.text(), &*outcome.stderr), (3, "out\n", &b"err\n"[..]));
}

#[test]
fn sixteen_commands_at_once_keep_every_byte() {
    let mut host = Host::new();
    for round in 0..3_u32 {
        let ids: Vec<_> = (0..16_u32)
            .map(|n| {
                let size = (round * 16 + n).wrapping_mul(2_654_435_761) % (1 << 20);
                host.start(command(format!(
                    "head -c {size} /dev/urandom >f{n}; sha256sum <f{n} >&2; cat f{n}; exit {n}"
                )))
            })
            .collect();
        for (n, id) in (0..).zip(ids) {
            let outcome = host.outcome(id);
            assert_eq!(outcome.status(), n);
            let hash: String =
                Sha256::digest(&outcome.stdout).iter().map(|byte| format!("{byte:02x}")).collect();
            let told = String::from_utf8(outcome.stderr).unwrap();
            assert_eq!(told.split_whitespace().next(), Some(&*hash), "{} bytes", outcome.stdout.len());
        }
    }
}

#[test]
fn a_command_may_be_long() {
    let mut host = Host::new();
    for size in [4_000, 5_000, 101 << 10, 1 << 20, 3 << 20] {
        let outcome = host.run(format!(": {}\necho $?; false; echo no", "x".repeat(size)));
        assert_eq!((outcome.status(), outcome.text()), (1, "0\n"), "{size}");
    }
}

#[test]
fn bytes_need_not_be_text() {
    let mut host = Host::new();
    let outcome = host.run(b"x='\xff\xfe'; printf %s \"$x\"; printf '\\0\\n\\r\\004' >&2");
    assert_eq!((&*outcome.stdout, &*outcome.stderr), (&b"\xff\xfe"[..], &b"\0\n\r\x04"[..]));
    let outcome = host.run(b"echo a\0b");
    assert!(format!("{:?}", outcome.end).contains("NUL"), "{outcome:?}");
}

#[test]
fn the_agents_file_is_gone() {
    let mut host = Host::new();
    assert_eq!(host.run("ls -A").text(), "console\n");
}

#[test]
fn no_zombie_is_left() {
    let mut host = Host::new();
    for _ in 0..5 {
        host.run("true");
        host.run("sleep 0 & sleep 0 & kill -9 $$");
    }
    let warm = host.warm();
    host.until("nobody else is there", |host| children(host.pid()) == [warm]);
}

#[test]
fn a_waiting_bash_is_used_once_and_replaced() {
    let mut host = Host::new();
    let first = host.warm();
    assert_eq!(host.run("echo $$").text().trim().parse(), Ok(first));
    let second = host.warm();
    assert_ne!(first, second);
    let killed = host.run(format!("kill -9 {second}; echo $?"));
    assert!([0, 143, 137].contains(&killed.status()), "{killed:?}");
    assert_eq!(host.run("echo still here").text(), "still here\n");
    assert_ne!(host.warm(), second);
}

#[test]
fn a_killed_waiting_bash_is_replaced() {
    let mut host = Host::new();
    let warm = host.warm();
    let pid = rustix::process::Pid::from_raw(warm.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(host.run("echo here").text(), "here\n");
    assert_ne!(host.warm(), warm);
}

#[test]
fn without_a_waiting_bash_all_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    std::fs::write(&file, "own=1\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut host = Host::with(&[("BASH_ENV", file.to_str().unwrap())]);
    assert_eq!(host.run("echo $own $BASH_ENV").text().trim(), format!("1 {}", file.display()));
}
