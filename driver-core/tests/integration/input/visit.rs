//! Somebody at a guest's own terminals, through the doors that a run opens.

use std::time::Duration;

use driver_core::fake::Play;
use driver_core::{Door, TerminalSize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::stage::Stage;

/// The longest that anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn shown(terminal: &mut UnixStream, wanted: &str) {
    let mut text = String::new();
    while !text.ends_with(wanted) {
        let byte = timeout(PATIENCE, terminal.read_u8()).await.expect("it is shown in time");
        text.push(char::from(byte.unwrap_or_else(|error| panic!("{error} after {text:?}"))));
    }
    assert_eq!(text, wanted);
}

#[tokio::test]
async fn who_comes_to_the_console_sees_the_line_that_it_is_at_and_what_follows_and_can_type() {
    let play = Play::new().print_bytes("booted\r\nserver login: ").greet();
    let (stage, backend) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    let path = stage.driver.open_door(&stage.server, Door::Console).unwrap();
    let mut first = UnixStream::connect(&path).await.unwrap();
    shown(&mut first, "server login: ").await;
    let mut second = UnixStream::connect(&path).await.unwrap();
    shown(&mut second, "server login: ").await;
    first.write_all(b"root\n").await.unwrap();
    let server = backend.handle("server");
    server.recorded(|record| record.typed == b"root\n").await;
    server.print_bytes("Password: ");
    shown(&mut first, "Password: ").await;
    shown(&mut second, "Password: ").await;
    // What they see is in the log as always.
    server.print_bytes("\r\n");
    stage.server.wait_for_console_text("Password: $", None, &driver_core::RustPatterns).await.unwrap();
    stage.end().await;
    // The run's end is theirs.
    let mut rest = Vec::new();
    timeout(PATIENCE, first.read_to_end(&mut rest)).await.expect("it is hung up on").unwrap();
}

#[tokio::test]
async fn who_cannot_be_let_in_is_told_why() {
    let (stage, _) = Stage::playing(Play::default());
    for (door, wanted) in [
        (Door::Console, "machine `server` is off"),
        (Door::Shell(TerminalSize::default()), "machine `server` has one plain shell"),
    ] {
        let path = stage.driver.open_door(&stage.server, door).unwrap();
        let mut told = String::new();
        let mut terminal = UnixStream::connect(path).await.unwrap();
        timeout(PATIENCE, terminal.read_to_string(&mut told)).await.expect("it is hung up on").unwrap();
        assert!(told.contains(wanted), "{told}");
    }
    stage.end().await;
}
