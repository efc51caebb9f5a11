//! Serves one script: takes its messages and its output in order, runs each call in a task of its own, and
//! ends all of that with the script.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use driver_core::event::{Event, OutputStream, ScopeId};
use driver_core::verbs::{self, Subject};
use driver_core::{Driver, Scope, behind_gate, in_scope, under_heading};
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::coop::unconstrained;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Script;
use crate::lines::{Line, Lines};
use crate::outcome::ScriptFailure;
use crate::outside;
use crate::peer::{Peer, ScriptGate, ScriptPatterns};
use crate::process::{Output, Process};
use crate::prompt::Prompt;
use crate::wire::{
    Call, Cancel, CloseScope, Finished, Hello, Incoming, Log, MAX_MESSAGE, OpenScope, PROTOCOL, Refusal,
};

/// How long a script may take to end once it has been told to, or has said that it is done.
const GRACE: Duration = Duration::from_secs(2);
/// How long output is read after the script has ended; processes that left its group may hold the pipe.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// How long an answer waits at a prompt for the log to be shown.
const LOG_LAG: Duration = Duration::from_secs(1);
/// How many bytes a script can have printed before a message and left unread: what a pipe holds (pipe(7)), and
/// as much in this side's buffer. More than that was printed after it.
const PRINTED_BEFORE: usize = 128 << 10;

/// How a script ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It said how.
    Finished { failure: Option<ScriptFailure> },
    /// Its process ended without a word, or said what nobody understands.
    Broken { message: String },
    /// The run was ended first.
    Cancelled { reason: String },
}

/// One script being served.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    driver: &'a Arc<Driver>,
    script: &'a Script,
    process: Process,
    output: Output,
    listener: UnixListener,
    connection: Connection,
    calls: JoinSet<()>,
    /// Those of the calls that can be cancelled, by id.
    under_way: HashMap<u64, AbortHandle>,
    /// The script's own scope, and those that it has opened.
    root: ScopeId,
    scopes: BTreeMap<ScopeId, Scope>,
    ending: Option<Ending>,
    kill_at: Option<Instant>,
}

