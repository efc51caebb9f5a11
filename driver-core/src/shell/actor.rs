//! The task that owns the stream of a guest's shell: one job at a time, each carried to its end even when
//! nobody waits for it any more.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::reply::{Found, Parser};
use super::request::{PIECE, Request, Tag, go_on};
use super::state::{Phase, State};
use super::visit::Visit;
use crate::error::DriverError;
use crate::machine::GuestStream;

mod host;

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// How long nothing comes after a greeting that is not the text of some output.
const SILENCE: Duration = Duration::from_secs(1);

/// Bytes outside of replies that are passed on in all: a guest that floods its port must not flood the log.
const HEARD: usize = 1 << 20;

/// Is given what is no part of a reply.
pub(super) type Listener = Box<dyn FnMut(&[u8]) + Send>;

/// Something to do for a caller. One that has dropped its end of `answers` has lost interest.
#[derive(Debug)]
pub(super) struct Job {
    /// Tells the jobs of a shell apart.
    pub(super) id: u64,
    /// What messages call it.
    pub(super) what: String,
    /// What to send.
    pub(super) message: Message,
    /// Where the answers go. An error is the last one.
    pub(super) answers: Answers,
}

/// What a job sends.
#[derive(Debug)]
pub(super) enum Message {
    /// A request, which brings a reply.
    Request(Request),
    /// Bytes that bring none.
    Raw(Vec<u8>),
    /// Somebody at a terminal.
    Visit(Visit),
    /// A last line, after which the stream belongs to somebody else.
    HandOver {
        /// The line.
        line: Vec<u8>,
        /// Who gets the stream.
        to: oneshot::Sender<Box<dyn GuestStream>>,
    },
}

/// The way back to a caller.
pub(super) type Answers = mpsc::Sender<Result<Answer, DriverError>>;

/// What a caller learns, in this order; nothing comes after the status.
#[derive(Debug)]
pub(super) enum Answer {
    /// The message is on its way.
    Sent,
    /// Some of the output.
    Output(Vec<u8>),
    /// The exit status.
    Status(i32),
}

/// Why a job came to nothing.
enum Broken {
    /// The stream ended.
    Closed(String),
    /// The reply is lost; the next one will not be.
    Lost(&'static str),
    /// Nobody wants the answer any more, and nothing was sent.
    Unwanted,
}

/// The task's state.
pub(super) struct Actor {
    inbound: Inbound,
    writer: WriteHalf<Box<dyn GuestStream>>,
    state: Arc<State>,
    session: u64,
}

impl Actor {
    pub(super) fn new(stream: Box<dyn GuestStream>, state: Arc<State>, heard: Listener) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (phase, parser) = (state.watch_phase(), Parser::default());
        let inbound = Inbound { reader, parser, phase, heard, left: HEARD, state: Arc::clone(&state) };
        // Random, so that a reply to an earlier driver is none to this one.
        let session = RandomState::new().build_hasher().finish();
        Self { inbound, writer, state, session }
    }

    /// Serves until the stream ends, and then refuses, until nobody asks any more.
    pub(super) async fn serve(mut self, mut jobs: mpsc::Receiver<Job>) {
        let problem = loop {
            let step = tokio::select! {
                job = jobs.recv() => match job {
                    Some(Job { message: Message::HandOver { line, to }, .. }) => {
                        return self.hand_over(&line, to).await;
                    }
                    Some(job) => self.perform(job).await,
                    None => return,
                },
                found = self.inbound.next() => found.map(|_| ()),
            };
            if let Err(Broken::Closed(problem)) = step {
                break problem;
            }
        };
        self.state.close(&problem);
        while let Some(job) = jobs.recv().await {
            let refusal = self.state.broken(&problem, Some(&job.what));
            let _ = job.answers.send(Err(refusal)).await;
        }
    }

    /// Sends a last line and gives the stream away, with what was read of it and not understood.
    async fn hand_over(mut self, line: &[u8], to: oneshot::Sender<Box<dyn GuestStream>>) {
        let sent = write(&mut self.writer, &[line]).await;
        self.state.close("has given its place to the agent");
        if sent.is_ok() {
            let read = std::io::Cursor::new(self.inbound.parser.buffer);
            // Whoever asked may have given up; then the stream closes, and with it the guest's port.
            drop(to.send(Box::new(tokio::io::join(read.chain(self.inbound.reader), self.writer))));
        }
    }

    /// Does a job and says what became of it. The only error is [`Broken::Closed`].
    async fn perform(&mut self, job: Job) -> Result<(), Broken> {
        let Job { id, what, message, answers } = job;
        self.state.set_holder(Some((id, what.clone())));
        let result = match message {
            Message::Raw(bytes) => self.send_raw(&bytes, &answers).await,
            Message::Request(request) => self.exchange(id, &request, &answers).await,
            Message::Visit(visit) => self.host(id, visit, &answers).await,
            Message::HandOver { .. } => Err(Broken::Unwanted),
        };
        self.state.set_holder(None);
        let (outcome, step) = match result {
            Ok(status) => (Ok(Answer::Status(status)), Ok(())),
            Err(Broken::Unwanted) => return Ok(()),
            Err(Broken::Lost(problem)) => (Err(self.state.broken(problem, Some(&what))), Ok(())),
            Err(Broken::Closed(problem)) => {
                self.state.close(&problem);
                (Err(self.state.broken(&problem, Some(&what))), Err(Broken::Closed(problem)))
            }
        };
        let _ = answers.send(outcome).await;
        step
    }

