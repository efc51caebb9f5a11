//! The task that owns the stream of a guest's agent, and carries the messages of all requests over it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_protocol::message::{End, INITIAL_GRANT, KILLED, Notice, RequestId, Stream};
use agent_protocol::{Broken, Link, Role, ToGuest, ToHost, VERSION};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::bulk::Bulk;
use super::{State, Streams};
use crate::machine::GuestStream;
use crate::shell::GREETING;

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// Bytes outside of the conversation that are passed on in all: a guest that floods its port must not flood
/// the log.
const HEARD: usize = 1 << 20;

/// Bytes of text in a row, at least, that are no accident among the remains of frames.
const WORD: usize = 4;

/// How long the link is left alone while something is awaited on the lane, which cannot tell a guest that has stopped
/// from one that has nothing to say.
const PROBE: Duration = Duration::from_secs(5);

/// How long the lane is read on when the agent is gone: answers may have come there before that was told elsewhere.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Is given what is no part of the conversation.
pub(super) type Listener = Box<dyn Fn(&[u8]) + Send>;

/// A message to send; the first one of a request brings where its answers go.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) message: ToGuest,
    pub(super) answers: Option<Asker>,
}

/// Who waits for the answers to a request.
#[derive(Debug)]
pub(super) enum Asker {
    /// Gets all of them.
    Command {
        answers: mpsc::UnboundedSender<Answer>,
        /// They are large, and go by the lane, if there is one. Small ones and watches do so, too, as long as
        /// nothing large is in their way: that port costs the guest less.
        bulk: bool,
    },
    /// Gets the latest: what a watch says replaces what it said before.
    Watch(watch::Sender<Option<Answer>>),
}

/// What became of a request. Outputs are bounded by what the request has granted.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Taken(u32),
    Noticed(Notice),
    /// Nothing comes after. An error when the agent is gone.
    Ended(Result<End, String>),
}

/// A request under way.
struct Asked {
    asker: Asker,
    /// Bytes of output that it may still send.
    granted: u64,
    /// Bytes of input that it was sent and has not taken.
    poured: u64,
    by_lane: bool,
    is_large: bool,
}

pub(super) struct Actor {
    reader: ReadHalf<Box<dyn GuestStream>>,
    writer: WriteHalf<Box<dyn GuestStream>>,
    link: Link,
    bulk: Option<Bulk>,
    began: Instant,
    state: watch::Sender<State>,
    returned: Arc<Mutex<Option<Streams>>>,
    heard: Listener,
    requests: HashMap<RequestId, Asked>,
    /// Whether it has been up.
    has_greeted: bool,
    /// Whether nothing has been heard of it for long.
    is_silent: bool,
    /// The last stray bytes: where the greeting of a shell shows that the guest has rebooted.
    stray: Vec<u8>,
    /// Bytes that may still be passed on.
    hearing: usize,
    /// When to see whether the guest still answers.
    probe_at: Option<Instant>,
}

impl Asker {
    /// Whoever asked may have given up; then the request is cancelled by its own end.
    fn tell(&self, answer: Answer) {
        match self {
            Self::Command { answers, .. } => drop(answers.send(answer)),
            Self::Watch(latest) => drop(latest.send(Some(answer))),
        }
    }
}

impl Asked {
    /// Keeps the books, so that an agent that does not cannot fill our memory. An error when it does not.
    fn settle(&mut self, answer: &Answer) -> Result<(), String> {
        let (left, bytes) = match answer {
            Answer::Stdout(bytes) | Answer::Stderr(bytes) => (&mut self.granted, bytes.len() as u64),
            Answer::Taken(bytes) => (&mut self.poured, u64::from(*bytes)),
            // A watch keeps the latest one only; a command would keep them all.
            Answer::Noticed(_) if matches!(self.asker, Asker::Command { .. }) => {
                return Err("talks nonsense (it tells of a command what only a watch has)".to_owned());
            }
            Answer::Noticed(_) | Answer::Ended(_) => return Ok(()),
        };
        if bytes == 0 || bytes > *left {
            return Err(format!("talks nonsense (it tells of {bytes} bytes where {left} are due)"));
        }
        *left -= bytes;
        Ok(())
    }
}

