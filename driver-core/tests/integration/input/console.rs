//! Waits for console text, where guests print as they like.

use std::time::Duration;

use driver_core::fake::Play;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::Stage;

async fn wait(stage: &Stage, regex: &str, timeout: f64) -> Result<Value, driver_core::DriverError> {
    stage.call("wait_for_console_text", json!({"regex": regex, "timeout": timeout})).await
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_ends_no_line_is_seen_at_once_and_consumed_once() {
    let play = Play::new().print_bytes("booted\r\nserver login: ").greet();
    let play = play.await_trigger("name").print_bytes("root\r\nPassword: ");
    let (stage, backend) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    let began = Instant::now();
    wait(&stage, "login: $", 10.0).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(stage.call("get_console_log", json!({})).await.unwrap(), "booted\nserver login:");
    let error = wait(&stage, "login", 0.1).await.unwrap_err().to_string();
    assert!(error.contains("last line on the console: `server login:`"), "{error}");
    backend.handle("server").trigger("name");
    // The rest of the line, and nothing of what came before.
    wait(&stage, "^rootPassword: $", 10.0).await.unwrap();
    assert_eq!(
        stage.call("get_console_log", json!({})).await.unwrap(),
        "booted\nserver login: root\nPassword:"
    );
    stage.end().await;
}

/// Users waited 600 s for a prompt that was there after 2.9 s: olafkfreund/nixarchy#834.
#[tokio::test(start_paused = true)]
async fn an_interleaved_kernel_message_in_a_prompt_does_not_hide_it() {
    let play = Play::new()
        .print_bytes("Enter pas[    2.912345] usb 1-1: new device\r\n[    2.913000] input: AT keyboard\r\n")
        .print_bytes("sphrase for root: ")
        .greet();
    let (stage, _) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    wait(&stage, "Enter passphrase for root: $", 10.0).await.unwrap();
    // The same text, with another eye: this one is for the kernel's words.
    assert!(
        stage
            .call("get_console_log", json!({}))
            .await
            .unwrap()
            .as_str()
            .unwrap()
            .contains("usb 1-1: new device")
    );
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_the_kernel_are_found_too() {
    let play = Play::new().print("Enter pas[    2.912345] usb 1-1: new device").greet();
    let (stage, _) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    wait(&stage, r"usb \d-\d: new device$", 10.0).await.unwrap();
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_printing_firmware_keeps_nobody_from_finding_its_words() {
    let play = Play::new()
        .print_bytes(b"\x1b[2J\x1b[01;01H\x1b[=3h\xff\xfeBdsDxe: \x1b[1mstarting\x1b[0m Boot0001\r".to_vec())
        .print_bytes("\x1b[0m\x1b[37mPress \x1b[7mESC\x1b[0m in 5\rPress \x1b[7mESC\x1b[0m in 4")
        .print_bytes("\r\n\x1b[Hlogin: ")
        .greet();
    let (stage, _) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    wait(&stage, "BdsDxe: starting Boot0001.*Press ESC in 4", 10.0).await.unwrap();
    wait(&stage, "login: $", 10.0).await.unwrap();
    stage.end().await;
}
