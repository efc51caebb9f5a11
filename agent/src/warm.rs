//! A bash that waits for its command. Starting one is most of what a short command costs, so one is started
//! ahead, and a new one in its place when it has been used.
//!
//! It must do exactly what a new `bash -c COMMAND` does: parse as that does, execute the last command in its
//! own place, call itself `bash` in its messages. So it *is* one: started with blanks for a command, and
//! held before it looks at them, by a pipe that `BASH_ENV` names. When the command is known, it is written
//! over the blanks in the process's memory, the pipe's text takes back `BASH_ENV` and the age of the shell
//! (`SECONDS`), and bash goes on. Bash never has the pipe among its files, but opens it by our `/proc`.
//!
//! What differs: the process is older than its command, its arguments are followed by unused room, `ps` shows
//! one idle bash, `BASH_EXECUTION_STRING` tells the blanks, `BASH_ARGC` has an element, and `declare -p` has a
//! value for `SECONDS`, where all of them have none. What bash reads when it starts and might have changed since
//! is, above all, the names of the host and of the folder: they are compared, and if one differs, a new bash is
//! started instead. (The locale's files are taken to stay as they are.) Whether all this works with the guest's bash
//! is tried out once, with a command that does nothing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_protocol::message::KILLED;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::system::uname;

use crate::bash::{Bash, Running, STRICT, ours};

/// Bytes for a command with its beginning. Longer ones get a new bash.
const ROOM: usize = 4 << 10;

/// The command at the beginning of the blanks: what bash does when the agent is killed, and its gate with it.
const UNUSED: &str = "exit 97 #";

/// What bash reads before its command. A fresh one is zero seconds old, and has no `BASH_ENV`.
const PREAMBLE: &[u8] = b"unset BASH_ENV; SECONDS=0";

/// How often, and how long apart, its arguments are looked for.
const TRIES: usize = 50;
const TRY_AGAIN: Duration = Duration::from_micros(200);

/// What comes before the command among the arguments.
const BEFORE: &[u8] = b"bash\0-c\0";

/// The status of the command that is tried.
const TRIED: i32 = 42;

/// How long after the last event another one is started: not while its command runs.
pub(crate) const REST: Duration = Duration::from_millis(20);

/// The bash that waits, or why there is none.
#[derive(Debug)]
pub(crate) enum Warm {
    /// Start one when there is nothing else to do, or else after [`REST`].
    Due { since: Instant, tried: bool },
    /// The first one, at its trial.
    Trial(Running),
    /// It waits.
    Waiting(Box<Waiting>),
    /// It does not work here.
    Off,
}

/// The names of the host and of the folder.
type Names = (Vec<u8>, Option<PathBuf>);

/// A bash that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    running: Running,
    /// What it reads before its command.
    gate: OwnedFd,
    /// How the blanks begin.
    unused: Vec<u8>,
    /// Its memory, and where the blanks are in it.
    blanks: Option<(File, u64)>,
    /// When to look for those: a process that has just been started is there before its arguments are.
    look: Option<Instant>,
    names: Names,
}

impl Warm {
    pub(crate) fn new() -> Self {
        // Who has a BASH_ENV of their own keeps it.
        if std::env::var_os("BASH_ENV").is_some() {
            return Self::Off;
        }
        Self::Due { since: Instant::now(), tried: false }
    }

    /// When to call [`Warm::start`], if there is something else to do before that.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        match self {
            Self::Due { since, .. } => Some(*since + REST),
            Self::Waiting(waiting) => waiting.look,
            _ => None,
        }
    }

    /// Starts one, or gets on with that, if it is time.
    pub(crate) fn start(&mut self, bash: &Bash, idle: bool) {
        if let Self::Waiting(waiting) = self {
            waiting.look();
        }
        let Self::Due { since, tried } = *self else { return };
        if !idle && Instant::now() < since + REST {
            return;
        }
        let waiting = Waiting::start(bash);
        *self = match waiting {
            Ok(waiting) if tried => Self::Waiting(Box::new(waiting)),
            Ok(waiting) => match waiting.run(format!("exit {TRIED}").as_bytes()) {
                Ok(running) => Self::Trial(running),
                Err(_) => Self::Off,
            },
            Err(_) if tried => Self::Due { since: Instant::now() + Duration::from_secs(1), tried },
            Err(_) => Self::Off,
        };
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// Whether it waits, or never will.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Off)
    }

    /// Readable when the process has ended; then call [`Warm::ended`].
    pub(crate) fn process(&self) -> Option<&OwnedFd> {
        match self {
            Self::Trial(running) => Some(running.process.ended()),
            Self::Waiting(waiting) => Some(waiting.running.process.ended()),
            Self::Due { .. } | Self::Off => None,
        }
    }

    /// The process has ended: at its trial, or because somebody killed it.
    pub(crate) fn ended(&mut self) {
        let due = Self::Due { since: Instant::now(), tried: true };
        *self = match &*self {
            Self::Trial(running) => {
                let works = running.process.status() == Some(TRIED);
                running.process.reap();
                if works { due } else { Self::Off }
            }
            Self::Waiting(waiting) => {
                waiting.running.process.reap();
                due
            }
            Self::Due { .. } | Self::Off => return,
        };
    }

    /// Has it run the script, if it can.
    pub(crate) fn run(&mut self, script: &[u8]) -> Option<Running> {
        if STRICT.len() + script.len() >= ROOM || !matches!(self, Self::Waiting(_)) {
            return None;
        }
        let due = Self::Due { since: Instant::now(), tried: true };
        let Self::Waiting(waiting) = std::mem::replace(self, due) else { return None };
        waiting.run(&[STRICT, script].concat()).ok()
    }

    /// Something was done: not now.
    pub(crate) fn defer(&mut self) {
        if let Self::Due { since, .. } = self {
            *since = (*since).max(Instant::now());
        }
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        if let Self::Trial(running) = self {
            running.process.kill();
        } else if let Self::Waiting(waiting) = self {
            waiting.running.process.kill();
        }
        *self = Self::Off;
    }
}

