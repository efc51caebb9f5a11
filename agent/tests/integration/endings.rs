//! Commands that are ended, and what of them goes on.

use std::io::Write as _;
use std::time::{Duration, Instant};

use agent_protocol::ToGuest;
use agent_protocol::message::{Command, End, RequestId};

use crate::host::{AGENT, Host, command, is_alive};

#[test]
fn a_command_that_takes_too_long_ends_with_124() {
    let mut host = Host::new();
    let limit = |script: &str, limit| Command { timeout_ms: Some(limit), ..command(script) };
    let id = host.start(limit("echo begun; sleep 1000 | cat", 100));
    let outcome = host.outcome(id);
    assert_eq!((outcome.status(), outcome.text()), (124, "begun\n"));
    let id = host.start(limit("trap 'echo asked; exit 0' TERM; while :; do sleep 0.01; done", 100));
    let outcome = host.outcome(id);
    assert_eq!((outcome.status(), outcome.text()), (124, "asked\n"));
    let id = host.start(limit("echo quick", 60_000));
    assert_eq!(host.outcome(id).status(), 0);
}

#[test]
fn a_command_that_ignores_its_end_is_killed() {
    let mut host = Host::new();
    let id =
        host.start(Command { timeout_ms: Some(10), ..command("trap '' TERM; while :; do sleep 1; done") });
    assert_eq!(host.outcome(id).status(), 124);
}

#[test]
fn a_signal_is_told_as_bash_tells_it() {
    let mut host = Host::new();
    assert_eq!(host.run("kill -9 $$").status(), 137);
    assert_eq!(host.run("kill -TERM $BASHPID").status(), 143);
    assert_eq!(host.run("sh -c 'kill -SEGV $$'; true").status(), 139);
}

