//! Virtual terminals, and typing that looks whether it arrived.

use driver_core::fake::{Play, Reply};
use driver_core::{ErrorKind, Key};
use serde_json::json;

use crate::stage::{Stage, log_of};

const FOLD: &str = "fold -w$(stty -F /dev/tty1 size | awk '{print $2}') /dev/vcs1";

/// A terminal of two rows with 20 columns, as `/dev/vcsa` shows it, with its cursor after `text`.
fn terminal(text: &str) -> Reply {
    let mut bytes = vec![2, 20, u8::try_from(text.len()).expect("a short text"), 0];
    bytes.extend(format!("{text:40}").bytes().flat_map(|cell| [cell, 7]));
    Reply::says(bytes)
}

#[tokio::test(start_paused = true)]
async fn what_did_not_arrive_is_told_with_what_did_and_is_not_typed_again() {
    let (stage, backend) = Stage::playing(Play::default().answer("cat /dev/vcsa", terminal("# rot")));
    let error = stage.call("type_text", json!({"text": "root\n", "timeout": 2})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Assertion);
    let message = error.to_string();
    assert!(
        message.starts_with("action timed out after 2.00 seconds (timeout=2.0)\nwaited for 'root' to stand")
    );
    assert!(message.contains("`verify`"), "{message}");
    let keys = ["r", "o", "o", "t"].map(|key| vec![Key::Name(key.to_owned())]);
    assert_eq!(backend.handle("server").record().keys, keys, "the line was not ended, and nothing repeated");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_looks_at_needs_no_shell_and_is_only_typed() {
    let (stage, backend) = Stage::playing(Play::default());
    stage.server.start(None).await.unwrap();
    stage.call("type_text", json!({"text": "Pa\n", "verify": false})).await.unwrap();
    assert_eq!(backend.handle("server").record().keys.len(), 3);
    assert_eq!(backend.handle("server").record().commands, [""; 0]);
    let error = stage.call("type_text", json!({"text": "abc\u{fc}", "verify": false})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    assert_eq!(backend.handle("server").record().keys.len(), 3, "nothing is typed of a text that cannot be");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_terminal_without_an_agent_is_looked_at_by_a_command() {
    let play = Play::default().answer(FOLD, Reply::says("Debian\nserver login: \n"));
    let (stage, _) = Stage::playing(play);
    let wait = |regexp: &str| {
        stage.call("wait_until_tty_matches", json!({"tty": "1", "regexp": regexp, "timeout": 3}))
    };
    wait("login: ").await.unwrap();
    assert_eq!(stage.call("get_tty_text", json!({"tty": "1"})).await.unwrap(), "Debian\nserver login: \n");
    let error = wait("Password").await.unwrap_err().to_string();
    assert!(error.starts_with("action timed out after 3.00 seconds (timeout=3.0)\n"), "{error}");
    let log = log_of(&stage.end().await).join("\n");
    for line in [
        "server: waiting for Password to appear on tty 1",
        "server: Last chance to match /Password/ on TTY1, which currently contains: Debian",
    ] {
        assert!(log.lines().any(|logged| logged.starts_with(line)), "{line} is not in\n{log}");
    }
}
