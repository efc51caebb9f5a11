//! The kinds of failure, each with its name, its title, and whose failure it is.

use std::fmt;

/// A kind of failure. Its name is written to `events.jsonl` and `junit.xml`, and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// An assertion of the script.
    Assertion,
    /// `succeed` or `fail`.
    CommandFailed,
    /// A wait that took longer than it may.
    ConditionNeverTrue,
    /// A unit that is waited for and cannot become active.
    UnitFailed,
    /// A finding on a console that the manifest says is a failure.
    Console,
    /// An exception that is no assertion.
    ScriptError,
    /// A script that no interpreter understands.
    ScriptSyntax,
    /// A script, or its interpreter, that ended early.
    ScriptEnded,
    /// The time limit of the run.
    TimedOut,
    /// The guest's kernel panicked.
    GuestPanic,
    /// The guest powered off or rebooted while somebody needed it.
    GuestGone,
    /// The hypervisor ended by itself.
    HypervisorDied,
    /// No shell appeared.
    NeverBooted,
    /// A machine that could not be started.
    NotLaunched,
    /// The guest's shell went away, and the guest did not.
    ShellLost,
    /// The hypervisor runs and does not do what it is told.
    HypervisorError,
    /// The backend has no such feature.
    Unsupported,
    /// A machine failed in a way that no rule knows.
    MachineFailed,
    /// The host lacks what the test needs.
    HostUnfit,
    /// The host's memory or disk is full.
    HostExhausted,
    /// A signal stopped the run.
    Interrupted,
    /// The events end before the run did.
    CutOff,
    /// A bug of innkeeper's.
    Bug,
}

/// Whose failure it is: decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// What is tested, or its test.
    Test,
    /// A machine, before the test could say anything.
    Machine,
    /// The host; the test says nothing about the product.
    Host,
    /// Whoever stopped the run.
    Somebody,
    /// Innkeeper.
    Innkeeper,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 23] = [
        Self::Assertion,
        Self::CommandFailed,
        Self::ConditionNeverTrue,
        Self::UnitFailed,
        Self::Console,
        Self::ScriptError,
        Self::ScriptSyntax,
        Self::ScriptEnded,
        Self::TimedOut,
        Self::GuestPanic,
        Self::GuestGone,
        Self::HypervisorDied,
        Self::NeverBooted,
        Self::NotLaunched,
        Self::ShellLost,
        Self::HypervisorError,
        Self::Unsupported,
        Self::MachineFailed,
        Self::HostUnfit,
        Self::HostExhausted,
        Self::Interrupted,
        Self::CutOff,
        Self::Bug,
    ];

    /// The name: a word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The title: a sentence for people, without its stop.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.words().1
    }

    /// Whose failure it is.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::Assertion
            | Self::CommandFailed
            | Self::ConditionNeverTrue
            | Self::UnitFailed
            | Self::Console
            | Self::ScriptError
            | Self::ScriptSyntax
            | Self::ScriptEnded
            | Self::TimedOut => Blame::Test,
            Self::GuestPanic
            | Self::GuestGone
            | Self::HypervisorDied
            | Self::NeverBooted
            | Self::NotLaunched
            | Self::ShellLost
            | Self::HypervisorError
            | Self::Unsupported
            | Self::MachineFailed => Blame::Machine,
            Self::HostUnfit | Self::HostExhausted => Blame::Host,
            Self::Interrupted | Self::CutOff => Blame::Somebody,
            Self::Bug => Blame::Innkeeper,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Assertion => ("assertion", "an assertion of the test did not hold"),
            Self::CommandFailed => ("command_failed", "a command in a guest did not end as it should"),
            Self::ConditionNeverTrue => ("condition_never_true", "a condition never came true"),
            Self::UnitFailed => ("unit_failed", "a unit that was waited for cannot become active"),
            Self::Console => ("console", "a console shows what the test does not allow"),
            Self::ScriptError => ("script_error", "the script broke"),
            Self::ScriptSyntax => ("script_syntax", "the script cannot be read by its interpreter"),
            Self::ScriptEnded => ("script_ended", "the script ended before it was over"),
            Self::TimedOut => ("timed_out", "the run took longer than it may"),
            Self::GuestPanic => ("guest_panic", "a guest's kernel panicked"),
            Self::GuestGone => ("guest_gone", "a guest powered off or rebooted while it was needed"),
            Self::HypervisorDied => ("hypervisor_died", "a hypervisor ended by itself"),
            Self::NeverBooted => ("never_booted", "a machine never booted"),
            Self::NotLaunched => ("not_launched", "a machine could not be started"),
            Self::ShellLost => ("shell_lost", "a guest's shell went away while the guest went on"),
            Self::HypervisorError => ("hypervisor_error", "a hypervisor did not do what it was told"),
            Self::Unsupported => ("unsupported", "the backend cannot do what the test asks for"),
            Self::MachineFailed => ("machine_failed", "a machine failed"),
            Self::HostUnfit => ("host_unfit", "this host cannot run the test"),
            Self::HostExhausted => ("host_exhausted", "this host has run out of memory or disk"),
            Self::Interrupted => ("interrupted", "somebody stopped the run"),
            Self::CutOff => ("cut_off", "the driver was killed before the run was over"),
            Self::Bug => ("bug", "innkeeper has a bug"),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
