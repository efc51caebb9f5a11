//! Failures of all kinds, each told from its events alone. The words are those of driver-core's own errors,
//! so that none of them can change unnoticed.

use std::collections::BTreeSet;
use std::time::Duration;

use driver_core::event::{
    BootPhase, ConsoleRules, Event, Level, MachineState, Outcome, Record, RunEnded, RunStarted, ScopeKind,
};
use driver_core::{DriverError, Exit, ExitReason};
use report::{Diagnosis, Doctor, FailureKind, LINT_RULES, Verbosity};

use crate::support::{console, run, show};

/// How a run went, and what its end was.
struct Told {
    events: Vec<(u64, Option<&'static str>, Event)>,
    outcome: Outcome,
    message: String,
}

impl Told {
    fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { events: Vec::new(), outcome, message: message.into() }
    }

    /// A run that an error of the driver ended, with the place in the script that the program adds.
    fn of(outcome: Outcome, error: &DriverError) -> Self {
        Self::new(outcome, format!("{}\ntest.py, line 3: `server.succeed(\"x\")`", error.chain()))
    }

    fn with(mut self, event: Event) -> Self {
        self.events.push((0, Some("server"), event));
        self
    }

    /// The machine runs, and has come as far as `phase`.
    fn booted_to(self, phase: BootPhase) -> Self {
        self.with(Event::MachineState { state: MachineState::Running }).with(Event::BootPhase { phase })
    }

    fn up(self) -> Self {
        self.booted_to(BootPhase::Init).with(Event::MachineState { state: MachineState::Connected })
    }

    /// A step that failed with the run's own error.
    fn step(self, heading: &str) -> Self {
        let error = self.message.lines().next().map(str::to_owned);
        let start =
            Event::ScopeStarted { id: 1, kind: ScopeKind::Step, text: heading.to_owned(), file: None };
        self.with(start).with(Event::ScopeEnded { id: 1, duration_us: 1, error })
    }

    fn traceback(mut self, text: &str) -> Self {
        self.events.push((0, None, Event::Log { level: Level::Error, text: text.to_owned() }));
        self
    }

    fn records(self) -> Vec<Record> {
        let mut records = run(self.events);
        let ended = RunEnded {
            outcome: self.outcome,
            kind: None,
            message: Some(self.message),
            duration_us: 1,
            exit_status: 1,
        };
        records.last_mut().expect("an end").event = Event::RunEnded(ended);
        records
    }
}

fn diagnosis(records: &[Record]) -> Diagnosis {
    let mut doctor = Doctor::default();
    records.iter().for_each(|record| doctor.observe(record));
    let Some(Event::RunEnded(end)) = records.last().map(|record| &record.event) else { panic!("no end") };
    let claim = report::Claim { outcome: end.outcome, message: end.message.as_deref() };
    doctor.judge(claim).expect("a failure has a kind")
}

fn server() -> String {
    "server".to_owned()
}

fn exited(reason: ExitReason, last_words: &[&str]) -> (DriverError, Event) {
    let exit = Exit { reason, last_words: last_words.iter().map(|line| (*line).to_owned()).collect() };
    let event = Event::MachineExited { exit: exit.clone(), expected: false };
    (DriverError::Exited { machine: server(), exit, during: Some("running `x`".to_owned()) }, event)
}

/// A run in which a machine that was up ended like this.
fn ended(reason: ExitReason, last_words: &[&str]) -> Told {
    let (error, event) = exited(reason, last_words);
    Told::of(Outcome::MachineFailed, &error).up().with(event)
}

fn file_error(text: &str) -> DriverError {
    let source = std::io::Error::other(text);
    DriverError::File { operation: "write", path: "/x".to_owned(), source }
}

fn control(text: &str) -> DriverError {
    DriverError::Control { machine: server(), operation: "press a key".to_owned(), source: text.into() }
}

fn assertion(message: &str) -> DriverError {
    DriverError::assertion(message)
}

const IN_VAIN: &str = "action timed out after 8.02 seconds (timeout=8.0)";

