//! The guest shell: runs commands in a guest over any byte stream that ends in a root bash.
//!
//! What a command is, and what comes of it, is upstream's (`set -euo pipefail`, a new bash for each, stdout
//! until its last holder closes it, status 124 on timeout). How it travels is our own: one line there, and back
//! counted pieces, framed by a tag that no other reply has, so that nothing else on the stream is ever taken
//! for a reply and nothing of it is lost unnoticed. An actor task owns the stream; a call that is given up
//! leaves the reply to it, and the next command works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::GuestStream;

mod actor;
mod reply;
mod request;
mod state;
mod visit;

use actor::{Actor, Answer, Job, Message};
pub use reply::GREETING;
use request::Request;
pub use request::quote;
pub(crate) use request::refuse_nul;
#[cfg(feature = "fake")]
pub(crate) use request::{END, PIECE};
use state::{Phase, State};

/// Bytes of output that one command may return unless [`Shell::with_output_limit`] says otherwise.
pub const OUTPUT_LIMIT: usize = 1 << 30;

/// Bytes of the guest's own words that an error shows.
const DIAGNOSTICS: usize = 4096;

/// Bytes that one round trip of an upload carries. Between two of them other commands may run.
const UPLOAD_CHUNK: u64 = 4 << 20;

/// A handle to the shell of one guest. Clones speak to the same shell, whose stream is closed with the last
/// of them. Commands of several tasks queue in the order in which they came.
#[derive(Debug, Clone)]
pub struct Shell {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
    output_limit: usize,
    next_id: Arc<AtomicU64>,
    /// Ends the actor, and with it the stream, when nobody can ask for anything any more.
    _actor: Arc<AbortOnDropHandle<()>>,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellOutput {
    /// The exit status: 124 when the guest's `timeout` ended the command, 128 + n for signal n.
    pub status: i32,
    /// What the command, and all that it left running with its stdout, printed.
    pub stdout: Vec<u8>,
}

impl Shell {
    /// Takes over the stream of the machine `machine`, and waits for the shell's greeting on it in the
    /// background. `heard` is given all that is not part of a reply, the greeting included. Call it from
    /// within a tokio runtime.
    #[must_use]
    pub fn open(
        machine: &str,
        stream: Box<dyn GuestStream>,
        heard: impl FnMut(&[u8]) + Send + 'static,
    ) -> Self {
        // Few, so that a flood of calls waits with its callers rather than in memory.
        let (jobs, queue) = mpsc::channel(16);
        let state = Arc::new(State::new(machine));
        let actor = Actor::new(stream, Arc::clone(&state), Box::new(heard));
        let task = AbortOnDropHandle::new(tokio::spawn(actor.serve(queue)));
        Self { jobs, state, output_limit: OUTPUT_LIMIT, next_id: Arc::default(), _actor: Arc::new(task) }
    }

    /// The same shell with another bound, in bytes, on what [`Shell::run`] returns.
    #[must_use]
    pub fn with_output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Waits for the shell's greeting; returns at once when it has come.
    ///
    /// # Errors
    /// [`DriverError::Timeout`], or [`DriverError::Shell`] when the stream ended.
    pub async fn ready(&self, within: Deadline) -> Result<(), DriverError> {
        let mut phase = self.state.watch_phase();
        let up = phase.wait_for(|phase| !matches!(phase, Phase::Waiting));
        match tokio::time::timeout_at(within.instant(), up).await {
            Ok(Ok(phase)) => match &*phase {
                Phase::Closed(problem) => Err(self.state.broken(problem, None)),
                Phase::Waiting | Phase::Up { .. } => Ok(()),
            },
            Ok(Err(_)) => Err(self.state.broken("is no longer served", None)),
            Err(_) => Err(self.state.late("the greeting of the guest's shell".to_owned(), within, None)),
        }
    }

    /// Says whether the greeting has come and the stream is open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.is_up()
    }

    /// Runs one command and returns its output and status. `timeout` is the guest's own, by `timeout(1)`:
    /// the command ends with status 124. `within` is the host's: the call ends, while the command may go on
    /// and hold the shell. Dropping the future is the same as a `within` that is over.
    ///
    /// # Errors
    /// [`DriverError::Timeout`] when `within` is over, naming the command that holds the shell if it is
    /// another one; [`DriverError::Shell`] when the shell is gone, the guest rebooted in the middle, or
    /// there was more output than the limit; [`DriverError::Usage`] for a command that holds a NUL byte.
    pub async fn run(
        &self,
        command: &str,
        timeout: Option<Duration>,
        within: Deadline,
    ) -> Result<ShellOutput, DriverError> {
        let mut call = self.ask(command, Message::Request(Request::command(command, timeout)?), within);
        let mut stdout = Vec::new();
        loop {
            match call.next().await? {
                Answer::Sent => {}
                Answer::Output(chunk) if stdout.len() + chunk.len() > self.output_limit => {
                    let problem = format!(
                        "printed more than the {} bytes that a command may return (let it write to a file, and copy that)",
                        self.output_limit
                    );
                    return Err(self.state.broken(&problem, Some(command)));
                }
                Answer::Output(chunk) => stdout.extend_from_slice(&chunk),
                Answer::Status(status) => return Ok(ShellOutput { status, stdout }),
            }
        }
    }

