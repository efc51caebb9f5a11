//! The control channel over a socket pair: what QEMU was recorded to say, and what it could say.

use std::time::Duration;

use driver_core::Deadline;
use qapi_qmp::{human_monitor_command, query_status, quit, screendump, system_reset};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Control, ControlError, Event, LINE_LIMIT};

/// A session with QEMU 10.0.2, one message a line, each under the name of who sent it.
const TRANSCRIPT: &str = include_str!("../../tests/data/qmp-10.0.jsonl");

/// QEMU's end of the connection.
struct Qemu {
    commands: Lines<BufReader<OwnedReadHalf>>,
    output: OwnedWriteHalf,
}

impl Qemu {
    fn connect() -> (Self, Control, UnboundedReceiver<Event>) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let (control, events) = Control::start(ours);
        let (input, output) = theirs.into_split();
        (Self { commands: BufReader::new(input).lines(), output }, control, events)
    }

    async fn command(&mut self) -> Value {
        let line = self.commands.next_line().await.expect("a connection").expect("a command");
        serde_json::from_str(&line).expect("a command in JSON")
    }

    async fn say(&mut self, message: &Value) {
        self.say_bytes(format!("{message}\r\n").as_bytes()).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).await.expect("the driver listens");
    }

    async fn answer(&mut self, command: &Value, value: Value) {
        self.say(&json!({"return": value, "id": command["id"]})).await;
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn monitor(line: &str) -> human_monitor_command {
    human_monitor_command { command_line: line.to_owned(), cpu_index: None }
}

#[tokio::test]
async fn a_recorded_session_is_spoken_word_for_word() {
    let (mut qemu, control, mut events) = Qemu::connect();
    let replay = async {
        for line in TRANSCRIPT.lines() {
            let message: Value = serde_json::from_str(line).expect("a transcript in JSON");
            match (&message["driver"], &message["qemu"]) {
                (Value::Null, said) => qemu.say(said).await,
                (expected, _) => assert_eq!(qemu.command().await, *expected),
            }
        }
    };
    let session = async {
        control.execute(qapi_qmp::qmp_capabilities { enable: None }, soon()).await.unwrap();
        let status = control.execute(query_status {}, soon()).await.unwrap();
        assert_eq!(status.status, qapi_qmp::RunState::prelaunch);
        assert_eq!(control.execute(monitor("info name"), soon()).await.unwrap(), "");
        let format = Some(qapi_qmp::ImageFormat::png);
        let dump =
            screendump { device: None, format, head: None, filename: "/nowhere/screen.png".to_owned() };
        let error = control.execute(dump, soon()).await.unwrap_err().to_string();
        assert!(error.starts_with("QEMU refused `screendump`: failed to open file"), "{error}");
        control.execute(system_reset {}, soon()).await.unwrap();
        control.execute(quit {}, soon()).await.unwrap();
    };
    tokio::join!(replay, session);
    drop(qemu);
    let mut heard = Vec::new();
    while let Some(event) = events.recv().await {
        heard.push(event);
    }
    assert_eq!(heard, [Event::Reset, Event::Shutdown { reason: "host-qmp-quit".to_owned() }]);
}

#[tokio::test]
async fn a_command_that_was_given_up_does_not_disturb_the_next() {
    let (mut qemu, control, _events) = Qemu::connect();
    let abandoned = control.execute(monitor("slow"), Deadline::after(Duration::ZERO));
    assert!(matches!(abandoned.await, Err(ControlError::TimedOut { .. })));
    assert_eq!(qemu.command().await["arguments"]["command-line"], "slow");

    let slow = {
        let mut given_up = Box::pin(control.execute(monitor("slower"), soon()));
        tokio::select! {
            _ = &mut given_up => panic!("nobody has answered"),
            command = qemu.command() => command,
        }
    };
    assert_eq!(slow["arguments"]["command-line"], "slower");
    let next = control.execute(monitor("quick"), soon());
    let serve = async {
        let quick = qemu.command().await;
        qemu.answer(&slow, json!("late")).await;
        qemu.answer(&quick, json!("in time")).await;
    };
    assert_eq!(tokio::join!(next, serve).0.unwrap(), "in time");
}

#[tokio::test]
async fn replies_find_their_commands_in_any_order() {
    let (mut qemu, control, _events) = Qemu::connect();
    let serve = async {
        let (first, second) = (qemu.command().await, qemu.command().await);
        for command in [second, first] {
            let line = command["arguments"]["command-line"].clone();
            qemu.answer(&command, line).await;
        }
    };
    let (one, two) = (control.execute(monitor("one"), soon()), control.execute(monitor("two"), soon()));
    let (one, two, ()) = tokio::join!(one, two, serve);
    assert_eq!((one.unwrap(), two.unwrap()), ("one".to_owned(), "two".to_owned()));
}

#[tokio::test]
async fn what_is_not_understood_is_passed_over() {
    let (mut qemu, control, mut events) = Qemu::connect();
    qemu.say(&json!({"event": "FROM_THE_FUTURE", "data": {"x": [1]}, "timestamp": {}})).await;
    qemu.say_bytes(b"{\"event\": \n").await;
    qemu.say_bytes(b"[]\n").await;
    qemu.say(&json!({"return": {}, "id": 4711})).await;
    qemu.say(&json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "new-reason"}})).await;
    assert_eq!(events.recv().await, Some(Event::Shutdown { reason: "new-reason".to_owned() }));

    let serve = async {
        let command = qemu.command().await;
        qemu.answer(&command, json!({"running": true, "status": "a-new-state"})).await;
    };
    let (status, ()) = tokio::join!(control.execute(query_status {}, soon()), serve);
    assert!(matches!(status, Err(ControlError::Unreadable { .. })), "{status:?}");
    let serve = async {
        let command = qemu.command().await;
        qemu.answer(&command, json!("still here")).await;
    };
    assert_eq!(tokio::join!(control.execute(monitor("?"), soon()), serve).0.unwrap(), "still here");
}

#[tokio::test]
async fn an_endless_message_is_skipped() {
    let (mut qemu, control, _events) = Qemu::connect();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..=LINE_LIMIT / piece.len() {
        qemu.say_bytes(&piece).await;
    }
    qemu.say_bytes(b"\n").await;
    let serve = async {
        let command = qemu.command().await;
        qemu.answer(&command, json!("after it")).await;
    };
    assert_eq!(tokio::join!(control.execute(monitor("?"), soon()), serve).0.unwrap(), "after it");
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_line_ends_everything_that_waits() {
    let (mut qemu, control, mut events) = Qemu::connect();
    let serve = async move {
        qemu.command().await;
        qemu.say_bytes(b"{\"return\": \"half an ans").await;
    };
    let (answer, ()) = tokio::join!(control.execute(monitor("?"), soon()), serve);
    assert!(matches!(answer, Err(ControlError::Closed)), "{answer:?}");
    assert_eq!(events.recv().await, None);
    let later = control.execute(monitor("?"), soon()).await;
    assert!(matches!(later, Err(ControlError::Closed)), "{later:?}");
}
