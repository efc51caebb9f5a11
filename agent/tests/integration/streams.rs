//! Input, and output that somebody does not take.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use agent_protocol::ToGuest;
use agent_protocol::message::{CHUNK, Command, INITIAL_GRANT};

use crate::host::{Host, command};

/// Bytes that are unlike each other.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(size)
    .collect()
}

/// Runs a command with input, never sending more than was taken.
fn pour(host: &mut Host, script: &str, input: &[u8]) -> crate::host::Outcome {
    let id = host.start(Command { stdin: true, ..command(script) });
    let mut sent = 0;
    for chunk in input.chunks(CHUNK) {
        host.until("there is room", |host| {
            let taken = usize::try_from(host.so_far(id).taken).unwrap();
            sent + chunk.len() <= taken + INITIAL_GRANT as usize || host.so_far(id).end.is_some()
        });
        if host.so_far(id).end.is_some() {
            // It did not wait for the rest.
            break;
        }
        host.send(&ToGuest::Input { id, bytes: chunk.to_vec() });
        sent += chunk.len();
    }
    host.send(&ToGuest::Input { id, bytes: Vec::new() });
    host.outcome(id)
}

#[test]
fn ten_megabytes_go_in_and_come_out() {
    let mut host = Host::new();
    let input = noise(10_000_000);
    let outcome = pour(&mut host, "cat", &input);
    assert_eq!(outcome.status(), 0);
    assert!(outcome.stdout == input);
    assert_eq!(outcome.taken, 10_000_000);
}

#[test]
fn a_command_need_not_read_its_input() {
    let mut host = Host::new();
    let outcome = pour(&mut host, "head -c 3; exec <&-; sleep 0.1; echo", &noise(1_000_000));
    assert_eq!((outcome.status(), outcome.stdout.len()), (0, 4));
    let outcome = pour(&mut host, "wc -c", b"");
    assert_eq!(outcome.text().trim(), "0");
}

#[test]
fn input_beyond_all_measure_ends_the_command() {
    let mut host = Host::new();
    let id = host.start(Command { stdin: true, ..command("sleep 1004") });
    for _ in 0..40 {
        host.send(&ToGuest::Input { id, bytes: vec![0; CHUNK] });
    }
    let outcome = host.outcome(id);
    assert!(format!("{:?}", outcome.end).contains("Failed"), "{outcome:?}");
}

#[test]
fn a_slow_reader_stops_only_its_own_command() {
    let mut host = Host::new();
    let id = host.start(command("head -c 1000000 /dev/zero; touch done"));
    host.slow.push(id);
    host.until("it has no more grant", |host| host.so_far(id).stdout.len() == INITIAL_GRANT as usize);
    let other = host.run("head -c 1000000 /dev/zero; [ ! -e done ]");
    assert_eq!((other.status(), other.stdout.len()), (0, 1_000_000));
    assert_eq!(host.so_far(id).stdout.len(), INITIAL_GRANT as usize);
    host.slow.clear();
    host.send(&ToGuest::Grant { id, bytes: INITIAL_GRANT });
    assert_eq!(host.outcome(id).stdout.len(), 1_000_000);
}

#[test]
fn output_comes_while_the_command_runs() {
    let mut host = Host::new();
    let id = host.start(command("echo one; until [ -e go ]; do sleep 0.01; done; echo two"));
    host.until("the first line is here", |host| host.so_far(id).stdout == b"one\n");
    host.run("touch go");
    assert_eq!(host.outcome(id).text(), "one\ntwo\n");
}

/// The time on a CPU that the agent has had, in hundredths of a second.
fn spent(agent: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn output_that_nobody_takes_is_not_waited_for_on_the_cpu() {
    let mut host = Host::new();
    // More than is granted at first, and less than that and a pipe.
    let script = "head -c 300000 /dev/zero; sleep 1008 &";
    let id = host.start(Command { grace_ms: Some(0), ..command(script) });
    host.slow.push(id);
    host.until("no more may be sent", |host| host.so_far(id).stdout.len() == 256 << 10);
    let before = spent(host.pid());
    host.run("sleep 1");
    assert!(spent(host.pid()) - before < 30);
    host.send(&ToGuest::Cancel { id });
}

#[test]
fn a_port_that_takes_nothing_is_not_waited_for_on_the_cpu() {
    let (mut host, _) = Host::on_terminal();
    let id = host.start(command("head -c 100000 /dev/zero"));
    host.until("it has begun", |host| !host.so_far(id).stdout.is_empty());
    let before = spent(host.pid());
    // The driver reads nothing meanwhile.
    std::process::Command::new("sleep").arg("1").status().unwrap();
    assert!(spent(host.pid()) - before < 30);
    assert_eq!(host.outcome(id).stdout.len(), 100_000);
}