/// Thirty-odd failures: the rule that is to name each, the kind, and the run.
fn failures() -> Vec<(&'static str, FailureKind, Told)> {
    use FailureKind as Kind;
    use Outcome::{Bug, Failed, Interrupted, MachineFailed, ScriptError, TimedOut};
    let limit = Duration::from_secs(30);
    let launch = DriverError::Launch {
        machine: server(),
        problem: "there is no image `x`".to_owned(),
        way_out: String::new(),
    };
    let host = DriverError::Host {
        backend: "qemu".to_owned(),
        problem: "`qemu-system-x86_64` is not there".to_owned(),
        way_out: "install it".to_owned(),
    };
    let unsupported = DriverError::Unsupported {
        backend: "fake".to_owned(),
        operation: "capture the screen",
        instead: "use another",
    };
    let never = || DriverError::NeverBooted { machine: server(), limit, progress: "silence".to_owned() };
    let shell =
        DriverError::Shell { machine: server(), problem: "was closed by the guest".to_owned(), during: None };
    let late = DriverError::Timeout {
        machine: server(),
        awaited: "an answer to `query-status`".to_owned(),
        limit,
        seen: None,
    };
    let still_on = DriverError::StillOn { machine: server(), limit, progress: "running".to_owned() };
    let no_packet = assertion("no packet on vlan 1 fitted `tcp` within 5s (nothing passed meanwhile)");
    let exit_code = assertion("command `false` failed (exit code 1)");
    let unexpected = assertion("command `true` unexpectedly succeeded");
    let unit = assertion("unit \"web.service\" reached state \"failed\"");
    let idle = assertion("unit \"web.service\" is inactive and there are no pending jobs");
    vec![
        ("assertion", Kind::Assertion, Told::new(Failed, "expected 3, got 4").up()),
        (
            "command-status",
            Kind::CommandFailed,
            Told::of(Failed, &exit_code).up().step("must succeed: false"),
        ),
        ("command-status", Kind::CommandFailed, Told::of(Failed, &unexpected).up().step("must fail: true")),
        // The script asserts something of its own after it has caught a failed command.
        ("assertion", Kind::Assertion, {
            let told = Told::of(Failed, &exit_code).up().step("must succeed: false");
            Told { message: "no answer".to_owned(), ..told }
        }),
        ("wait-in-vain", Kind::ConditionNeverTrue, Told::of(Failed, &assertion(IN_VAIN)).up()),
        ("wait-in-vain", Kind::ConditionNeverTrue, Told::of(Failed, &still_on).up()),
        ("wait-in-vain", Kind::ConditionNeverTrue, Told::of(Failed, &no_packet).up()),
        ("unit-failed", Kind::UnitFailed, Told::of(Failed, &unit).up().step("waiting for unit web.service")),
        ("unit-failed", Kind::UnitFailed, Told::of(Failed, &idle).up().step("waiting for unit web.service")),
        ("syntax", Kind::ScriptSyntax, {
            Told::new(ScriptError, "invalid syntax").traceback("  File \"x\"\nSyntaxError: invalid syntax")
        }),
        ("syntax", Kind::ScriptSyntax, Told::new(ScriptError, "no").traceback("syntax error at x.pl line 3")),
        ("script-exit", Kind::ScriptEnded, Told::new(ScriptError, "the script exited with status 3")),
        ("script-exit", Kind::ScriptEnded, {
            Told::new(ScriptError, "the script's interpreter ended before the script was over (signal 9)")
        }),
        ("exception", Kind::ScriptError, {
            Told::new(ScriptError, "name 'x' is not defined").traceback("NameError: name 'x' is not defined")
        }),
        ("run-limit", Kind::TimedOut, Told::new(TimedOut, "the test took longer than the 10m")),
        ("panic", Kind::GuestPanic, ended(ExitReason::GuestPanic, &["Kernel panic - not syncing: sysrq"])),
        // A guest that prints the host's words fools nobody.
        (
            "panic",
            Kind::GuestPanic,
            ended(ExitReason::GuestPanic, &["Kernel panic: No space left on device"]),
        ),
        // The hypervisor goes on after the panic, and the driver ends it.
        ("panic", Kind::GuestPanic, {
            let (error, _) = exited(ExitReason::GuestPanic, &["Kernel panic - not syncing: sysrq"]);
            let (_, event) = exited(ExitReason::Destroyed, &[]);
            Told::of(MachineFailed, &error).up().with(event)
        }),
        // Of many ends the last ones count.
        ("power-off", Kind::GuestGone, {
            let (_, early) = exited(ExitReason::Destroyed, &[]);
            let (error, event) = exited(ExitReason::GuestShutdown, &[]);
            let told =
                (0..100).fold(Told::of(MachineFailed, &error).up(), |told, _| told.with(early.clone()));
            told.with(event)
        }),
        ("power-off", Kind::GuestGone, ended(ExitReason::GuestShutdown, &[])),
        ("reboot", Kind::GuestGone, ended(ExitReason::GuestReset, &[])),
        ("process-ended", Kind::HypervisorDied, ended(ExitReason::Signal { number: 9 }, &[])),
        ("process-ended", Kind::HypervisorDied, ended(ExitReason::Status { code: 1 }, &["qemu: bad option"])),
        ("kvm-refused", Kind::HostUnfit, {
            ended(ExitReason::Status { code: 1 }, &["Could not access KVM kernel module: Permission denied"])
        }),
        ("memory-full", Kind::HostExhausted, {
            ended(
                ExitReason::Status { code: 1 },
                &["cannot set up guest memory 'ram': Cannot allocate memory"],
            )
        }),
        ("disk-full", Kind::HostExhausted, {
            Told::of(MachineFailed, &file_error("No space left on device (os error 28)")).up()
        }),
        ("no-shell", Kind::NeverBooted, Told::of(MachineFailed, &never()).booted_to(BootPhase::Initrd)),
        ("no-shell", Kind::NeverBooted, {
            Told::of(MachineFailed, &never()).with(Event::MachineState { state: MachineState::Running })
        }),
        // Neither does one whose console is quoted.
        ("no-shell", Kind::NeverBooted, {
            let progress = "silent for 20 s; last line on the console: `No space left on device`".to_owned();
            let never = DriverError::NeverBooted { machine: server(), limit, progress };
            Told::of(MachineFailed, &never).booted_to(BootPhase::Init)
        }),
        ("shell-closed", Kind::ShellLost, Told::of(MachineFailed, &shell).up()),
        ("no-launch", Kind::NotLaunched, Told::of(MachineFailed, &launch)),
        ("control-failed", Kind::HypervisorError, Told::of(MachineFailed, &control("closed")).up()),
        ("control-silent", Kind::HypervisorError, Told::of(MachineFailed, &late).up()),
        ("backend-missing", Kind::HostUnfit, Told::of(MachineFailed, &host)),
        ("backend-cannot", Kind::Unsupported, Told::of(MachineFailed, &unsupported).up()),
        ("interpreter-missing", Kind::HostUnfit, {
            Told::new(
                MachineFailed,
                "`python3`, which runs `x.py`, cannot be started (install it): not found",
            )
        }),
        ("other-machine", Kind::MachineFailed, Told::new(MachineFailed, "something else").up()),
        ("console-finding", Kind::Console, {
            Told::new(Failed, "the consoles show what the test does not allow: server: kernel oops")
        }),
        ("signal", Kind::Interrupted, Told::new(Interrupted, "stopped by SIGTERM").up()),
        ("our-panic", Kind::Bug, Told::new(Bug, "innkeeper has a bug")),
    ]
}

