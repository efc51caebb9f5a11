//! The event monitor: JSON objects on a pipe, one after the other.

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

/// The longest event that is taken, in bytes.
const EVENT_LIMIT: usize = 1 << 20;

/// What the program says unasked, as far as anybody here acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The machine is off; the program may stay.
    Off,
    /// The guest is about to start anew, by its own will or by ours.
    Rebooting,
    /// The guest's kernel panicked.
    Panicked,
    /// The program is about to end.
    Ending,
}

#[derive(Debug, Deserialize)]
struct Message {
    source: String,
    event: String,
    #[serde(default)]
    properties: Value,
}

impl Message {
    /// Unknown events are of no interest: newer versions have more of them.
    fn understood(&self) -> Option<Event> {
        match (self.source.as_str(), self.event.as_str()) {
            ("vm", "shutdown") => Some(Event::Off),
            ("vm", "rebooting") => Some(Event::Rebooting),
            ("guest", "panic") => Some(Event::Panicked),
            ("vmm", "shutdown") => Some(Event::Ending),
            _ => None,
        }
    }
}

/// Reads events until the program closes the pipe.
pub(crate) async fn read(mut pipe: impl AsyncRead + Unpin, events: mpsc::UnboundedSender<Event>) {
    let mut buffer = Vec::new();
    while let Ok(1..) = pipe.read_buf(&mut buffer).await {
        let used = take(&buffer, |event| {
            // Nobody listens once the machine has been given up.
            let _ = events.send(event);
        });
        buffer.drain(..used);
        if buffer.len() > EVENT_LIMIT {
            tracing::warn!("skipped an event of Cloud Hypervisor's that has no end");
            buffer.clear();
        }
    }
}

/// Takes all whole events out of a text and says how many bytes they were.
fn take(text: &[u8], mut act: impl FnMut(Event)) -> usize {
    let mut messages = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let mut used = 0;
    loop {
        match messages.next() {
            Some(Ok(value)) => {
                used = messages.byte_offset();
                let message = Message::deserialize(value);
                if let Ok(message) = &message {
                    tracing::debug!(message.source, message.event, %message.properties, "from Cloud Hypervisor");
                }
                message.ok().and_then(|message| message.understood()).into_iter().for_each(&mut act);
            }
            Some(Err(error)) if error.is_eof() => return used,
            // What is no JSON is skipped as far as it has come.
            Some(Err(error)) => {
                tracing::warn!(%error, "skipped an event of Cloud Hypervisor's that cannot be read");
                return text.len();
            }
            None => return used,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::{Event, read};

    /// What version 54.0.0 wrote of a guest that rebooted, panicked, rebooted by that and powered off (what led to it,
    /// two boots that were refused, is left out).
    const TRANSCRIPT: &str = include_str!("../tests/data/events-54.0.0.txt");

    async fn events(text: &str, piece: usize) -> Vec<Event> {
        let (mut writer, reader) = tokio::io::duplex(1 << 20);
        for chunk in text.as_bytes().chunks(piece) {
            tokio::io::AsyncWriteExt::write_all(&mut writer, chunk).await.unwrap();
        }
        drop(writer);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        read(reader, sender).await;
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    }

    #[tokio::test]
    async fn a_recorded_run_is_understood_however_it_is_cut() {
        let expected = [Event::Rebooting, Event::Panicked, Event::Rebooting, Event::Off, Event::Ending];
        for piece in [1, 7, 4096] {
            assert_eq!(events(TRANSCRIPT, piece).await, expected, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn what_a_newer_version_adds_is_passed_over() {
        let text = r#"{"source":"vm","event":"teleported","properties":{"to":7},"new":true}
            {"source":"guest","event":"panic","properties":null,"timestamp":{"secs":1}}"#;
        assert_eq!(events(text, 9).await, [Event::Panicked]);
    }
}
