//! QMP, QEMU's control channel: one actor owns the socket, whoever wants something sends it a command.
//!
//! Commands are typed by the crate `qapi-qmp`; replies and events are taken apart here, leniently, so that
//! a QEMU which is newer than the crate breaks nothing. Giving up on a command leaves the channel as it
//! was: its reply, when it comes, is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driver_core::Deadline;
use qapi_spec::Command;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, trace, warn};

use backend_kit::lines::Lines;

mod transcript;
use transcript::Transcript;

/// The longest message that is taken from QEMU, in bytes; a longer one is skipped.
const LINE_LIMIT: usize = 16 << 20;

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// QEMU does not want to.
    #[error("QEMU refused `{command}`: {description}")]
    Refused { command: &'static str, description: String },
    /// The connection is closed; so, as a rule, is QEMU.
    #[error("QEMU closed its control connection")]
    Closed,
    /// No reply in time.
    #[error("QEMU did not answer `{command}` within {limit:?}")]
    TimedOut { command: &'static str, limit: Duration },
    /// A reply that does not fit the command.
    #[error("QEMU's reply to `{command}` makes no sense")]
    Unreadable {
        command: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

/// What QEMU says unasked, as far as anybody here acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// QEMU is about to end. The reason is a `ShutdownCause`, such as `guest-shutdown`.
    Shutdown { reason: String },
    /// The guest's kernel panicked. The action is a `GuestPanicAction`: `run` if the guest goes on.
    Panicked { action: String },
    /// The guest starts anew.
    Reset,
    /// The guest is halted, by a monitor command or because it cannot go on.
    Stopped,
}

/// A handle on the control connection. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    commands: mpsc::Sender<Order>,
    transcript: Arc<Transcript>,
}

#[derive(Debug)]
struct Order {
    name: &'static str,
    arguments: Value,
    reply: oneshot::Sender<Result<Value, String>>,
}

impl Control {
    /// Takes a connection over. The events end when QEMU closes it.
    pub(crate) fn start(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (commands, orders) = mpsc::channel(16);
        // These events are so rare that nothing piles up.
        let (events, received) = mpsc::unbounded_channel();
        let transcript = Arc::new(Transcript::new());
        tokio::spawn(run(stream, orders, events, Arc::clone(&transcript)));
        (Self { commands, transcript }, received)
    }

    /// What was said.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Runs one command.
    pub(crate) async fn execute<C: Command>(
        &self,
        command: C,
        within: Deadline,
    ) -> Result<C::Ok, ControlError> {
        let unreadable = |source| ControlError::Unreadable { command: C::NAME, source };
        let arguments = serde_json::to_value(&command).map_err(unreadable)?;
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let order = Order { name: C::NAME, arguments, reply };
            self.commands.send(order).await.map_err(|_| ControlError::Closed)?;
            answer.await.map_err(|_| ControlError::Closed)
        };
        let answer = tokio::time::timeout_at(within.instant(), exchange)
            .await
            .map_err(|_| ControlError::TimedOut { command: C::NAME, limit: within.limit() })??;
        let value = answer.map_err(|description| ControlError::Refused { command: C::NAME, description })?;
        serde_json::from_value(value).map_err(unreadable)
    }
}

/// A message from QEMU: greeting, reply or event, told apart by the key that is there.
#[derive(Debug, Deserialize)]
struct Message {
    id: Option<u64>,
    #[serde(rename = "return")]
    returned: Option<Value>,
    error: Option<Refusal>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    desc: String,
}

/// The commands whose replies are still to come.
#[derive(Debug, Default)]
struct Pending(Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>);

impl Pending {
    fn add(&self, id: u64, reply: oneshot::Sender<Result<Value, String>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reply);
    }

    fn settle(&self, id: u64, result: Result<Value, String>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if waiting.is_none_or(|reply| reply.send(result).is_err()) {
            debug!(id, "dropped a reply that nobody waits for");
        }
    }
}

/// The actor. Reading and writing go on side by side: a QEMU that is busy telling us something may not be
/// listening.
async fn run(
    stream: impl AsyncRead + AsyncWrite + Send,
    mut orders: mpsc::Receiver<Order>,
    events: mpsc::UnboundedSender<Event>,
    transcript: Arc<Transcript>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let pending = Pending::default();
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        let mut lines = Lines::of_at_most(LINE_LIMIT);
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            for line in lines.push(&buffer[..length]) {
                take(&line, &pending, &events, &transcript);
            }
        }
    };
    let writing = async {
        let mut id = 0_u64;
        while let Some(Order { name, arguments, reply }) = orders.recv().await {
            if reply.is_closed() {
                continue;
            }
            id += 1;
            let command = serde_json::json!({ "execute": name, "arguments": arguments, "id": id });
            debug!(%command, "to QEMU");
            transcript.command(name, id, &command.to_string());
            pending.add(id, reply);
            if let Err(error) = writer.write_all(format!("{command}\n").as_bytes()).await {
                debug!(%error, "QEMU takes no more commands");
                break;
            }
        }
        // No more commands; what QEMU still has to say, such as why it ends, matters all the same.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

fn take(line: &str, pending: &Pending, events: &mpsc::UnboundedSender<Event>, transcript: &Transcript) {
    trace!(line, "from QEMU");
    let message: Message = match serde_json::from_str(line) {
        Ok(message) => message,
        Err(error) => {
            warn!(%error, "skipped a QMP message that cannot be read");
            return;
        }
    };
    transcript.message(message.id, message.error.is_some(), line);
    match message {
        Message { event: Some(name), data, .. } => {
            if let Some(event) = understand(&name, &data) {
                // Nobody listens once the machine has been given up.
                let _ = events.send(event);
            }
        }
        Message { id: Some(id), error: Some(refusal), .. } => pending.settle(id, Err(refusal.desc)),
        Message { id: Some(id), returned, .. } => pending.settle(id, Ok(returned.unwrap_or_default())),
        Message { error: Some(refusal), .. } => {
            warn!(refusal.desc, "QEMU complains about no command in particular")
        }
        // The greeting. That commands get replies says enough.
        Message { .. } => {}
    }
}

fn understand(name: &str, data: &Value) -> Option<Event> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match name {
        "SHUTDOWN" => Some(Event::Shutdown { reason: text("reason") }),
        "GUEST_PANICKED" => Some(Event::Panicked { action: text("action") }),
        "RESET" => Some(Event::Reset),
        "STOP" => Some(Event::Stopped),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
