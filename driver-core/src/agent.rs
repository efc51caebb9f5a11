//! The agent: a program that the driver brings along and runs in the guest in the shell's place. It runs
//! several commands at once, keeps their outputs apart and live, and loses nothing on the way. Where it
//! cannot run, the plain shell serves.

mod actor;
mod bulk;
mod notices;
mod remains;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::ToGuest;
use agent_protocol::message::{
    CHUNK, Card, Command, End, Holder, INITIAL_GRANT, LANE_CHUNK, RequestId, Watch,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::GuestStream;
use crate::shell::{ShellOutput, refuse_nul};

use actor::{Actor, Answer, Asker, Order};
pub(crate) use notices::{Notices, Told};
pub(crate) use remains::Remains;
pub(crate) use start::start;

/// After this time somebody may wonder what a command is doing.
const LONG: Duration = Duration::from_secs(1);

/// A handle to the agent in one guest.
#[derive(Debug)]
pub(crate) struct Agent {
    machine: String,
    orders: mpsc::UnboundedSender<Order>,
    next_id: AtomicU32,
    state: watch::Receiver<State>,
    reset: Arc<Notify>,
    /// The streams, once the agent is gone.
    returned: Arc<Mutex<Option<Streams>>>,
    under_way: UnderWay,
    _task: AbortOnDropHandle<()>,
}

/// What the agent does for whoever waits for it, by request; what it watches is not among it.
type UnderWay = Arc<Mutex<BTreeMap<RequestId, String>>>;

/// What the driver has of a guest.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Where the shell is, or the agent in its place.
    pub(crate) shell: Box<dyn GuestStream>,
    /// The port for what is large, if there is one.
    pub(crate) bulk: Option<Box<dyn GuestStream>>,
}

/// Whether the agent is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has not said hello.
    Starting,
    /// It serves.
    Up,
    /// It is gone, and why.
    Gone(String),
}

/// What becomes of a command besides its output and status.
pub(crate) trait Witness: Send {
    /// The command printed this on its standard output.
    fn stdout(&mut self, _bytes: &[u8]) {}
    /// The command printed this on its standard error.
    fn stderr(&mut self, _bytes: &[u8]) {}
    /// The command has been running for [`LONG`].
    fn takes_long(&mut self) {}
    /// The command has ended, and these processes still hold its standard output.
    fn held(&mut self, _holders: &[Holder]) {}
}

/// Has no use for what a command says besides its output.
pub(crate) struct Nobody;

impl Witness for Nobody {}

/// How a command is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// The guest ends the command after this time, with status 124.
    pub(crate) timeout: Option<Duration>,
    /// How long a child of the command may hold its standard output after it has ended.
    pub(crate) grace: Option<Duration>,
    /// The host waits no longer than this.
    pub(crate) within: Deadline,
    /// Its input or output is large.
    pub(crate) bulk: bool,
}

impl Agent {
    /// Takes over the streams of a guest in which the agent has just been started, or that goes on from a snapshot
    /// with its agent: what that did for an earlier driver is ended.
    pub(crate) fn open(machine: &str, streams: Streams, heard: impl Fn(&[u8]) + Send + 'static) -> Self {
        let (orders, queue) = mpsc::unbounded_channel();
        let (publish, state) = watch::channel(State::Starting);
        let (reset, returned) = (Arc::new(Notify::new()), Arc::default());
        let actor = Actor::new(streams, publish, Arc::clone(&returned), Box::new(heard));
        let task = AbortOnDropHandle::new(tokio::spawn(actor.serve(queue, Arc::clone(&reset))));
        let next_id = AtomicU32::new(1);
        let under_way = UnderWay::default();
        Self { machine: machine.to_owned(), orders, next_id, state, reset, returned, under_way, _task: task }
    }