#[derive(Debug)]
enum Connection {
    Awaited,
    Open { peer: Arc<Peer>, messages: Lines<OwnedReadHalf> },
    Closed,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        driver: &'a Arc<Driver>,
        script: &'a Script,
        root: ScopeId,
        listener: UnixListener,
        (process, output): (Process, Output),
    ) -> Self {
        Self {
            driver,
            script,
            process,
            output,
            listener,
            connection: Connection::Awaited,
            calls: JoinSet::new(),
            under_way: HashMap::new(),
            root,
            scopes: BTreeMap::new(),
            ending: None,
            kill_at: None,
        }
    }

    /// Serves the script until its process is gone.
    pub(crate) async fn serve(mut self) -> Ending {
        let (mut stdout_open, mut stderr_open) = (true, true);
        loop {
            let kill_at = self.kill_at;
            tokio::select! {
                // What ends the script comes first, so that one that prints without end can be ended. Messages
                // come before output, so that one that prints without end can say something, too.
                biased;
                reason = self.driver.cancelled(), if self.ending.is_none() => self.cancel(reason),
                () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    self.kill_at = None;
                    self.process.kill();
                }
                () = self.process.ended() => break,
                Some(_) = self.calls.join_next() => {}
                incoming = self.connection.next(&self.listener) => match incoming {
                    Ok(Some(line)) => {
                        self.show_printed_before();
                        self.take(line).await;
                    }
                    Ok(None) => {}
                    Err(reason) => self.disconnect(&reason),
                },
                line = self.output.stdout.next(), if stdout_open => match line {
                    Ok(Some(line)) => self.printed(OutputStream::Stdout, &line),
                    _ => stdout_open = false,
                },
                line = self.output.stderr.next(), if stderr_open => match line {
                    Ok(Some(line)) => self.printed(OutputStream::Stderr, &line),
                    _ => stderr_open = false,
                },
            }
        }
        self.end().await
    }

    fn cancel(&mut self, reason: String) {
        self.ending = Some(Ending::Cancelled { reason });
        self.kill_at = Some(Instant::now() + GRACE);
        self.process.terminate();
    }

    /// Ends the connection and with it all calls. Whoever still waits in the script sees it close.
    fn disconnect(&mut self, reason: &str) {
        tracing::debug!(reason, "the script's connection ends");
        if let Some(prompt) = self.script.prompt() {
            prompt.log.end();
        }
        self.connection = Connection::Closed;
        self.calls.abort_all();
    }

    async fn end(mut self) -> Ending {
        self.disconnect("the script's process has ended");
        self.calls.shutdown().await;
        let status = match self.process.finish().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let rest = async {
            while let Ok(Some(line)) = self.output.stdout.next().await {
                self.printed(OutputStream::Stdout, &line);
            }
            while let Ok(Some(line)) = self.output.stderr.next().await {
                self.printed(OutputStream::Stderr, &line);
            }
        };
        // Whoever holds the pipe open after that is not the script any more.
        let _ = timeout(LAST_OUTPUT, rest).await;
        while let Some((_, scope)) = self.scopes.pop_last() {
            self.driver.journal().close_scope(&scope, Some("the script ended inside".to_owned()));
        }
        self.ending.take().unwrap_or_else(|| Ending::Broken {
            message: format!("the script's interpreter ended before the script was over ({status})"),
        })
    }

    /// Shows what was printed before the message at hand: it belongs before it in the log.
    fn show_printed_before(&mut self) {
        let mut shown = 0;
        while shown < PRINTED_BEFORE
            && let Some(Ok(Some(line))) = unconstrained(self.output.stdout.next()).now_or_never()
        {
            shown += line.bytes.len() + 1;
            self.printed(OutputStream::Stdout, &line);
        }
        shown = 0;
        while shown < PRINTED_BEFORE
            && let Some(Ok(Some(line))) = unconstrained(self.output.stderr.next()).now_or_never()
        {
            shown += line.bytes.len() + 1;
            self.printed(OutputStream::Stderr, &line);
        }
    }

    /// Shows a line that the script printed, in the scope that it opened last.
    fn printed(&self, stream: OutputStream, line: &Line) {
        let scope = self.scopes.last_key_value().map_or(self.root, |(id, _)| *id);
        let line = String::from_utf8_lossy(&line.bytes).into_owned();
        self.driver.journal().emit_in(scope, None, Event::ScriptOutput { stream, line });
    }

    async fn take(&mut self, line: Line) {
        let Connection::Open { peer, .. } = &self.connection else { return };
        let peer = Arc::clone(peer);
        let message = match Incoming::parse(&line) {
            Ok(message) => message,
            Err(problem) => return self.give_up(&peer, problem).await,
        };
        let Some(method) = &message.method else { return peer.answered(message) };
        let id = message.id;
        let result = match method.as_str() {
            "hello" => read(message.params).and_then(|hello| self.hello(&hello, &peer)),
            "call" => match (id, read(message.params)) {
                (Some(id), Ok(call)) => return self.call(peer, id, call),
                (None, Ok(_)) => Err(Refusal::usage("a call needs an id")),
                (_, Err(refusal)) => Err(refusal),
            },
            "cancel" => read(message.params).map(|cancel| self.cancel_call(&cancel)),
            method if outside::METHODS.contains(&method) => {
                return self.look_outside(peer, id, method.to_owned(), message.params);
            }
            "open_scope" => read(message.params).and_then(|open| self.open_scope(open)),
            "close_scope" => read(message.params).and_then(|close| self.close_scope(close)),
            "log" => read(message.params).map(|log| self.log(log)),
            "finished" => match read(message.params) {
                Ok(finished) => {
                    peer.answer(id, Ok(Value::Null)).await;
                    return self.finished(finished);
                }
                Err(refusal) => Err(refusal),
            },
            unknown => Err(Refusal::no_method(unknown)),
        };
        peer.answer(id, result).await;
    }

    /// Ends a script that sends what is no message: nobody knows what it waits for.
    async fn give_up(&mut self, peer: &Peer, problem: String) {
        peer.answer(None, Err(Refusal::unreadable(&problem))).await;
        self.ending
            .get_or_insert(Ending::Broken { message: format!("the script's connection broke: {problem}") });
        self.kill_at.get_or_insert_with(|| Instant::now() + GRACE);
        self.disconnect(&problem);
    }

    fn hello(&self, hello: &Hello, peer: &Peer) -> Result<Value, Refusal> {
        if hello.protocol != PROTOCOL {
            let message = format!("this driver speaks protocol {PROTOCOL}, not {}", hello.protocol);
            return Err(Refusal::usage(message));
        }
        let machines: Vec<Value> = self
            .driver
            .nodes()
            .iter()
            .map(|node| outside::describe(self.driver, node, node.name()))
            .collect();
        let vlans: Vec<Value> = self
            .driver
            .vlans()
            .iter()
            .map(|vlan| {
                json!({
                    "nr": vlan.number(),
                    "socket_dir": vlan.socket_dir(),
                    "tap_name": vlan.tap_name(),
                    "pid": std::process::id(),
                })
            })
            .collect();
        if let Some(prompt) = self.script.prompt() {
            prompt.log.begin(peer.outgoing());
        }
        Ok(json!({
            "protocol": PROTOCOL,
            "verbs": verbs::table().collect::<Vec<_>>(),
            "machines": machines,
            "vlans": vlans,
            "scope": self.root,
            "out_dir": self.driver.out_dir(),
            "setup": self.script.setup(),
            "prompt": self.script.prompt().map(Prompt::describe),
            "max_message": MAX_MESSAGE,
        }))
    }

    fn call(&mut self, peer: Arc<Peer>, id: u64, call: Call) {
        let driver = Arc::clone(self.driver);
        let scope = self.known(call.scope);
        self.under_way.retain(|_, task| !task.is_finished());
        let is_prompt = self.script.has_terminal();
        let task = self.calls.spawn(async move {
            let Call { verb, machine, vlan, args, heading, asks, plain, .. } = call;
            let patterns = Arc::new(ScriptPatterns::new(Arc::clone(&peer), id, plain));
            let work = async {
                let subject = match (&machine, vlan) {
                    (None, None) => Subject::Run,
                    (Some(machine), None) => Subject::Machine(machine),
                    (None, Some(vlan)) => Subject::Vlan(vlan),
                    (Some(_), Some(_)) => return Err(Refusal::usage("a call is about a machine or a VLAN")),
                };
                Ok(driver.call(&verb, subject, args, patterns).await?)
            };
            let work = async {
                if !asks {
                    return work.await;
                }
                let gate = ScriptGate::new(Arc::clone(&peer), id);
                behind_gate(Arc::new(gate), scope, work).await
            };
            // A verb that panics must not leave its caller waiting.
            let work = in_scope(scope, under_heading(heading, work));
            let caught = AssertUnwindSafe(work).catch_unwind().await;
            let result = caught.unwrap_or_else(|_| Err(Refusal::bug(&verb)));
            if is_prompt {
                // What the verb has logged comes before what it returns.
                let journal = driver.journal().clone();
                drop(tokio::task::spawn_blocking(move || journal.settle(LOG_LAG)).await);
            }
            peer.answer(Some(id), result).await;
        });
        self.under_way.insert(id, task);
    }

    /// Ends a call that the script has given up. It gets no answer.
    fn cancel_call(&mut self, cancel: &Cancel) -> Value {
        if let Some(task) = self.under_way.remove(&cancel.call) {
            task.abort();
        }
        Value::Null
    }

    fn look_outside(&mut self, peer: Arc<Peer>, id: Option<u64>, method: String, params: Value) {
        let driver = Arc::clone(self.driver);
        self.calls.spawn(async move {
            let result = outside::answer(&driver, &method, params).await;
            peer.answer(id, result).await;
        });
    }

    fn open_scope(&mut self, open: OpenScope) -> Result<Value, Refusal> {
        self.check_machine(open.machine.as_deref())?;
        let parent = self.known(open.scope);
        let scope =
            self.driver.journal().open_scope(parent, open.machine.as_deref(), open.kind, open.text, None);
        let id = scope.id();
        self.scopes.insert(id, scope);
        Ok(json!(id))
    }

    fn close_scope(&mut self, close: CloseScope) -> Result<Value, Refusal> {
        let unknown = || Refusal::usage(format!("there is no open scope {}", close.scope));
        let scope = self.scopes.remove(&close.scope).ok_or_else(unknown)?;
        self.driver.journal().close_scope(&scope, close.error);
        Ok(Value::Null)
    }

    fn log(&self, log: Log) -> Value {
        let event = Event::Log { level: log.level, text: log.text };
        self.driver.journal().emit_in(self.known(log.scope), log.machine.as_deref(), event);
        Value::Null
    }

    fn finished(&mut self, finished: Finished) {
        // A run that was cancelled first stays so, whatever the script made of it.
        self.ending.get_or_insert(Ending::Finished { failure: finished.failure });
        self.kill_at.get_or_insert_with(|| Instant::now() + GRACE);
        self.disconnect("the script is over");
    }

    fn check_machine(&self, name: Option<&str>) -> Result<(), Refusal> {
        match name.filter(|name| self.driver.node(name).is_none()) {
            Some(unknown) => Err(Refusal::usage(format!("there is no machine `{unknown}`"))),
            None => Ok(()),
        }
    }

    /// A scope that is open, or the step that the script is asked about; a thread that outlives the scope it was told
    /// falls back to the script's.
    fn known(&self, scope: ScopeId) -> ScopeId {
        let is_asked_about =
            || matches!(&self.connection, Connection::Open { peer, .. } if peer.is_asked_about(scope));
        if self.scopes.contains_key(&scope) || is_asked_about() { scope } else { self.root }
    }
}

impl Connection {
    /// The next line of the client; `Ok(None)` when it has just connected. The error says why the connection
    /// is over. Never returns once that is so.
    async fn next(&mut self, listener: &UnixListener) -> Result<Option<Line>, String> {
        match self {
            Self::Awaited => match listener.accept().await {
                Ok((stream, _)) => {
                    *self = Self::open(stream);
                    Ok(None)
                }
                Err(error) => Err(error.to_string()),
            },
            Self::Open { messages, .. } => match messages.next().await {
                Ok(Some(line)) => Ok(Some(line)),
                Ok(None) => Err("the script closed it".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Self::Closed => std::future::pending().await,
        }
    }

    fn open(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        let (peer, lines) = Peer::new();
        tokio::spawn(write(writer, lines));
        Self::Open { peer: Arc::new(peer), messages: Lines::new(reader, MAX_MESSAGE) }
    }
}

/// Sends lines until nobody is left who could add one.
async fn write(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if let Err(error) = writer.write_all(&line).await {
            tracing::debug!(%error, "the script no longer reads");
            return;
        }
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    T::deserialize(params).map_err(|error| Refusal::usage(error.to_string()))
}