    /// Sends one command and returns as soon as that is done. Its output and status are dropped; as any
    /// command it holds the shell until it ends.
    ///
    /// # Errors
    /// As for [`Shell::run`], where the command could not be sent.
    pub async fn fire(&self, command: &str, within: Deadline) -> Result<(), DriverError> {
        let message = Message::Request(Request::command(command, None)?);
        self.ask(command, message, within).next().await.map(drop)
    }

    /// Sends text to the shell as it is, without waiting for anything but that the commands before it have
    /// ended. For commands after which there is no shell: `poweroff\n`.
    ///
    /// # Errors
    /// As for [`Shell::run`], where the text could not be sent.
    pub async fn send_raw(&self, text: &str, within: Deadline) -> Result<(), DriverError> {
        let message = Message::Raw(text.as_bytes().to_vec());
        self.ask(text.trim_end(), message, within).next().await.map(drop)
    }

    /// Writes `length` bytes of `content` to the file `target` in the guest, whose directory is made if
    /// need be, and gives it the permissions `mode`. A file of that name is replaced; one that could not be
    /// written to its end stays as far as it came.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] with the guest's own words when it refuses, [`DriverError::File`] when
    /// `content` ends early, and as for [`Shell::run`].
    pub async fn upload(
        &self,
        target: &str,
        mode: u32,
        mut content: impl AsyncRead + Send + Unpin,
        length: u64,
        within: Deadline,
    ) -> Result<(), DriverError> {
        let what = format!("writing {target}");
        let mut sent = 0;
        loop {
            let size = UPLOAD_CHUNK.min(length - sent);
            let mut chunk = Vec::new();
            let read = (&mut content).take(size).read_to_end(&mut chunk).await;
            let short = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            read.and_then(|read| if read as u64 == size { Ok(()) } else { Err(short()) }).map_err(
                |source| DriverError::File {
                    operation: "read what to upload as",
                    path: target.to_owned(),
                    source,
                },
            )?;
            let request = Request::upload(target, mode, chunk, sent == 0)?;
            let ShellOutput { status, stdout } = self.feed(&what, request, within).await?;
            if status != 0 {
                let words = String::from_utf8_lossy(&stdout);
                let message = format!("`{target}` could not be written in the guest: {}", words.trim());
                return Err(DriverError::assertion(message));
            }
            sent += size;
            if sent == length {
                return Ok(());
            }
        }
    }

    /// Has the shell itself run a command that reads all of `input`, or fails. Of what it prints, the beginning
    /// is returned. `what` is that, in words.
    pub(crate) async fn run_with(
        &self,
        what: &str,
        command: &str,
        input: Vec<u8>,
        within: Deadline,
    ) -> Result<ShellOutput, DriverError> {
        self.feed(what, Request::fed(command, input), within).await
    }

    async fn feed(&self, what: &str, request: Request, within: Deadline) -> Result<ShellOutput, DriverError> {
        let mut call = self.ask(what, Message::Request(request), within);
        let mut stdout = Vec::new();
        loop {
            match call.next().await? {
                Answer::Sent => {}
                Answer::Output(chunk) => {
                    stdout.extend_from_slice(&chunk);
                    stdout.truncate(DIAGNOSTICS);
                }
                Answer::Status(status) => return Ok(ShellOutput { status, stdout }),
            }
        }
    }