#[test]
fn cancel_leaves_no_process() {
    let mut host = Host::new();
    let id =
        host.start(command("sleep 1000 & echo $!; (setsid -f true; sleep 1001) & echo $!; echo $$; wait"));
    host.until("it has begun", |host| {
        host.so_far(id).stdout.iter().filter(|byte| **byte == b'\n').count() == 3
    });
    let pids: Vec<u32> = host.so_far(id).text().lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    host.send(&ToGuest::Cancel { id });
    host.until("they are gone", |_| !pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(host.so_far(id).end, None, "no answer");
    assert_eq!(host.run("echo next").text(), "next\n");
}

/// The kernel tells of one that is just being reaped that it is in session -1.
#[test]
fn processes_that_end_meanwhile_do_no_harm() {
    let mut host = Host::new();
    let script = "for i in {1..20}; do for j in {1..2000}; do (:); done & done; echo $$; wait";
    let (id, _) = begun(&mut host, script);
    for _ in 0..50 {
        let (other, pid) = begun(&mut host, "echo $$; exec sleep 1009");
        host.send(&ToGuest::Cancel { id: other });
        host.until("it is gone", |_| !is_alive(pid));
    }
    host.send(&ToGuest::Cancel { id });
    assert_eq!(host.run("echo next").text(), "next\n");
}

/// nixpkgs#471141: the test used to hang for as long as the child ran.
#[test]
fn held_stdout_names_the_holder() {
    let mut host = Host::new();
    let id = host.start(Command { grace_ms: Some(100), ..command("echo before; sleep 1002 & echo $!") });
    let outcome = host.outcome(id);
    let Some(End::Exited { status: 0, held_by }) = &outcome.end else { panic!("{outcome:?}") };
    let (pid, command) = (held_by[0].pid, &*held_by[0].command);
    assert_eq!((held_by.len(), command), (1, "sleep 1002"));
    assert_eq!(outcome.text(), format!("before\n{pid}\n"));
    assert!(is_alive(pid), "it is none of our business to end it");
    host.run(format!("kill {pid}"));
}

#[test]
fn a_holder_that_ends_in_time_is_waited_for() {
    let mut host = Host::new();
    let id = host.start(command("(sleep 0.2; echo late) & echo early"));
    let outcome = host.outcome(id);
    assert_eq!(outcome.text(), "early\nlate\n");
    assert_eq!(outcome.end, Some(End::Exited { status: 0, held_by: Vec::new() }));
    for grace_ms in [None, Some(u64::MAX)] {
        let id = host.start(Command { grace_ms, ..command("(sleep 0.2; echo late) & exit 4") });
        let outcome = host.outcome(id);
        assert_eq!((outcome.status(), outcome.text()), (4, "late\n"));
    }
}

#[test]
fn stderr_in_the_background_is_not_waited_for_and_goes_to_the_console() {
    let mut host = Host::new();
    let begun = Instant::now();
    let outcome = host.run(
        "echo now >&2; (until [ -e go ]; do sleep 0.02; done; echo later >&2; sleep 0.1; echo last >&2) >&2 & true",
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!((outcome.status(), &*outcome.stderr), (0, &b"now\n"[..]));
    host.run("touch go");
    host.until("it has come", |host| host.console() == "later\nlast\n");
}

#[test]
fn a_new_session_ends_what_the_old_one_ran() {
    let mut host = Host::new();
    let (_, pid) = begun(&mut host, "echo $$; exec sleep 1003");
    host.open(2);
    assert!(!is_alive(pid));
    assert_eq!(host.run("echo fresh").text(), "fresh\n");
}

#[test]
fn the_shell_comes_back() {
    let (mut host, _) = Host::on_terminal();
    host.run("true");
    host.send(&ToGuest::Leave);
    let greeting = b"Spawning backdoor root shell...\n";
    host.until("a shell greets", |host| host.stray.ends_with(greeting));
    host.stray.clear();
    // In a line of its own: the link may have said something more to the agent.
    (&host.line).write_all(b"\necho $((20 + 1)) $- $SHLVL\n").unwrap();
    let answer = format!("21 hB {}\n", shell_level());
    host.until("the shell answers", |host| host.stray == answer.as_bytes());
    (&host.line).write_all(AGENT.as_bytes()).unwrap();
    host.open(2);
    assert_eq!(host.run("echo again").text(), "again\n");
}

/// How deep the shell is that the agent replaced.
fn shell_level() -> u32 {
    std::env::var("SHLVL").map_or(0, |level| level.parse().unwrap_or(0)) + 1
}

/// Starts a command, and waits for the number of a process that it prints.
fn begun(host: &mut Host, script: &str) -> (RequestId, u32) {
    let id = host.start(command(script));
    host.until("it has begun", |host| host.so_far(id).stdout.ends_with(b"\n"));
    (id, host.so_far(id).text().trim().parse().expect("the number of a process"))
}

#[test]
fn a_process_is_found_whatever_its_name() {
    let mut host = Host::new();
    let script = "cp \"$(type -P sleep)\" './) R 1 (';  './) R 1 (' 1005 & echo $!; wait";
    let (id, pid) = begun(&mut host, script);
    host.send(&ToGuest::Cancel { id });
    host.until("it is gone", |_| !is_alive(pid));
}

/// A shell at a terminal of its own can die of the hang-up while it forks: who has just been forked stays.
#[test]
fn cancel_ends_the_sessions_that_a_command_has_begun() {
    let mut host = Host::new();
    let (id, pid) =
        begun(&mut host, "setsid sh -c 'sh -c \"trap : HUP; echo \\$\\$; sleep 1008\"; :' & wait");
    host.send(&ToGuest::Cancel { id });
    host.until("it is gone", |_| !is_alive(pid));
}

/// The last command takes bash's place, and need not fork to lead a session then.
#[test]
fn a_command_that_leaves_its_session_is_ended() {
    let mut host = Host::new();
    let script = "echo $$; exec setsid sleep 1006";
    let id = host.start(Command { timeout_ms: Some(300), ..command(script) });
    assert_eq!(host.outcome(id).status(), 124);
    let (id, pid) = begun(&mut host, script);
    host.until("it has left", |_| {
        std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"sleep\n")
    });
    host.send(&ToGuest::Cancel { id });
    host.until("it is gone", |_| !is_alive(pid));
    assert_eq!(host.run("echo next").text(), "next\n");
}