    /// Sends bytes that bring no reply, whether there is a shell or not.
    async fn send_raw(&mut self, bytes: &[u8], answers: &Answers) -> Result<i32, Broken> {
        if answers.is_closed() {
            return Err(Broken::Unwanted);
        }
        send(&mut self.writer, &[bytes], answers).await.map(|()| 0)
    }

    /// Sends a request and passes the reply on.
    async fn exchange(&mut self, id: u64, request: &Request, answers: &Answers) -> Result<i32, Broken> {
        self.wait_until_up(answers).await?;
        let tag = Tag::new(self.session, id);
        let line = request.line(&tag);
        self.state.used();
        self.inbound.parser.expect(tag);
        let status = self.converse(&[line.as_bytes(), &request.payload], answers).await;
        self.inbound.parser.give_up();
        status
    }

    /// Waits for the shell, as long as somebody wants it.
    async fn wait_until_up(&mut self, answers: &Answers) -> Result<(), Broken> {
        while !self.state.is_up() && !answers.is_closed() {
            tokio::select! {
                found = self.inbound.next() => { found?; }
                () = answers.closed() => {}
            }
        }
        if answers.is_closed() { Err(Broken::Unwanted) } else { Ok(()) }
    }

    /// Sends a request, takes the reply piece by piece, and returns the status at its end.
    async fn converse(&mut self, pieces: &[&[u8]], answers: &Answers) -> Result<i32, Broken> {
        // Both at once: a guest that prints before it has read everything must not block us.
        let sending = send(&mut self.writer, pieces, answers);
        let ((), mut found) = tokio::try_join!(sending, self.inbound.reply())?;
        let mut damaged = false;
        loop {
            match found {
                Found::Piece(piece) => {
                    damaged |= piece.is_none();
                    let piece = piece.unwrap_or_default();
                    let full = piece.len() == PIECE;
                    if !damaged && !piece.is_empty() {
                        // Nobody listens to a command that was given up.
                        drop(answers.send(Ok(Answer::Output(piece))).await);
                    }
                    let more = full && !damaged && !answers.is_closed();
                    write(&mut self.writer, &[go_on(more)]).await?;
                }
                Found::Ended(Some(status)) if !damaged => return Ok(status),
                Found::Ended(_) => {
                    return Err(Broken::Lost(
                        "lost bytes of a reply, or mixed others into it (something else in the guest may write \
                         to the shell's port)",
                    ));
                }
                Found::Greeting(_) => return Err(Broken::Lost("started anew, because the guest rebooted")),
                Found::Stray(_) => {}
            }
            found = self.inbound.reply().await?;
        }
    }
}

/// What comes from the guest.
struct Inbound {
    reader: ReadHalf<Box<dyn GuestStream>>,
    parser: Parser,
    state: Arc<State>,
    /// Tells when a reset makes the awaited reply void.
    phase: watch::Receiver<Phase>,
    heard: Listener,
    /// Bytes that may still be passed on.
    left: usize,
}

impl Inbound {
    /// The next thing that is no part of stray bytes, which are passed on from here. Safe to cancel.
    async fn next(&mut self) -> Result<Found, Broken> {
        loop {
            match self.parser.next() {
                Some(Found::Stray(bytes)) => self.hear(&bytes),
                Some(Found::Greeting(bytes)) => return Ok(self.greeted(bytes)),
                Some(found) => return Ok(found),
                None if self.parser.may_have_rebooted() => match timeout(SILENCE, self.fill()).await {
                    Ok(filled) => filled?,
                    Err(_) => {
                        let bytes = self.parser.take_greeting();
                        return Ok(self.greeted(bytes));
                    }
                },
                None => self.fill().await?,
            }
        }
    }

    fn greeted(&mut self, bytes: Vec<u8>) -> Found {
        self.hear(&bytes);
        self.state.greeted();
        Found::Greeting(bytes)
    }

    /// The next part of the reply, or what came in its place.
    async fn reply(&mut self) -> Result<Found, Broken> {
        let mut phase = self.phase.clone();
        tokio::select! {
            found = self.next() => found,
            _ = phase.wait_for(|phase| *phase == Phase::Waiting) => {
                Err(Broken::Lost("was reset, because the guest reboots"))
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        self.parser.buffer.reserve(READ);
        match self.reader.read_buf(&mut self.parser.buffer).await {
            Ok(0) => Err(Broken::Closed("was closed by the guest".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::Closed(format!("was closed ({error})"))),
        }
    }

    /// Passes on what is no part of a reply. Line ends alone say nothing.
    fn hear(&mut self, bytes: &[u8]) {
        if bytes.trim_ascii().is_empty() || self.left == 0 {
            return;
        }
        let shown = &bytes[..bytes.len().min(self.left)];
        self.left -= shown.len();
        (self.heard)(shown);
        if self.left == 0 {
            (self.heard)(b"(and more, which is not shown)");
        }
    }
}

/// Sends the pieces, and says so.
async fn send(
    writer: &mut WriteHalf<Box<dyn GuestStream>>,
    pieces: &[&[u8]],
    answers: &Answers,
) -> Result<(), Broken> {
    write(writer, pieces).await?;
    // Nobody listens to a command that was given up.
    drop(answers.send(Ok(Answer::Sent)).await);
    Ok(())
}

async fn write(writer: &mut WriteHalf<Box<dyn GuestStream>>, pieces: &[&[u8]]) -> Result<(), Broken> {
    let writing = async {
        for piece in pieces {
            writer.write_all(piece).await?;
        }
        writer.flush().await
    };
    writing.await.map_err(|error: std::io::Error| Broken::Closed(format!("was closed ({error})")))
}
