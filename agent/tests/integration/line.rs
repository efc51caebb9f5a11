//! A bad line.

use std::io::Write as _;

use crate::host::{Host, command};

#[test]
fn others_may_write_into_the_port() {
    let (mut host, terminal) = Host::on_terminal();
    for round in 0..20 {
        let id = host.start(command(format!(
            "for i in 1 2 3 4 5; do head -c 20000 /dev/zero | tr '\\0' x; echo '[  1.{round}] kernel: hello' >{terminal}; done"
        )));
        let second = host.start(command("echo second"));
        // Foreign bytes on the way to the guest, wherever the last frame was cut.
        let _ = (&host.line).write(b"\r\nSeaBIOS (version 1.16)\x1b[2J\0\xff");
        let outcome = host.outcome(id);
        assert_eq!((outcome.status(), outcome.stdout.len()), (0, 100_000));
        assert!(outcome.stdout.iter().all(|byte| *byte == b'x'));
        assert_eq!(host.outcome(second).text(), "second\n");
    }
    let stray = String::from_utf8_lossy(&host.stray).into_owned();
    assert_eq!(stray.matches("kernel: hello").count(), 100, "what others say is not lost either");
}

#[test]
fn commands_have_no_terminal() {
    let (mut host, _) = Host::on_terminal();
    let outcome = host.run("exec 9</dev/tty");
    assert_eq!(outcome.status(), 1);
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("No such device or address"), "{outcome:?}");
}