    /// Reads the file `source` of the guest into `target`, of any size, and returns its length in bytes.
    /// More than `limit` bytes are an error, so that a guest cannot fill the host's disk.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when the guest cannot read the file, [`DriverError::File`] when `target`
    /// cannot be written, and as for [`Shell::run`].
    pub async fn download(
        &self,
        source: &str,
        mut target: impl AsyncWrite + Send + Unpin,
        limit: u64,
        within: Deadline,
    ) -> Result<u64, DriverError> {
        let what = format!("reading {source}");
        let mut received = 0;
        let failed = |error| DriverError::File {
            operation: "write the copy of",
            path: source.to_owned(),
            source: error,
        };
        let mut call = self.ask(&what, Message::Request(Request::download(source)?), within);
        let status = loop {
            match call.next().await? {
                Answer::Sent => {}
                Answer::Output(chunk) => {
                    received += chunk.len() as u64;
                    if received > limit {
                        let problem = format!("sent more than the {limit} bytes that were allowed");
                        return Err(self.state.broken(&problem, Some(&what)));
                    }
                    target.write_all(&chunk).await.map_err(failed)?;
                }
                Answer::Status(status) => break status,
            }
        };
        if status != 0 {
            let message = format!("`{source}` could not be read in the guest (the console has its words)");
            return Err(DriverError::assertion(message));
        }
        target.flush().await.map_err(failed)?;
        Ok(received)
    }

    /// Sends a last line, such as an `exec`, and gives the stream away. All handles of this shell fail from
    /// then on.
    ///
    /// # Errors
    /// As for [`Shell::run`], where the line could not be sent.
    pub(crate) async fn hand_over(
        &self,
        line: &str,
        within: Deadline,
    ) -> Result<Box<dyn GuestStream>, DriverError> {
        let (to, stream) = oneshot::channel();
        let message = Message::HandOver { line: line.as_bytes().to_vec(), to };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let what = line.trim_end().to_owned();
        let gone = || self.state.broken("was closed by the guest", Some(&what));
        let job = Job { id, what: what.clone(), message, answers: mpsc::channel(1).0 };
        self.jobs.send(job).await.map_err(|_| gone())?;
        match tokio::time::timeout_at(within.instant(), stream).await {
            Ok(stream) => stream.map_err(|_| gone()),
            Err(_) => Err(self.state.late(format!("`{what}`"), within, Some(id))),
        }
    }

    /// Has the shell greet once more: one that goes on from a snapshot has done so in another life.
    ///
    /// # Errors
    /// As for [`Shell::run`], where the text could not be sent.
    pub(crate) async fn ask_to_greet(&self, within: Deadline) -> Result<(), DriverError> {
        // In two parts, so that a terminal's echo of it is no greeting.
        let (begin, end) = GREETING.split_at(GREETING.len() / 2);
        self.send_raw(&format!("printf '%s%s\\n' {} {}\n", quote(begin), quote(end)), within).await
    }

    /// The command that the shell is running, if there is one.
    pub(crate) fn busy_with(&self) -> Option<String> {
        self.state.busy_with()
    }

    /// Says that the guest reboots: the old greeting counts no more, a command that is still going on
    /// fails, and all is skipped up to the next greeting. When that one has already come, unasked for, it
    /// counts.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Says that the guest may have rebooted some time ago: as [`Shell::reset`], unless a greeting has come that nobody
    /// has made use of, with a command or [`Shell::acknowledge`].
    pub(crate) fn lost(&self) {
        if !self.state.is_fresh() {
            self.state.reset();
        }
    }

    /// Says that the last greeting is known.
    pub(crate) fn acknowledge(&self) {
        self.state.acknowledge();
    }

    /// Prepares a job; it is queued when its first answer is asked for.
    fn ask(&self, what: &str, message: Message, within: Deadline) -> Call<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answers, receiver) = mpsc::channel(4);
        let what = what.to_owned();
        let job = Job { id, what: what.clone(), message, answers };
        Call { shell: self, id, what, within, job: Some(job), answers: receiver }
    }
}

/// A job, seen from the side that asks. Dropping it leaves the rest of the answer to the actor.
struct Call<'a> {
    shell: &'a Shell,
    id: u64,
    what: String,
    within: Deadline,
    job: Option<Job>,
    answers: mpsc::Receiver<Result<Answer, DriverError>>,
}

impl Call<'_> {
    /// The next answer.
    async fn next(&mut self) -> Result<Answer, DriverError> {
        // The actor ends without a word only when the runtime shuts down.
        let gone = || self.shell.state.broken("is no longer served", Some(&self.what));
        let job = self.job.take();
        let answer = async {
            if let Some(job) = job {
                self.shell.jobs.send(job).await.map_err(|_| gone())?;
            }
            self.answers.recv().await.unwrap_or_else(|| Err(gone()))
        };
        // A guest that never stops printing must not keep the deadline from being looked at.
        let late = || {
            let awaited = format!("the end of `{}`", state::brief(&self.what));
            Err(self.shell.state.late(awaited, self.within, Some(self.id)))
        };
        if self.within.is_over() {
            return late();
        }
        tokio::time::timeout_at(self.within.instant(), answer).await.unwrap_or_else(|_| late())
    }
}
