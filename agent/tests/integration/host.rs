//! The driver's side, as simple as can be: it grants what it is sent and keeps everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use agent_protocol::message::{Card, Command, End, Notice, RequestId, Stream, Watch};
use agent_protocol::{Link, Role, ToGuest, ToHost, VERSION, from_bytes, to_bytes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What starts the agent in the shell's place. Copied first, for it removes itself.
pub(crate) const AGENT: &str = concat!("cp '", env!("CARGO_BIN_EXE_agent"), "' .agent; exec ./.agent\n");

/// What became of a request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) taken: u64,
    pub(crate) notices: Vec<Notice>,
    pub(crate) end: Option<End>,
}

impl Outcome {
    pub(crate) fn status(&self) -> i32 {
        match self.end {
            Some(End::Exited { status, .. }) => status,
            _ => panic!("no status: {self:?}"),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// An agent, and the driver's side of it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    agent: Child,
    pub(crate) line: File,
    pub(crate) link: Link,
    began: Instant,
    unsent: Vec<u8>,
    next: RequestId,
    outcomes: HashMap<RequestId, Outcome>,
    hellos: usize,
    /// Requests whose output is not granted.
    pub(crate) slow: Vec<RequestId>,
    /// What came that was no message.
    pub(crate) stray: Vec<u8>,
    /// Why there is no lane, if the agent has said so.
    pub(crate) no_lane: Option<String>,
}

impl Host {
    /// Over a pair of sockets.
    pub(crate) fn new() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        Self::over(OwnedFd::from(ours), OwnedFd::from(theirs), &[], AGENT)
    }

    /// With a shell's script of its own that ends in the agent.
    pub(crate) fn starting(script: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        Self::over(OwnedFd::from(ours), OwnedFd::from(theirs), &[], script)
    }

    /// Over a terminal, whose name is returned, too.
    pub(crate) fn on_terminal() -> (Self, String) {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        let mut settings = tcgetattr(&theirs).unwrap();
        settings.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &settings).unwrap();
        (Self::over(ours, theirs, &[], AGENT), name)
    }