    /// Waits until the agent serves.
    ///
    /// # Errors
    /// [`DriverError::Shell`] when it is gone, or does not answer in time.
    pub(crate) async fn ready(&self, within: Deadline) -> Result<(), DriverError> {
        let mut state = self.state.clone();
        let up = async {
            loop {
                let now = state.borrow_and_update().clone();
                match now {
                    State::Up => return Ok(()),
                    State::Gone(problem) => return Err(self.broken(&problem, None)),
                    State::Starting if state.changed().await.is_err() => {
                        return Err(self.broken("is gone", None));
                    }
                    State::Starting => {}
                }
            }
        };
        let late = || self.broken(&format!("did not answer within {:?}", within.limit()), None);
        tokio::time::timeout_at(within.instant(), up).await.unwrap_or_else(|_| Err(late()))
    }

    /// Whether the agent is there.
    pub(crate) fn is_up(&self) -> bool {
        *self.state.borrow() == State::Up
    }

    /// Whether the agent was there and is gone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.state.borrow(), State::Gone(_))
    }

    /// A command that is under way, if there is one.
    pub(crate) fn busy_with(&self) -> Option<String> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.values().next().cloned()
    }

    /// Waits until the agent is known to be gone.
    pub(crate) async fn gone(&self) {
        let mut state = self.state.clone();
        // Without its task it is gone, too.
        drop(state.wait_for(|state| matches!(state, State::Gone(_))).await);
    }

    /// The guest has been reset: the agent is gone, and what it was asked will never be answered.
    pub(crate) fn reset(&self) {
        self.reset.notify_one();
    }

    /// Gives the streams back, once, after the agent is gone and the guest's shell is back.
    pub(crate) fn take_streams(&self) -> Option<Streams> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs a command, writes its standard output to `stdout`, and returns its status. More than `limit`
    /// bytes are an error. Dropping the future ends the command.
    pub(crate) async fn run(
        &self,
        script: &str,
        how: How,
        stdout: &mut (impl AsyncWrite + Send + Unpin),
        limit: u64,
        witness: &mut dyn Witness,
    ) -> Result<i32, DriverError> {
        let mut request = self.request(script, how, false)?;
        let (mut received, mut long) = (0, false);
        let mut soon = pin!(tokio::time::sleep(LONG));
        let failed =
            |source| DriverError::File { operation: "write the output of", path: excerpt(script), source };
        loop {
            let answer = tokio::select! {
                answer = request.next() => answer?,
                () = &mut soon, if !long => {
                    long = true;
                    witness.takes_long();
                    continue;
                }
            };
            match answer {
                Answer::Stdout(bytes) => {
                    witness.stdout(&bytes);
                    received += bytes.len() as u64;
                    if received > limit {
                        let problem = format!(
                            "printed more than the {limit} bytes that a command may return (let it write to a \
                             file, and copy that)"
                        );
                        return Err(self.broken(&problem, Some(script)));
                    }
                    stdout.write_all(&bytes).await.map_err(failed)?;
                }
                Answer::Stderr(bytes) => witness.stderr(&bytes),
                Answer::Taken(_) | Answer::Noticed(_) | Answer::Ended(Err(_)) => {}
                Answer::Ended(Ok(End::Exited { status, held_by })) => {
                    if !held_by.is_empty() {
                        witness.held(&held_by);
                    }
                    stdout.flush().await.map_err(failed)?;
                    return Ok(status);
                }
                Answer::Ended(Ok(End::Failed { reason })) => return Err(self.broken(&reason, Some(script))),
            }
        }
    }

    /// Starts a command and does not wait for it; its standard output is dropped.
    pub(crate) fn fire(&self, script: &str, mut witness: impl Witness + 'static) -> Result<(), DriverError> {
        let how = How { timeout: None, grace: None, within: Deadline::far(), bulk: false };
        let mut request = self.request(script, how, false)?;
        tokio::spawn(async move {
            loop {
                match request.next().await {
                    Ok(Answer::Stderr(bytes)) => witness.stderr(&bytes),
                    Ok(Answer::Stdout(_) | Answer::Taken(_)) => {}
                    Ok(Answer::Ended(_) | Answer::Noticed(_)) | Err(_) => return,
                }
            }
        });
        Ok(())
    }

    /// Runs a command with `content` as its standard input, and returns its status and the beginning of
    /// what it printed.
    pub(crate) async fn feed(
        &self,
        script: &str,
        mut content: impl AsyncRead + Send + Unpin,
        how: How,
    ) -> Result<ShellOutput, DriverError> {
        let mut request = self.request(script, how, true)?;
        let (mut stdout, mut room, mut at_end) = (Vec::new(), INITIAL_GRANT as usize, false);
        let chunk = if how.bulk { LANE_CHUNK } else { CHUNK };
        let mut buffer = vec![0; chunk];
        loop {
            let ready = room.min(chunk);
            let answer = tokio::select! {
                answer = request.next() => answer?,
                read = content.read(&mut buffer[..ready]), if !at_end && ready > 0 => {
                    let read = read.map_err(|source| DriverError::File {
                        operation: "read what to send to",
                        path: self.machine.clone(),
                        source,
                    })?;
                    at_end = read == 0;
                    room -= read;
                    request.order(ToGuest::Input { id: request.id, bytes: buffer[..read].to_vec() });
                    continue;
                }
            };
            match answer {
                Answer::Taken(bytes) => room += bytes as usize,
                Answer::Stdout(bytes) | Answer::Stderr(bytes) => {
                    stdout.extend_from_slice(&bytes);
                    stdout.truncate(4096);
                }
                Answer::Ended(Ok(End::Exited { status, .. })) => return Ok(ShellOutput { status, stdout }),
                Answer::Ended(Ok(End::Failed { reason })) => return Err(self.broken(&reason, Some(script))),
                Answer::Noticed(_) | Answer::Ended(Err(_)) => {}
            }
        }
    }

    /// Runs a command whose standard input and outputs are `terminal`'s, until it ends or `terminal` is closed, which
    /// ends it.
    pub(crate) async fn converse(
        &self,
        script: &str,
        how: How,
        terminal: impl GuestStream,
    ) -> Result<(), DriverError> {
        let (mut typed, mut shown) = tokio::io::split(terminal);
        let mut request = self.request(script, how, true)?;
        let (mut room, mut buffer) = (INITIAL_GRANT as usize, vec![0; CHUNK]);
        loop {
            let ready = room.min(CHUNK);
            let answer = tokio::select! {
                answer = request.next() => answer?,
                read = typed.read(&mut buffer[..ready]), if ready > 0 => match read {
                    Ok(read @ 1..) => {
                        room -= read;
                        request.order(ToGuest::Input { id: request.id, bytes: buffer[..read].to_vec() });
                        continue;
                    }
                    _ => return Ok(()),
                },
            };
            match answer {
                Answer::Taken(bytes) => room += bytes as usize,
                Answer::Stdout(bytes) | Answer::Stderr(bytes) => {
                    if shown.write_all(&bytes).await.is_err() {
                        return Ok(());
                    }
                }
                Answer::Ended(Ok(End::Exited { .. })) => return Ok(()),
                Answer::Ended(Ok(End::Failed { reason })) => return Err(self.broken(&reason, Some(script))),
                Answer::Noticed(_) | Answer::Ended(Err(_)) => {}
            }
        }
    }

    /// Has the guest say how something is, at once and each time it changes, until `within` is over.
    /// Dropping what is returned ends the watch.
    pub(crate) fn watch(&self, watch: Watch, within: Deadline) -> Result<Notices, DriverError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (latest, answers) = watch::channel(None);
        let order = Order { message: ToGuest::Watch { id, watch }, answers: Some(Asker::Watch(latest)) };
        self.orders.send(order).map_err(|_| self.broken("is gone", None))?;
        Ok(Notices::new(self.machine.clone(), id, within, self.orders.clone(), answers))
    }

    /// Has the guest set up a network card. What keeps it from that is returned in words.
    pub(crate) async fn set_up_card(
        &self,
        card: Card,
        within: Deadline,
    ) -> Result<Result<(), String>, DriverError> {
        let how = How { timeout: None, grace: None, within, bulk: false };
        let what = format!("set up {}", card.name);
        let mut request = self.ask(&what, how, |id| ToGuest::Card { id, card })?;
        loop {
            match request.next().await? {
                Answer::Ended(Ok(End::Failed { reason })) => return Ok(Err(reason)),
                Answer::Ended(_) => return Ok(Ok(())),
                Answer::Stdout(_) | Answer::Stderr(_) | Answer::Taken(_) | Answer::Noticed(_) => {}
            }
        }
    }

    fn request(&self, script: &str, how: How, stdin: bool) -> Result<Request, DriverError> {
        refuse_nul(script)?;
        let command = Command {
            script: script.as_bytes().to_vec(),
            timeout_ms: how.timeout.map(millis),
            stdin,
            grace_ms: how.grace.map(millis),
        };
        self.ask(script, how, |id| ToGuest::Run { id, command })
    }

    /// Sends a message that begins a request; `what` is for messages.
    fn ask(
        &self,
        what: &str,
        how: How,
        message: impl FnOnce(RequestId) -> ToGuest,
    ) -> Result<Request, DriverError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answers, receiver) = mpsc::unbounded_channel();
        let order = Order { message: message(id), answers: Some(Asker::Command { answers, bulk: how.bulk }) };
        self.orders.send(order).map_err(|_| self.broken("is gone", Some(what)))?;
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id, excerpt(what));
        Ok(Request {
            machine: self.machine.clone(),
            script: what.to_owned(),
            id,
            within: how.within,
            orders: self.orders.clone(),
            answers: receiver,
            under_way: Arc::clone(&self.under_way),
            over: false,
        })
    }

    fn broken(&self, problem: &str, script: Option<&str>) -> DriverError {
        broken(&self.machine, problem, script)
    }
}

