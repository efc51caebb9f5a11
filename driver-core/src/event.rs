//! What happens in a run, as typed records: the product that every report is made from.
//!
//! The grammar is that of start, line and end: a scope starts, lines fall into it, it ends with an
//! outcome. Records are written in order to `events.jsonl`, one JSON object a line. A field is added with
//! a default and never changes its meaning; [`FORMAT`] counts changes that old readers cannot skip.

use serde::{Deserialize, Serialize};

use crate::machine::Exit;
use crate::vlan::{Fault, FaultId};

/// The version of the record format.
pub const FORMAT: u32 = 1;

/// Identifies a scope within a run. Zero is the run itself.
pub type ScopeId = u64;

/// One event with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Counts from zero without gaps.
    pub seq: u64,
    /// Microseconds since the run began, on the monotonic clock.
    pub t_us: u64,
    /// The scope that the event happened in.
    #[serde(default)]
    pub scope: ScopeId,
    /// The machine that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first record of every run.
    RunStarted(RunStarted),
    /// A scope opens; its records and inner scopes follow.
    ScopeStarted {
        /// The scope's own number.
        id: ScopeId,
        /// What kind of scope it is.
        kind: ScopeKind,
        /// Its heading.
        text: String,
        /// A file in the result directory that the heading is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A scope closes.
    ScopeEnded {
        /// The scope's number.
        id: ScopeId,
        /// How long it was open, in microseconds.
        duration_us: u64,
        /// What went wrong in it, if anything did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The step that it belongs to is a wait, and may take so long.
    WaitLimit {
        /// From the step's start, in microseconds.
        limit_us: u64,
    },
    /// A line of the log.
    Log {
        /// How important it is.
        level: Level,
        /// The text; may have several lines.
        text: String,
    },
    /// A line that the guest printed on its serial console, decoded as UTF-8 with replacement, without
    /// its end. Anything a guest cares to print: escape before showing.
    Console {
        /// The line.
        line: String,
    },
    /// A line that a command in the guest printed, as far as that is kept apart from the console: its standard
    /// error as it comes, its standard output if it takes long. It belongs to the step of the command. As wild
    /// as a console line.
    CommandOutput {
        /// Which of the two.
        stream: OutputStream,
        /// The line, without its end.
        line: String,
    },
    /// What the test script printed on its standard output or error, a line at a time.
    ScriptOutput {
        /// Which of the two.
        stream: OutputStream,
        /// The line, without its end.
        line: String,
    },
    /// The script wants the lines of the consoles that come from now on to be shown in the log, or not to be: each view
    /// decides. They are recorded all the same.
    ConsolesShown {
        /// Whether they are to be shown.
        shown: bool,
    },
    /// A machine changed its state.
    MachineState {
        /// The state that it is in now.
        state: MachineState,
    },
    /// The boot came one phase further.
    BootPhase {
        /// The phase that has been reached.
        phase: BootPhase,
    },
    /// A machine ended.
    MachineExited {
        /// How.
        exit: Exit,
        /// Whether anybody had asked for it.
        expected: bool,
    },
    /// A fault was put on a VLAN.
    FaultImposed {
        /// The VLAN's number.
        vlan: u32,
        /// Which of the VLAN's faults it is.
        id: FaultId,
        /// What it is, with the seed that it uses.
        fault: Fault,
    },
    /// A fault of a VLAN is over.
    FaultLifted {
        /// The VLAN's number.
        vlan: u32,
        /// Which of the VLAN's faults it was.
        id: FaultId,
        /// What it was.
        fault: Fault,
    },
    /// A file was written into the result directory.
    FileSaved {
        /// What it is.
        kind: FileKind,
        /// Its path in the result directory.
        path: String,
    },
    /// The machine's screen shows something else from now on; kept for the run's video.
    Frame {
        /// The picture's path in the result directory. One that was shown before has its old path.
        path: String,
    },
    /// The last record of a run that came to its end.
    RunEnded(RunEnded),
}

/// The first record's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunStarted {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of innkeeper.
    pub version: String,
    /// The test's name.
    pub test: String,
    /// The names of the machines.
    pub machines: Vec<String>,
    /// The test script's path, as it was given.
    pub script: String,
    /// The time that the run may take, in seconds.
    pub timeout_s: f64,
    /// The wall clock at the start, in milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// What the consoles may show.
    #[serde(default, skip_serializing_if = "ConsoleRules::is_empty")]
    pub console: ConsoleRules,
}

/// What a test says about findings of the console linter, by the names of its rules. They are warnings unless
/// it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsoleRules {
    /// Rules whose findings fail the test; `all` is every rule.
    #[serde(default)]
    pub fail: Vec<String>,
    /// Rules whose findings are expected.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Lines with one of these texts in them are expected, too.
    #[serde(default)]
    pub allow_lines: Vec<String>,
}

impl ConsoleRules {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The last record's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunEnded {
    /// What came out.
    pub outcome: Outcome,
    /// The kind of failure, by its name in docs/failures.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// One sentence on why, unless it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the run took, in microseconds.
    pub duration_us: u64,
    /// The exit status of the program.
    pub exit_status: u8,
}

/// What came out of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All as expected.
    Passed,
    /// Nothing was tried: a machine's backend lacks what its manifest says that it needs.
    Skipped,
    /// An assertion of the script did not hold, or a condition never came true.
    Failed,
    /// The script itself broke: an exception that is no assertion, a syntax error, a crash.
    ScriptError,
    /// A machine died, never booted, or the host could not run it.
    MachineFailed,
    /// The run took longer than it may.
    TimedOut,
    /// Somebody stopped it.
    Interrupted,
    /// A bug of ours.
    Bug,
}

/// What kind of scope it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// A step of a verb or of the driver; NixOS's "nest".
    Step,
    /// A named part of the test, with an outcome of its own in JUnit.
    Subtest,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For those who look closely.
    Debug,
    /// The plain log.
    Info,
    /// Odd, but going on.
    Warning,
    /// What made the test fail: message and traceback.
    Error,
}

/// Which output of the script or of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The states of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// Being launched.
    Starting,
    /// The hypervisor runs.
    Running,
    /// The guest's shell answers.
    Connected,
    /// Gone; may be started again.
    Off,
}

/// How far a boot has come, told from the serial console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BootPhase {
    /// Nothing was printed yet.
    Silent,
    /// Firmware or boot loader.
    Firmware,
    /// The kernel.
    Kernel,
    /// The initial RAM disk's programs.
    Initrd,
    /// The init system of the real root.
    Init,
    /// A shell or a login prompt.
    Shell,
}

/// What a file in the result directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A picture of a display.
    Screenshot,
    /// A file that was copied from a guest.
    Copied,
    /// What passed on a VLAN, as pcapng.
    Capture,
    /// Something that was gathered after a failure.
    Evidence,
}