impl Actor {
    pub(super) fn new(
        streams: Streams,
        state: watch::Sender<State>,
        returned: Arc<Mutex<Option<Streams>>>,
        heard: Listener,
    ) -> Self {
        let (reader, writer) = tokio::io::split(streams.shell);
        // Random, so that what an earlier driver was sent is not taken for ours.
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let session = u32::try_from(random >> 32).unwrap_or_default();
        let mut link = Link::new(Role::Host, session);
        link.send(&encode(&ToGuest::Hello { version: VERSION }));
        let bulk = streams.bulk.map(|stream| Bulk::new(stream, random));
        if bulk.is_some() {
            link.send(&encode(&ToGuest::Lane { token: random }));
        }
        Self {
            reader,
            writer,
            link,
            bulk,
            began: Instant::now(),
            state,
            returned,
            heard,
            requests: HashMap::new(),
            has_greeted: false,
            is_silent: false,
            stray: Vec::new(),
            hearing: HEARD,
            probe_at: None,
        }
    }

    /// Serves until the agent is gone or nobody asks any more. Then returns the stream, with what a shell
    /// that has come back on it has said.
    pub(super) async fn serve(mut self, mut orders: mpsc::UnboundedReceiver<Order>, reset: Arc<Notify>) {
        let mut unsent: Vec<u8> = Vec::new();
        let mut buffer = vec![0; READ];
        let problem = loop {
            self.probe();
            let now = self.began.elapsed();
            if unsent.is_empty() {
                unsent = self.link.outgoing(now);
            }
            match self.link.broken() {
                Some(silence @ Broken::Silent(_)) => self.fall_silent(&silence.to_string()),
                Some(broken) => break broken.to_string(),
                None => self.speak_again(),
            }
            // What the link has to say cannot be said before the port has taken what it said before.
            let wake = self.link.wake_at().filter(|_| unsent.is_empty()).map(|at| self.began + at);
            let wake = wake.into_iter().chain(self.probe_at).min();
            tokio::select! {
                read = self.reader.read(&mut buffer) => match read {
                    Ok(count @ 1..) => {
                        self.link.receive(&buffer[..count], self.began.elapsed());
                        if let Err(problem) = self.take_messages() {
                            break problem;
                        }
                        if let Some(problem) = self.hear() {
                            break problem.to_owned();
                        }
                    }
                    Ok(0) => break "was closed by the guest".to_owned(),
                    Err(error) => break format!("was closed ({error})"),
                },
                written = self.writer.write(&unsent), if !unsent.is_empty() => match written {
                    Ok(count) => drop(unsent.drain(..count)),
                    Err(error) => break format!("was closed ({error})"),
                },
                order = orders.recv(), if self.link.backlog() < READ => match order {
                    Some(order) => self.take_order(order),
                    None => return,
                },
                event = async { match &mut self.bulk {
                    Some(bulk) => bulk.event().await,
                    None => std::future::pending().await,
                } } => {
                    let taken = match &mut self.bulk {
                        Some(bulk) => bulk.take(event),
                        None => Ok(()),
                    };
                    match taken.and_then(|()| self.take_bulk_messages()) {
                        Ok(()) => {}
                        Err(problem) => self.lose_bulk(&problem),
                    }
                }
                () = reset.notified() => break "is gone, because the guest reboots".to_owned(),
                () = sleep_until(wake) => {}
            }
        };
        self.take_last_words().await;
        let read = std::io::Cursor::new(self.stray);
        let shell: Box<dyn GuestStream> = Box::new(tokio::io::join(read.chain(self.reader), self.writer));
        let streams = Streams { shell, bulk: self.bulk.map(Bulk::into_stream) };
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(streams);
        self.state.send_replace(State::Gone(problem.clone()));
        for (_, asked) in self.requests.drain() {
            asked.asker.tell(Answer::Ended(Err(problem.clone())));
        }
    }