/// A command under way. Dropping it ends the command.
struct Request {
    machine: String,
    script: String,
    id: RequestId,
    within: Deadline,
    orders: mpsc::UnboundedSender<Order>,
    answers: mpsc::UnboundedReceiver<Answer>,
    under_way: UnderWay,
    over: bool,
}

impl Request {
    /// The next thing that became of it.
    async fn next(&mut self) -> Result<Answer, DriverError> {
        let answer = match tokio::time::timeout_at(self.within.instant(), self.answers.recv()).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(broken(&self.machine, "was lost", Some(&self.script))),
            Err(_) => {
                return Err(DriverError::Timeout {
                    machine: self.machine.clone(),
                    awaited: format!("the end of `{}`", excerpt(&self.script)),
                    limit: self.within.limit(),
                    seen: None,
                });
            }
        };
        match &answer {
            Answer::Stdout(bytes) | Answer::Stderr(bytes) => {
                let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                self.order(ToGuest::Grant { id: self.id, bytes });
            }
            Answer::Ended(_) => self.over = true,
            Answer::Taken(_) | Answer::Noticed(_) => {}
        }
        match answer {
            Answer::Ended(Err(problem)) => Err(broken(&self.machine, &problem, Some(&self.script))),
            other => Ok(other),
        }
    }

    fn order(&self, message: ToGuest) {
        // An agent that is gone has told so through the answers.
        let _ = self.orders.send(Order { message, answers: None });
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.over {
            self.order(ToGuest::Cancel { id: self.id });
        }
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

fn broken(machine: &str, problem: &str, script: Option<&str>) -> DriverError {
    DriverError::Shell {
        machine: machine.to_owned(),
        problem: problem.to_owned(),
        during: script.map(|script| format!("running `{}`", excerpt(script))),
    }
}

fn excerpt(script: &str) -> String {
    script.chars().take(200).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
