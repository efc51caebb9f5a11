//! The rules, most telling first: the first that holds names the failure. They look at the typed events
//! where those decide, and otherwise at the words of our own errors, to which the tests hold them.

use driver_core::ExitReason;
use driver_core::event::Outcome;

use crate::diagnosis::FailureKind;
use crate::diagnosis::evidence::Case;

/// A rule.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) kind: FailureKind,
    pub(super) holds: fn(&Case<'_>) -> bool,
    /// What the events add to the kind's title.
    pub(super) detail: fn(&Case<'_>) -> Option<String>,
}

const fn rule(name: &'static str, kind: FailureKind, holds: fn(&Case<'_>) -> bool) -> Rule {
    Rule { name, kind, holds, detail: |_| None }
}

impl Rule {
    const fn with(self, detail: fn(&Case<'_>) -> Option<String>) -> Self {
        Self { detail, ..self }
    }
}

pub(super) const RULES: &[Rule] = &[
    rule("no-end", FailureKind::CutOff, |case| case.outcome.is_none()).with(|case| case.going_on()),
    rule("our-panic", FailureKind::Bug, |case| case.outcome == Some(Outcome::Bug)),
    rule("signal", FailureKind::Interrupted, |case| case.outcome == Some(Outcome::Interrupted)),
    rule("run-limit", FailureKind::TimedOut, |case| case.outcome == Some(Outcome::TimedOut))
        .with(|case| step_of(case).or_else(|| case.going_on())),
    rule("disk-full", FailureKind::HostExhausted, |case| {
        case.is_machines() && says_of_host(case, &["No space left on device", "Disk quota exceeded"])
    }),
    rule("memory-full", FailureKind::HostExhausted, |case| {
        case.is_machines() && says_of_host(case, &["Cannot allocate memory", "cannot set up guest memory"])
    }),
    rule("kvm-refused", FailureKind::HostUnfit, |case| {
        case.is_machines()
            && says_of_host(case, &["Could not access KVM kernel module", "failed to initialize kvm"])
    }),
    rule("interpreter-missing", FailureKind::HostUnfit, |case| {
        case.is_machines() && case.message.starts_with('`') && case.message.contains("`, cannot be started (")
    }),
    rule("backend-missing", FailureKind::HostUnfit, |case| {
        case.is_machines() && case.message.starts_with("backend `") && names_problem(case.message)
    }),
    rule("backend-cannot", FailureKind::Unsupported, |case| {
        case.is_machines() && case.message.starts_with("backend `")
    }),
    rule("panic", FailureKind::GuestPanic, |case| {
        // A hypervisor may go on after the panic, until the driver ends it.
        let says_so = case.machines_own().is_some_and(|text| text.starts_with("the guest's kernel panicked"));
        ended(case, |reason| *reason == ExitReason::GuestPanic) || (case.is_machines() && says_so)
    })
    .with(|case| case.boot_of_the_ended()),
    rule("power-off", FailureKind::GuestGone, |case| {
        ended(case, |reason| *reason == ExitReason::GuestShutdown)
    })
    .with(|case| case.boot_of_the_ended()),
    rule("reboot", FailureKind::GuestGone, |case| ended(case, |reason| *reason == ExitReason::GuestReset))
        .with(|case| case.boot_of_the_ended()),
    rule("process-ended", FailureKind::HypervisorDied, |case| ended(case, |_| true))
        .with(|case| case.boot_of_the_ended()),
    rule("no-shell", FailureKind::NeverBooted, |case| {
        case.is_machines() && case.message.contains(": no root shell appeared within ")
    })
    .with(|case| case.boot_of_the_named()),
    rule("shell-closed", FailureKind::ShellLost, |case| {
        case.is_machines() && case.message.contains(": the guest shell ")
    }),
    rule("no-launch", FailureKind::NotLaunched, |case| case.is_machines() && case.never_ran()),
    rule("control-failed", FailureKind::HypervisorError, |case| {
        case.is_machines() && case.message.starts_with("machine `") && case.message.contains("`: failed to ")
    }),
    rule("control-silent", FailureKind::HypervisorError, |case| {
        case.is_machines() && case.message.contains(" did not happen within ")
    }),
    rule("other-machine", FailureKind::MachineFailed, |case| case.outcome == Some(Outcome::MachineFailed)),
    rule("syntax", FailureKind::ScriptSyntax, |case| {
        let errors = ["SyntaxError:", "IndentationError:", "TabError:", "syntax error at "];
        let is_one = |line: &str| errors.iter().any(|error| line.starts_with(error));
        case.script_broke() && case.traceback.lines().any(is_one)
    }),
    rule("script-exit", FailureKind::ScriptEnded, |case| {
        let words = ["the script exited with status", "the script's interpreter ended"];
        case.script_broke() && words.iter().any(|words| case.message.contains(words))
    }),
    rule("exception", FailureKind::ScriptError, |case| case.script_broke()),
    rule("console-finding", FailureKind::Console, |case| {
        case.failed() && case.message.starts_with(crate::lint::OBJECTION)
    }),
    rule("unit-failed", FailureKind::UnitFailed, |case| {
        step_says(case, "waiting for unit", &["reached state \"failed\"", "there are no pending jobs"])
    })
    .with(step_of),
    rule("wait-in-vain", FailureKind::ConditionNeverTrue, |case| {
        let words = ["action timed out after ", "did not power off within "];
        let waited = words.iter().any(|words| case.message.contains(words));
        case.failed() && (waited || case.message.starts_with("no packet on vlan "))
    })
    .with(step_of),
    rule("command-status", FailureKind::CommandFailed, |case| {
        step_says(case, "must ", &["failed (exit code ", "unexpectedly succeeded"])
    })
    .with(|case| case.step.map(|step| format!("on {}", step.machine))),
    rule("assertion", FailureKind::Assertion, |_| true),
];

/// Whether the run's error is that a machine ended, for such a reason.
fn ended(case: &Case<'_>, of: fn(&ExitReason) -> bool) -> bool {
    case.is_machines() && case.ended.is_some_and(|ended| of(&ended.exit.reason))
}

/// Whether host or hypervisor say one of these words: not a guest, which could say anything, and whose words
/// messages quote.
fn says_of_host(case: &Case<'_>, words: &[&str]) -> bool {
    let said = |text: &str| words.iter().any(|words| text.contains(words));
    let begins = |text: &str, starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    let is_of_host = case.never_ran()
        || begins(case.message, &["failed to ", "backend `"])
        || case.machines_own().is_some_and(|text| begins(text, &["failed to ", "the hypervisor "]));
    let process = case.ended.filter(|ended| ended.exit.reason != ExitReason::GuestPanic);
    let last_words = process.map(|ended| ended.exit.last_words.as_slice()).unwrap_or_default();
    (is_of_host && said(case.message)) || last_words.iter().any(|line| said(line))
}

/// Whether a message that begins with a backend's name says what is missing, not what the backend lacks.
fn names_problem(message: &str) -> bool {
    message.split('`').nth(2).is_some_and(|rest| rest.starts_with(": "))
}

/// Whether the run's error is that of a step with such a heading, in such words.
fn step_says(case: &Case<'_>, heading: &str, words: &[&str]) -> bool {
    let is_step = case.step.is_some_and(|step| step.heading.starts_with(heading));
    case.failed() && is_step && words.iter().any(|words| case.message.contains(words))
}

fn step_of(case: &Case<'_>) -> Option<String> {
    case.step.map(|step| format!("{}: {}", step.machine, step.heading))
}
