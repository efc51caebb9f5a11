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

/// Reads until `wanted` is shown, and returns the rest of that line.
async fn line_after(terminal: &mut UnixStream, wanted: &str) -> String {
    let mut text = String::new();
    loop {
        let byte = timeout(PATIENCE, terminal.read_u8()).await;
        let byte = byte.unwrap_or_else(|_| panic!("no {wanted:?} in {text:?}"));
        text.push(char::from(byte.unwrap_or_else(|error| panic!("{error} after {text:?}"))));
        if let Some((_, line)) = text.split_once(wanted)
            && let Some((line, _)) = line.split_once(['\r', '\n'])
        {
            return line.to_owned();
        }
    }
}

#[tokio::test]
async fn the_plain_shell_is_a_visitors_and_then_the_drivers_again() {
    let (stage, _) = Stage::playing(Play::new().bash(None).greet());
    let path = stage.driver.open_door(&stage.server, Door::Shell(TerminalSize::default())).unwrap();
    let mut visitor = UnixStream::connect(&path).await.unwrap();
    // What runs there reads what is typed, and not the command that waits.
    // The terminal echoes what is typed, which is not what is looked for.
    visitor.write_all(b"echo 's'um 100%; echo 'a't $$; cat\n").await.unwrap();
    assert_eq!(line_after(&mut visitor, "sum ").await, "100%");
    let shell: u32 = line_after(&mut visitor, "at ").await.parse().unwrap();
    let mut waiting = Box::pin(stage.server.succeed(&["echo mine"], None));
    assert!(timeout(Duration::from_millis(1), &mut waiting).await.is_err(), "it has not waited");
    visitor.write_all(b"echo mine too\n").await.unwrap();
    line_after(&mut visitor, "mine too").await;
    // Who leaves takes along what they ran.
    drop(visitor);
    assert_eq!(timeout(PATIENCE, waiting).await.expect("it is its turn").unwrap(), "mine\n");
    let gone = format!("while kill -0 {shell} 2>/dev/null; do sleep 0.01; done");
    stage.server.succeed(&[gone], Some(PATIENCE)).await.unwrap();

    // Nor does the text that a shell begins with, said by theirs, make it the only one.
    let mut visitor = UnixStream::connect(&path).await.unwrap();
    visitor.write_all(b"echo 'Spawning backdoor'' root shell...'\n").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, visitor.read_to_end(&mut rest)).await.expect("it is hung up on").unwrap();
    let mine = stage.server.succeed(&["echo still mine"], None);
    assert_eq!(timeout(PATIENCE, mine).await.expect("the shell serves").unwrap(), "still mine\n");

    // A shell that its visitor ends hangs up.
    let mut visitor = UnixStream::connect(&path).await.unwrap();
    visitor.write_all(b"exit\n").await.unwrap();
    timeout(PATIENCE, visitor.read_to_end(&mut rest)).await.expect("it is hung up on").unwrap();
    assert_eq!(stage.server.succeed(&["echo next"], None).await.unwrap(), "next\n");
    stage.end().await;
}

#[tokio::test]
async fn who_cannot_be_let_in_is_told_why() {
    let (stage, _) = Stage::playing(Play::default());
    let path = stage.driver.open_door(&stage.server, Door::Console).unwrap();
    let mut told = String::new();
    let mut terminal = UnixStream::connect(path).await.unwrap();
    timeout(PATIENCE, terminal.read_to_string(&mut told)).await.expect("it is hung up on").unwrap();
    assert!(told.contains("machine `server` is off"), "{told}");
    stage.end().await;
}