    /// Says something on the link, if it is time: that it must be answered is enough.
    fn probe(&mut self) {
        if self.probe_at.is_some_and(|at| at <= Instant::now()) {
            let is_awaited = self.requests.values().any(|asked| asked.by_lane);
            self.probe_at = is_awaited.then(|| Instant::now() + PROBE);
            if is_awaited && self.link.backlog() == 0 {
                self.link.send(&encode(&ToGuest::Grant { id: 0, bytes: 0 }));
            }
        }
    }

    /// Takes the answers that are there already.
    async fn take_last_words(&mut self) {
        let reading = async {
            while let Some(bulk) =
                self.bulk.as_mut().filter(|_| self.requests.values().any(|asked| asked.by_lane))
            {
                let event = bulk.event().await;
                if bulk.take(event).and_then(|()| self.take_bulk_messages()).is_err() {
                    return;
                }
            }
        };
        // Most often there are none.
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
    }

    /// The guest has stopped, or hangs: nobody is kept waiting. It may go on one day, and must not go on with
    /// what nobody waits for any more.
    fn fall_silent(&mut self, problem: &str) {
        if self.is_silent {
            return;
        }
        self.is_silent = true;
        self.state.send_if_modified(|state| {
            let was_up = *state == State::Up;
            if was_up {
                *state = State::Starting;
            }
            was_up
        });
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            if let Some(asked) = self.requests.get(&id) {
                asked.asker.tell(Answer::Ended(Err(problem.to_owned())));
            }
            self.take_order(Order { message: ToGuest::Cancel { id }, answers: None });
        }
    }

    fn is_up(&mut self) {
        self.has_greeted = true;
        self.state.send_replace(State::Up);
    }

    fn speak_again(&mut self) {
        if std::mem::take(&mut self.is_silent) && self.has_greeted {
            self.state.send_replace(State::Up);
        }
    }

    fn take_order(&mut self, order: Order) {
        let by_lane = match (&order.message, order.answers) {
            (ToGuest::Run { id, .. } | ToGuest::Watch { id, .. } | ToGuest::Card { id, .. }, Some(asker)) => {
                let is_large = matches!(asker, Asker::Command { bulk: true, .. });
                let by_lane = self.bulk.as_ref().is_some_and(Bulk::is_open)
                    && (is_large || !self.requests.values().any(|asked| asked.is_large));
                if by_lane {
                    self.probe_at.get_or_insert_with(|| Instant::now() + PROBE);
                }
                let asked = Asked { asker, granted: INITIAL_GRANT.into(), poured: 0, by_lane, is_large };
                self.requests.insert(*id, asked);
                by_lane
            }
            (ToGuest::Grant { id, bytes }, _) => self.requests.get_mut(id).is_some_and(|asked| {
                asked.granted += u64::from(*bytes);
                asked.by_lane
            }),
            (ToGuest::Input { id, bytes }, _) => self.requests.get_mut(id).is_some_and(|asked| {
                asked.poured += bytes.len() as u64;
                asked.by_lane
            }),
            (ToGuest::Cancel { id }, _) => self.requests.remove(id).is_some_and(|asked| asked.by_lane),
            _ => false,
        };
        match &mut self.bulk {
            Some(bulk) if by_lane => bulk.send(&order.message),
            _ => self.link.send(&encode(&order.message)),
        }
    }

    /// Hands on what has come. An error is the end.
    fn take_messages(&mut self) -> Result<(), String> {
        while let Some(bytes) = self.link.message() {
            let message =
                agent_protocol::from_bytes(&bytes).map_err(|error| format!("talks nonsense ({error})"))?;
            self.take(message)?;
        }
        Ok(())
    }

    /// Hands on what has come on the lane. An error is the end of the lane.
    fn take_bulk_messages(&mut self) -> Result<(), String> {
        while let Some(message) = self.bulk.as_mut().map_or(Ok(None), Bulk::message)? {
            self.take(message)?;
        }
        Ok(())
    }

    /// The lane is of no more use, nor are the requests that went by it.
    fn lose_bulk(&mut self, problem: &str) {
        tracing::warn!(problem, "the port for what is large is lost");
        self.bulk = None;
        for (_, asked) in self.requests.extract_if(|_, asked| asked.by_lane) {
            asked.asker.tell(Answer::Ended(Err(format!("lost its port for what is large, which {problem}"))));
        }
    }

    fn take(&mut self, message: ToHost) -> Result<(), String> {
        let (id, answer) = match message {
            ToHost::Hello { version: VERSION } => {
                match &mut self.bulk {
                    // With a lane it is ready when that is.
                    Some(bulk) => bulk.open(),
                    None => self.is_up(),
                }
                return Ok(());
            }
            ToHost::Hello { version } => return Err(format!("speaks version {version} of the protocol")),
            ToHost::Lane { problem } => {
                match (problem, &mut self.bulk) {
                    (None, Some(bulk)) => bulk.opened(),
                    (Some(problem), Some(_)) => self.lose_bulk(&format!("does not open: {problem}")),
                    (_, None) => {}
                }
                self.is_up();
                return Ok(());
            }
            ToHost::Output { id, stream: Stream::Stdout, bytes } => (id, Answer::Stdout(bytes)),
            ToHost::Output { id, stream: Stream::Stderr, bytes } => (id, Answer::Stderr(bytes)),
            ToHost::Taken { id, bytes } => (id, Answer::Taken(bytes)),
            ToHost::Noticed { id, notice } => (id, Answer::Noticed(notice)),
            ToHost::Ended { id, end } => (id, Answer::Ended(Ok(end))),
        };
        // A request that was given up has nobody to be told.
        let Some(asked) = self.requests.get_mut(&id) else { return Ok(()) };
        asked.settle(&answer)?;
        let over = matches!(answer, Answer::Ended(_));
        asked.asker.tell(answer);
        if over {
            self.requests.remove(&id);
        }
        Ok(())
    }

    /// Passes stray bytes on. Says so when they tell that the agent is gone: somebody greets, or the bash
    /// that was to run its next command says so.
    fn hear(&mut self) -> Option<&'static str> {
        let stray = self.link.stray();
        self.stray.extend_from_slice(&stray);
        // A frame that the agent was in the middle of stays unfinished, and takes what comes next for its
        // own. Frames hold no such words, see `agent_protocol`.
        let unfinished = self.link.unfinished();
        let says = |words: &str| {
            let words = words.as_bytes();
            memmem::find(&self.stray, words).or_else(|| memmem::find(unfinished, words)).is_some()
        };
        let problem = if says(GREETING) {
            Some("is gone, because the guest rebooted or started its shell anew")
        } else if says(KILLED) {
            Some("is gone, because the guest has ended it (it goes down, or somebody killed it)")
        } else {
            None
        };
        if problem.is_some() {
            self.stray.extend_from_slice(unfinished);
            return problem;
        }
        let told = readable(&stray, self.hearing);
        if !told.is_empty() {
            self.hearing -= told.len();
            (self.heard)(&told);
        }
        let old = self.stray.len().saturating_sub(GREETING.len());
        self.stray.drain(..old);
        None
    }
}

/// What of stray bytes is worth telling, at most `most` bytes: no remains of frames.
fn readable(stray: &[u8], most: usize) -> Vec<u8> {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let runs = stray.split(|byte| !is_text(byte)).filter(|run| run.len() >= WORD);
    let mut told = runs.collect::<Vec<_>>().join(&b' ');
    told.truncate(most);
    told
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

pub(super) fn encode(message: &ToGuest) -> Vec<u8> {
    // No message of the driver's can fail to be encoded.
    agent_protocol::to_bytes(message).unwrap_or_default()
}