    /// With variables in the agent's environment.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        Self::over(OwnedFd::from(ours), OwnedFd::from(theirs), variables, AGENT)
    }

    fn over(ours: OwnedFd, theirs: OwnedFd, variables: &[(&str, &str)], script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = shell(folder.path(), script)
            .envs(variables.iter().copied())
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs)
            .stderr(File::create(folder.path().join("console")).unwrap())
            .spawn()
            .unwrap();
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        let (line, link) = (File::from(ours), Link::new(Role::Host, 0));
        let mut host = Self {
            folder,
            agent,
            line,
            link,
            began: Instant::now(),
            unsent: Vec::new(),
            next: 0,
            outcomes: HashMap::new(),
            hellos: 0,
            slow: Vec::new(),
            stray: Vec::new(),
            no_lane: None,
        };
        host.open(1);
        host
    }

    /// Opens a session.
    pub(crate) fn open(&mut self, session: u32) {
        self.link = Link::new(Role::Host, session);
        self.outcomes.clear();
        self.hellos = 0;
        self.send(&ToGuest::Hello { version: VERSION });
        self.until("the agent says hello", |host| host.hellos == 1);
    }

    /// The agent's process.
    pub(crate) fn pid(&self) -> u32 {
        self.agent.id()
    }

    /// How often the agent has waited for something.
    pub(crate) fn agent_wakes(&self) -> u128 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    /// How the kernel schedules the agent, as proc(5) numbers it.
    pub(crate) fn agent_policy(&self) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().to_owned()
    }

    /// What commands printed on standard error when nobody waited for it any more.
    pub(crate) fn console(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("console")).unwrap()
    }

    pub(crate) fn send(&mut self, message: &ToGuest) {
        self.link.send(&to_bytes(message).unwrap());
    }

    /// Starts a command and returns its number.
    pub(crate) fn start(&mut self, command: Command) -> RequestId {
        self.next += 1;
        self.outcomes.insert(self.next, Outcome::default());
        self.send(&ToGuest::Run { id: self.next, command });
        self.next
    }

    /// Starts a watch and returns its number.
    pub(crate) fn watch(&mut self, watch: Watch) -> RequestId {
        self.next += 1;
        self.outcomes.insert(self.next, Outcome::default());
        self.send(&ToGuest::Watch { id: self.next, watch });
        self.next
    }

    /// Asks for a network card to be set up, and returns the request's number.
    pub(crate) fn card(&mut self, card: Card) -> RequestId {
        self.next += 1;
        self.outcomes.insert(self.next, Outcome::default());
        self.send(&ToGuest::Card { id: self.next, card });
        self.next
    }

    /// Waits until this is the last thing that a watch has said.
    pub(crate) fn noticed(&mut self, id: RequestId, notice: &Notice) {
        let what = format!("{notice:?} is noticed");
        self.until(&what, |host| {
            assert_eq!(host.outcomes[&id].end, None);
            host.outcomes[&id].notices.last() == Some(notice)
        });
    }

    /// Runs a command to its end.
    pub(crate) fn run(&mut self, script: impl AsRef<[u8]>) -> Outcome {
        let id = self.start(command(script));
        self.outcome(id)
    }

    /// Waits for a command's end.
    pub(crate) fn outcome(&mut self, id: RequestId) -> Outcome {
        self.until("the command ends", |host| host.outcomes[&id].end.is_some());
        self.outcomes.remove(&id).unwrap()
    }

    /// What is known of a command.
    pub(crate) fn so_far(&self, id: RequestId) -> &Outcome {
        &self.outcomes[&id]
    }

    /// Serves the line until something is so.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let limit = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < limit, "waited too long until {what}: {:?}", self.link.broken());
            self.step();
        }
    }

    pub(crate) fn step(&mut self) {
        let now = self.began.elapsed();
        if self.unsent.is_empty() {
            self.unsent = self.link.outgoing(now);
        }
        let wish = if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        // What is waited for need not come over the line: so look again after a while.
        let wake = self.link.wake_at().map_or(Duration::MAX, |at| at.saturating_sub(now));
        let wake =
            Timespec::try_from(wake.clamp(Duration::from_micros(50), Duration::from_millis(5))).unwrap();
        let mut files = [PollFd::from_borrowed_fd(self.line.as_fd(), wish)];
        poll(&mut files, Some(&wake)).unwrap();
        let happened = files[0].revents();
        if happened.contains(PollFlags::OUT) {
            match self.line.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        if happened.intersects(PollFlags::IN | PollFlags::HUP) {
            let mut bytes = vec![0; 64 << 10];
            match self.line.read(&mut bytes) {
                Ok(0) => panic!("the agent is gone: {}", self.console()),
                Ok(count) => self.link.receive(&bytes[..count], self.began.elapsed()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        self.stray.extend(self.link.stray());
        while let Some(bytes) = self.link.message() {
            self.take(from_bytes(&bytes).unwrap());
        }
    }

    fn take(&mut self, message: ToHost) {
        match message {
            ToHost::Lane { problem } => self.no_lane = problem,
            ToHost::Hello { version } => {
                assert_eq!(version, VERSION);
                self.hellos += 1;
            }
            ToHost::Output { id, stream, bytes } => {
                if !self.slow.contains(&id) {
                    self.send(&ToGuest::Grant { id, bytes: bytes.len().try_into().unwrap() });
                }
                let Some(outcome) = self.outcomes.get_mut(&id) else { return };
                assert_eq!(outcome.end, None, "output after the end");
                match stream {
                    Stream::Stdout => outcome.stdout.extend(bytes),
                    Stream::Stderr => outcome.stderr.extend(bytes),
                }
            }
            ToHost::Taken { id, bytes } => {
                if let Some(outcome) = self.outcomes.get_mut(&id) {
                    outcome.taken += u64::from(bytes);
                }
            }
            ToHost::Noticed { id, notice } => {
                if let Some(outcome) = self.outcomes.get_mut(&id) {
                    assert_eq!(outcome.end, None, "noticed after the end");
                    outcome.notices.push(notice);
                }
            }
            ToHost::Ended { id, end } => {
                if let Some(outcome) = self.outcomes.get_mut(&id) {
                    assert_eq!(outcome.end.replace(end), None, "ended twice");
                }
            }
        }
    }

    /// Waits until a bash waits for its command, and returns its number.
    pub(crate) fn warm(&mut self) -> u32 {
        let mut found = 0;
        self.until("a bash waits", |host| {
            let agent = host.pid();
            let waits = |pid: &u32| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.starts_with(b"bash\0-c\0exit 97 #")
            };
            found = children(agent).into_iter().find(waits).unwrap_or(0);
            found != 0
        });
        found
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Ends what tests have left, as a new driver would.
        if !std::thread::panicking() {
            self.open(u32::MAX);
        }
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// A shell as it is when the agent takes its place, with a script for it.
pub(crate) fn shell(folder: &Path, script: &str) -> Program {
    let mut shell = Program::new("bash");
    shell.args(["--norc", "-c", script]).current_dir(folder).stdin(Stdio::null());
    shell
}

/// A command without anything special.
pub(crate) fn command(script: impl AsRef<[u8]>) -> Command {
    Command { script: script.as_ref().to_vec(), timeout_ms: None, stdin: false, grace_ms: Some(10_000) }
}

/// The children of a process, zombies too.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_ascii_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

/// Whether there is such a process, which is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}