#[test]
fn every_failure_has_the_right_kind_by_the_right_rule() {
    for (rule, kind, told) in failures() {
        let message = told.message.clone();
        let found = diagnosis(&told.records());
        assert_eq!((found.rule, found.kind), (rule, kind), "{message}");
    }
}

#[test]
fn no_rule_is_without_a_failure_and_no_kind_without_a_rule() {
    let mut tested: BTreeSet<&str> = failures().iter().map(|(rule, ..)| *rule).collect();
    // A run without an end is tested with the views that are made again.
    tested.insert("no-end");
    let rules: BTreeSet<&str> = Diagnosis::rules().map(|(name, _)| name).collect();
    assert_eq!(tested, rules);
    for kind in FailureKind::ALL {
        assert!(Diagnosis::rules().any(|(_, decided)| decided == kind), "no rule decides {kind}");
    }
}

#[test]
fn the_detail_says_how_far_the_boot_had_come_and_what_was_going_on() {
    let of = |told: Told| diagnosis(&told.records()).to_string();
    let (error, event) = exited(ExitReason::GuestPanic, &[]);
    let told = Told::of(Outcome::MachineFailed, &error).booted_to(BootPhase::Kernel).with(event);
    assert_eq!(of(told), "a guest's kernel panicked (server: it came as far as the kernel)");
    let wait = Event::ScopeStarted {
        id: 7,
        kind: ScopeKind::Step,
        text: "waiting for unit web".to_owned(),
        file: None,
    };
    let told = Told::new(Outcome::TimedOut, "too long").up().with(wait);
    assert_eq!(of(told), "the run took longer than it may (in the middle of server: waiting for unit web)");
    let told = Told::of(Outcome::Failed, &assertion(IN_VAIN)).up().step("waiting for TCP port 80");
    assert_eq!(of(told), "a condition never came true (server: waiting for TCP port 80)");
}

