//! What commands print while they run: in the log, as it comes.

use driver_core::event::{Event, OutputStream, Record};
use integration_tests::{Setup, need_vm};

const SCRIPT: &str = r#"
assert server.succeed("echo short") == "short\n"
server.succeed("echo of a command >&2")
server.execute("echo of one that nobody waits for >&2", check_output=False)
server.wait_for_console_text("of a command", timeout=300)
server.wait_for_console_text("of one that nobody waits for", timeout=300)
assert "of a command" in server.get_console_log()
assert server.succeed("echo early; sleep 1.5; echo amiss >&2; echo late; test -e /run/go-on || sleep 600", timeout=3600)
"#;

/// What commands printed, as far as it is in the log.
fn printed(records: &[Record]) -> Vec<(OutputStream, &str)> {
    let line = |record| match record {
        &Record { event: Event::CommandOutput { stream, ref line }, .. } => Some((stream, line.as_str())),
        _ => None,
    };
    records.iter().filter_map(line).collect()
}

#[test]
fn a_long_command_can_be_watched_and_a_short_one_is_silent() {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&crate::machine("base"), SCRIPT).start();
    // Seen while the command runs, which it would for ten minutes.
    run.wait_for("the last line of the command", |record: &Record| {
        printed(std::slice::from_ref(record)) == [(OutputStream::Stdout, "late")]
    });
    run.signal(rustix::process::Signal::INT);
    let run = run.finish_within(crate::SOON);
    let records = run.events();
    let all = printed(&records);
    let stdout: Vec<_> = all.iter().filter(|line| line.0 == OutputStream::Stdout).collect();
    assert_eq!(stdout, [&(OutputStream::Stdout, "early"), &(OutputStream::Stdout, "late")]);
    assert!(all.contains(&(OutputStream::Stderr, "amiss")), "{all:?}");
    assert!(run.said().contains("server # (stdout) late"), "{}", run.said());
    // It is one of the console's for the script, and shown once.
    assert_eq!(run.said().matches(") of a command\n").count(), 1, "{}", run.said());
    assert!(!run.said().contains("server # of a command"), "{}", run.said());
}
