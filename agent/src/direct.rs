//! Runs a simple command without a shell, as GNU make does: most of what such a command costs is a bash that
//! starts, finds the program, and becomes it.
//!
//! Nobody must be able to tell the difference. So whatever is no program's name with plain arguments is left to
//! bash (see [`plain`]), and so is every command whose program cannot be executed: bash has the words for that.
//! What a program inherits from this guest's bash is not guessed but looked at, once: bash runs the agent's own
//! program, which tells its environment, its signals, its limits, and whether it has bash's process
//! (see [`look`]). Then the agent runs that in its own way. Only if both tell the same, commands are run so.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agent_protocol::ToHost;
use agent_protocol::message::{Command, End, Stream};

use crate::bash::{Bash, Running};
use crate::look;
use crate::plain;

/// Variables by which somebody has changed bash, or whose values are new in each one. Of others it shows that the
/// value is not the one that bash was given.
const WAYWARD: [&str; 5] = ["BASHOPTS", "EXECIGNORE", "POSIXLY_CORRECT", "SECONDS", "SHELLOPTS"];

/// What a variable's name begins with that holds a function.
const FUNCTION: &str = "BASH_FUNC_";

/// How long one of the two programs has to look, in milliseconds.
const LIMIT: u64 = 10_000;

/// Whether commands are run directly.
#[derive(Debug)]
pub(crate) enum Direct {
    /// Bash is to be asked.
    Due,
    /// Bash's child looks.
    AskingBash(Told),
    /// Ours is to look, and to tell this.
    Found(Surroundings, Vec<u8>),
    /// Ours looks.
    AskingUs(Told, Surroundings, Vec<u8>),
    /// They are.
    Ready(Surroundings),
    /// They are not.
    Off,
}

/// What a program tells that looks around.
#[derive(Debug)]
pub(crate) struct Told {
    /// The first line that is right.
    process: String,
    stdout: Vec<u8>,
    /// Bash has something to say when it starts, or the program failed.
    is_wrong: bool,
}

/// What a program finds that bash has become.
#[derive(Debug)]
pub(crate) struct Surroundings {
    environment: Vec<CString>,
    /// Which of those is `_`, the program's path.
    underscore: usize,
    /// Where programs are looked for.
    path: Vec<PathBuf>,
    /// The names of bash's functions.
    functions: Vec<String>,
    /// `PWD`.
    folder: PathBuf,
    /// `OLDPWD`, which bash takes over only if it is a folder.
    old_folder: Option<PathBuf>,
}

impl Direct {
    pub(crate) fn new() -> Self {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let is_off = |name: String| {
            WAYWARD.contains(&&*name) || (name.starts_with("BASH_") && !name.starts_with(FUNCTION))
        };
        if names.into_iter().any(is_off) { Self::Off } else { Self::Due }
    }

    /// Goes on with what is to be found out first. Returns a program whose answers are to be taken.
    pub(crate) fn go_on(&mut self, bash: &Bash) -> Option<Running> {
        if !matches!(self, Self::Due | Self::Found(..)) {
            return None;
        }
        let program = format!("/proc/{}/exe", rustix::process::getpid());
        match std::mem::replace(self, Self::Off) {
            Self::Due => {
                let running = bash.run(format!("{program} {}", look::ARGUMENT).as_bytes(), false).ok()?;
                *self = Self::AskingBash(Told::by(&running));
                Some(running)
            }
            Self::Found(mut surroundings, expected) => {
                let words =
                    [program, look::ARGUMENT.to_owned()].map(|word| CString::new(word).unwrap_or_default());
                let running = surroundings.start(&words, false, bash)?;
                *self = Self::AskingUs(Told::by(&running), surroundings, expected);
                Some(running)
            }
            _ => None,
        }
    }

    /// The command that such a program counts as.
    pub(crate) fn command() -> Command {
        Command { script: Vec::new(), timeout_ms: Some(LIMIT), stdin: false, grace_ms: Some(0) }
    }

    /// Takes an answer.
    pub(crate) fn take(&mut self, message: &ToHost) {
        let (Self::AskingBash(told) | Self::AskingUs(told, ..)) = self else { return };
        match message {
            ToHost::Output { stream: Stream::Stdout, bytes, .. } => told.stdout.extend_from_slice(bytes),
            ToHost::Ended { end, .. } => {
                told.is_wrong |= !matches!(end, End::Exited { status: 0, .. });
                *self = match std::mem::replace(self, Self::Off) {
                    Self::AskingBash(told) => told
                        .surroundings()
                        .map_or(Self::Off, |(surroundings, seen)| Self::Found(surroundings, seen)),
                    Self::AskingUs(told, surroundings, expected) if told.seen() == Some(&expected) => {
                        Self::Ready(surroundings)
                    }
                    _ => Self::Off,
                };
            }
            _ => told.is_wrong = true,
        }
    }