impl Waiting {
    fn start(bash: &Bash) -> io::Result<Self> {
        let (theirs, gate) = pipe_with(PipeFlags::CLOEXEC)?;
        let unused = unused();
        let mut blanks = unused.clone();
        blanks.resize(ROOM, b' ');
        let mut running = bash.start(&blanks, false, Some(("BASH_ENV", ours(&theirs))))?;
        running.process.lend(theirs);
        let look = Some(Instant::now() + REST);
        Ok(Self { running, gate, unused, blanks: None, look, names: names() })
    }

    /// Looks for the blanks if it is time: done ahead, it is not waited for.
    fn look(&mut self) {
        if self.look.is_some_and(|at| at <= Instant::now()) {
            self.look = None;
            self.blanks = look_for_blanks(&self.running, &self.unused).ok();
        }
    }

    /// Has it run the text. Whatever goes wrong, it has then run nothing.
    fn run(self, text: &[u8]) -> io::Result<Running> {
        let mut room = text.to_vec();
        room.resize(ROOM, 0);
        let written = if self.names == names() {
            let found = self.blanks.map_or_else(|| find_blanks(&self.running, &self.unused), Ok);
            found.and_then(|(memory, at)| {
                refuse_dying(&self.running)?;
                memory.write_all_at(&room, at)
            })
        } else {
            Err(io::Error::other("the host or the folder has another name now"))
        };
        let opened = written.and_then(|()| File::from(self.gate).write_all(PREAMBLE));
        if opened.is_err() {
            self.running.process.kill();
        }
        opened.map(|()| self.running)
    }
}

/// What the blanks begin with. On a terminal it tells the driver, which would learn it from nothing else.
fn unused() -> Vec<u8> {
    let terminal = crate::port::terminal().ok().flatten();
    let Some(path) = terminal.as_deref().and_then(Path::to_str).filter(|path| !path.contains('\'')) else {
        return UNUSED.as_bytes().to_vec();
    };
    format!("[ ! -c '{path}' ] || printf '\\n{KILLED}\\n' >'{path}'; {UNUSED}").into_bytes()
}

/// The process's memory, and where in it the blanks are.
fn find_blanks(running: &Running, unused: &[u8]) -> io::Result<(File, u64)> {
    let mut tries = 0;
    loop {
        match look_for_blanks(running, unused) {
            Err(_) if tries < TRIES && running.process.status().is_none() => {
                tries += 1;
                std::thread::sleep(TRY_AGAIN);
            }
            outcome => return outcome,
        }
    }
}

fn look_for_blanks(running: &Running, unused: &[u8]) -> io::Result<(File, u64)> {
    let wrong = || io::Error::other("the arguments are not where they should be");
    // `arg_start`.
    let arguments = field(running, 48).ok_or_else(wrong)?;
    let folder = format!("/proc/{}", running.process.pid());
    let memory = File::options().read(true).write(true).open(format!("{folder}/mem"))?;
    let mut found = vec![0; BEFORE.len() + unused.len()];
    memory.read_exact_at(&mut found, arguments)?;
    if found != [BEFORE, unused].concat() {
        return Err(wrong());
    }
    Ok((memory, arguments + BEFORE.len() as u64))
}

/// An error if somebody has sent it a signal: whatever is written to it now is lost.
fn refuse_dying(running: &Running) -> io::Result<()> {
    match field(running, 31) {
        Some(0) => Ok(()),
        _ => Err(io::Error::other("it is about to be killed")),
    }
}

/// A field of `/proc/PID/stat`, by its number in proc(5).
fn field(running: &Running, number: usize) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{}/stat", running.process.pid())).ok()?;
    // The first two are not among these.
    crate::proc::fields(&stat)?.get(number - 3)?.parse().ok()
}

/// What bash takes for `HOSTNAME` and `PWD`.
fn names() -> Names {
    (uname().nodename().to_bytes().to_vec(), std::env::current_dir().ok())
}
