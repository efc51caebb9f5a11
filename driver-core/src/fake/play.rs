//! The script of a machine: what it does by itself, and what it answers.

use std::path::PathBuf;

use crate::machine::{Exit, ExitReason};

/// A picture of one black pixel: what screens show that were given none.
const BLACK: &[u8] =
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\
    \x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82";

/// What a machine does, written down before it is launched. [`Play::default`] boots to a shell that knows
/// no command.
#[derive(Debug, Clone)]
pub struct Play {
    pub(super) steps: Vec<Step>,
    pub(super) replies: Vec<(String, Reply)>,
    pub(super) monitor: Vec<(String, String)>,
    pub(super) screen: Vec<u8>,
    pub(super) bash: Option<Bash>,
    pub(super) refusal: Option<Exit>,
    pub(super) heeds_power_button: bool,
    pub(super) has_process: bool,
}

/// How the shell runs what has no canned reply.
#[derive(Debug, Clone)]
pub(super) struct Bash {
    pub(super) programs: Option<PathBuf>,
}

/// One thing that a machine does.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Print(Vec<u8>),
    Greet,
    AwaitTrigger(String),
    AwaitCommands(usize),
    Show(Vec<u8>),
    Exit(Exit),
    Reboot,
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It ends.
    Says {
        /// The exit status.
        status: i32,
        /// What it prints.
        stdout: Vec<u8>,
    },
    /// It goes on for ever, and holds the shell.
    Never,
    /// The kernel panics.
    Panics,
    /// The guest reboots.
    Reboots,
    /// The guest powers off.
    PowersOff,
    /// The machine ends in another way.
    Exits(Exit),
}

impl Reply {
    /// Success, with output.
    #[must_use]
    pub fn says(stdout: impl Into<Vec<u8>>) -> Self {
        Self::Says { status: 0, stdout: stdout.into() }
    }

    /// Failure, without output.
    #[must_use]
    pub fn fails(status: i32) -> Self {
        Self::Says { status, stdout: Vec::new() }
    }
}

impl Default for Play {
    fn default() -> Self {
        Self::new()
            .print("Linux version 6.12 (fake)")
            .print("systemd[1]: Reached target multi-user.target")
            .greet()
    }
}

impl Play {
    /// A machine that does nothing: no console, no shell, no end.
    #[must_use]
    pub fn new() -> Self {
        Self {
            steps: Vec::new(),
            replies: Vec::new(),
            monitor: vec![("info status".to_owned(), "VM status: running\r\n".to_owned())],
            screen: BLACK.to_vec(),
            bash: None,
            refusal: None,
            heeds_power_button: true,
            has_process: false,
        }
    }

    /// Then prints a line on the console.
    #[must_use]
    pub fn print(self, line: &str) -> Self {
        self.print_bytes(format!("{line}\r\n"))
    }

    /// Then prints bytes on the console.
    #[must_use]
    pub fn print_bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Print(bytes.into()))
    }

    /// Then the shell comes up. A reboot plays all steps up to the first of this kind again.
    #[must_use]
    pub fn greet(self) -> Self {
        self.then(Step::Greet)
    }

    /// Then waits until the test calls [`super::FakeHandle::trigger`] with this name.
    #[must_use]
    pub fn await_trigger(self, name: &str) -> Self {
        self.then(Step::AwaitTrigger(name.to_owned()))
    }

    /// Then waits until the shell has been given this many commands, counted over all launches.
    #[must_use]
    pub fn await_commands(self, count: usize) -> Self {
        self.then(Step::AwaitCommands(count))
    }

    /// Then shows another picture, the bytes of a PNG.
    #[must_use]
    pub fn show(self, png: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Show(png.into()))
    }

    /// Then ends.
    #[must_use]
    pub fn exit(self, reason: ExitReason, last_words: &[&str]) -> Self {
        self.then(Step::Exit(exit(reason, last_words)))
    }

    /// Then reboots.
    #[must_use]
    pub fn reboot(self) -> Self {
        self.then(Step::Reboot)
    }

    /// Shows a picture from the start, the bytes of a PNG.
    #[must_use]
    pub fn screen(mut self, png: impl Into<Vec<u8>>) -> Self {
        self.screen = png.into();
        self
    }

    /// Ends before the launch has succeeded.
    #[must_use]
    pub fn refuse_launch(mut self, reason: ExitReason, last_words: &[&str]) -> Self {
        self.refusal = Some(exit(reason, last_words));
        self
    }

    /// The shell's reply to exactly this command. The last one that was given counts.
    #[must_use]
    pub fn answer(mut self, command: &str, reply: Reply) -> Self {
        self.replies.insert(0, (command.to_owned(), reply));
        self
    }

    /// Runs all commands without a reply of their own by a real bash of this host, in a directory of the
    /// machine's own, with the programs of the directory `programs` before the host's. They run as whoever
    /// runs the test: only `poweroff`, `reboot`, `halt`, `shutdown` and `systemctl` are kept from the host.
    #[must_use]
    pub fn bash(mut self, programs: Option<PathBuf>) -> Self {
        self.bash = Some(Bash { programs });
        self
    }

    /// What the monitor prints after exactly this line.
    #[must_use]
    pub fn monitor(mut self, line: &str, answer: &str) -> Self {
        self.monitor.insert(0, (line.to_owned(), answer.to_owned()));
        self
    }

    /// The guest does nothing when its power button is pressed.
    #[must_use]
    pub fn ignore_power_button(mut self) -> Self {
        self.heeds_power_button = false;
        self
    }

    /// A process (`sleep`) stands for the hypervisor's: it can be killed, which ends the machine.
    #[must_use]
    pub fn process(mut self) -> Self {
        self.has_process = true;
        self
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The steps that a reboot plays again.
    pub(super) fn boot(&self) -> Vec<Step> {
        let end = self.steps.iter().position(|step| matches!(step, Step::Greet)).map_or(0, |at| at + 1);
        self.steps[..end].to_vec()
    }

    pub(super) fn reply(&self, command: &str) -> Option<Reply> {
        if let Some((_, reply)) = self.replies.iter().find(|(known, _)| known == command) {
            return Some(reply.clone());
        }
        // Whatever runs the other commands, this one must never reach a host.
        command.contains("/proc/sysrq-trigger").then_some(Reply::Panics)
    }
}

fn exit(reason: ExitReason, last_words: &[&str]) -> Exit {
    Exit { reason, last_words: last_words.iter().map(ToString::to_string).collect() }
}