    /// The program that looks was ended.
    pub(crate) fn interrupt(&mut self) {
        if !matches!(self, Self::Ready(_) | Self::Off) {
            *self = Self::Due;
        }
    }

    /// Starts a command's program, if the command may be run so. What is bash's own as well is left to a bash that
    /// waits: it is done with it before a program has started.
    pub(crate) fn start(&mut self, command: &Command, a_bash_waits: bool, bash: &Bash) -> Option<Running> {
        let Self::Ready(surroundings) = self else { return None };
        let words = plain::words(&command.script)?;
        if a_bash_waits && plain::BOTH.iter().any(|name| words[0].to_bytes() == name.as_bytes()) {
            return None;
        }
        surroundings.start(&words, command.stdin, bash)
    }
}

impl Told {
    fn by(running: &Running) -> Self {
        let (pid, session) = (running.process.pid(), running.process.session());
        let process = look::process_line(pid, rustix::process::getpid(), session, session);
        Self { process, stdout: Vec::new(), is_wrong: false }
    }

    /// All but the numbers of the process, if it was ours and nothing was wrong.
    fn seen(&self) -> Option<&[u8]> {
        self.stdout.strip_prefix(self.process.as_bytes()).filter(|_| !self.is_wrong)
    }

    /// What a program has to be given, so that it tells the same.
    fn surroundings(&self) -> Option<(Surroundings, Vec<u8>)> {
        let seen = self.seen()?;
        let end = seen.iter().position(|byte| *byte == 0)?;
        let environment = seen[end + 1..].strip_suffix(&[0])?;
        let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        let value = |name: &str| {
            let mut values =
                variables.iter().map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            values.find_map(|value| value.map(OsStr::from_bytes))
        };
        // A value that bash makes anew may be another one each time.
        let is_made = |name: &OsStr| {
            ["SHLVL", "_"].iter().any(|made| name == *made)
                || name.as_bytes().starts_with(FUNCTION.as_bytes())
        };
        if std::env::vars_os()
            .any(|(name, given)| !is_made(&name) && name.to_str().and_then(value) != Some(&given))
        {
            return None;
        }
        let path: Vec<_> = std::env::split_paths(value("PATH")?).collect();
        let is_plain =
            |folder: &PathBuf| folder.is_absolute() && !folder.as_os_str().as_bytes().ends_with(b"/");
        if !path.iter().all(is_plain) {
            return None;
        }
        let name = |line: &&[u8]| {
            let name = line.strip_prefix(FUNCTION.as_bytes())?.split(|byte| b"%(".contains(byte)).next()?;
            Some(String::from_utf8_lossy(name).into_owned())
        };
        let functions = variables.iter().filter_map(name).collect();
        let surroundings = Surroundings {
            environment: variables.iter().map(|line| CString::new(*line).unwrap_or_default()).collect(),
            underscore: variables.iter().position(|line| line.starts_with(b"_="))?,
            path,
            functions,
            folder: value("PWD")?.into(),
            old_folder: value("OLDPWD").map(PathBuf::from),
        };
        Some((surroundings, seen.to_vec()))
    }
}

impl Surroundings {
    fn start(&mut self, words: &[CString], stdin: bool, bash: &Bash) -> Option<Running> {
        let first = words.first()?;
        let is_as_it_was = std::env::current_dir().is_ok_and(|folder| folder == self.folder)
            && self.old_folder.as_ref().is_none_or(|folder| folder.is_dir());
        if !is_as_it_was || self.functions.iter().any(|name| name.as_bytes() == first.to_bytes()) {
            return None;
        }
        let file =
            if first.to_bytes().contains(&b'/') { first.clone() } else { self.find(first.to_bytes())? };
        self.environment[self.underscore] = CString::new([b"_=", file.to_bytes()].concat()).ok()?;
        let arguments: Vec<_> = words.iter().map(CString::as_c_str).collect();
        bash.execute(&file, &arguments, &self.environment, stdin).ok()
    }

    /// The program that bash would find. None that is certain: then bash looks for itself.
    fn find(&self, name: &[u8]) -> Option<CString> {
        for folder in &self.path {
            let file = folder.join(OsStr::from_bytes(name));
            match file.metadata() {
                Ok(found) if found.is_dir() => {}
                Ok(found) => {
                    let is_program = found.is_file() && found.permissions().mode() & 0o111 != 0;
                    return CString::new(file.as_os_str().as_bytes()).ok().filter(|_| is_program);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => return None,
            }
        }
        None
    }
}