fn with_rules(rules: ConsoleRules, lines: &[&'static str]) -> Vec<Record> {
    let mut records = run(lines.iter().map(|line| console(line)));
    if let Event::RunStarted(RunStarted { console, .. }) = &mut records[0].event {
        *console = rules;
    }
    records
}

const OOPS: &str = "[    4.2] Oops: 0002 [#1] PREEMPT SMP";
const UNIT: &str = "[   14.1] systemd[1]: boom.service: Failed with result 'exit-code'.";

#[test]
fn findings_are_warnings_unless_the_test_says_otherwise() {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let look = |fail: &[&str], allow: &[&str], allow_lines: &[&str]| {
        let rules = ConsoleRules { fail: names(fail), allow: names(allow), allow_lines: names(allow_lines) };
        let mut doctor = Doctor::default();
        with_rules(rules, &[OOPS, UNIT, UNIT]).iter().for_each(|record| doctor.observe(record));
        (doctor.findings().lines(), doctor.objection())
    };
    let oops = "server: kernel oops (oops): `[    4.2] Oops: 0002 [#1] PREEMPT SMP`";
    let unit = "server: failed unit (unit-failed): `[   14.1] systemd[1]: boom.service: Failed with result \
                'exit-code'.`";
    let units = format!("{unit}, 1 more");
    assert_eq!(look(&[], &[], &[]), (vec![oops.to_owned(), units.clone()], None));
    assert_eq!(look(&[], &["oops"], &["boom.service"]), (vec![], None));
    let objection = |text: &str| Some(format!("the consoles show what the test does not allow: {text}"));
    assert_eq!(look(&["unit-failed"], &[], &[]), (vec![oops.to_owned(), units], objection(unit)));
    assert_eq!(look(&["all"], &["unit-failed"], &[]).1, objection(oops));
    assert_eq!(look(&["all"], &["all"], &[]), (vec![], None));
}

#[test]
fn a_flood_of_findings_hides_no_other_machine_and_no_other_rule() {
    let mut lines = vec![UNIT; 300];
    lines.push(OOPS);
    let mut records = with_rules(ConsoleRules::default(), &lines);
    if let Event::RunStarted(run) = &mut records[0].event {
        run.console.fail = vec!["oops".to_owned()];
    }
    let last = records.len() - 2;
    let client = Record { machine: Some("client".to_owned()), ..records[1].clone() };
    records.insert(last, client);
    let mut doctor = Doctor::default();
    records.iter().for_each(|record| doctor.observe(record));
    let lines = doctor.findings().lines();
    let starts: Vec<&str> = lines.iter().filter_map(|line| line.split(" (").next()).collect();
    assert_eq!(starts, ["server: failed unit", "client: failed unit", "server: kernel oops"]);
    let dir = tempfile::tempdir().expect("a directory");
    crate::support::feed(&mut report::HtmlPage::new(dir.path()), &records);
    let page = crate::support::text_of(dir.path(), "report.html");
    let (_, list) = page.split_once("<ul class=\"findings\"").expect("a list of findings");
    let places: Vec<_> = ["kernel oops", "failed unit", "client"].map(|text| list.find(text)).to_vec();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}");
}

#[test]
fn kind_and_findings_are_on_the_terminal_and_in_junit() {
    let told = ended(ExitReason::GuestPanic, &[]);
    let mut records = told.records();
    records.insert(1, Record { event: console(OOPS).2, machine: Some(server()), ..records[1].clone() });
    let (log, _) = show(&records, false, Verbosity::Quiet);
    assert!(log.contains("        Kind guest_panic: a guest's kernel panicked\n"), "{log}");
    assert!(log.contains("     Console server: kernel oops (oops): `[    4.2] Oops"), "{log}");
    let dir = tempfile::tempdir().expect("a directory");
    crate::support::feed(&mut report::JunitXml::new(dir.path()), &records);
    let xml = crate::support::text_of(dir.path(), "junit.xml");
    for text in
        ["type=\"guest_panic\"", "<property name=\"failure kind\" value=\"guest_panic\"/>", "kernel oops"]
    {
        assert!(xml.contains(text), "{text} is missing in {xml}");
    }
}

#[test]
fn the_page_on_failures_names_every_kind_rule_and_finding_with_its_status() {
    let page = include_str!("../../../docs/failures.md");
    let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    for kind in FailureKind::ALL {
        let Some(row) = row(kind.name()) else { panic!("`{kind}` is missing") };
        for (rule, _) in Diagnosis::rules().filter(|(_, decided)| *decided == kind) {
            assert!(row.contains(&format!("`{rule}`")), "the rule `{rule}` is missing in {row}");
        }
    }
    for rule in LINT_RULES {
        assert!(row(rule.name).is_some_and(|row| row.contains(rule.title)), "`{}` is missing", rule.name);
    }
}
