//! The console linter: what kernels and init systems print when something is wrong, whether or not the test
//! notices. Findings are warnings, unless the manifest says that they fail the test.

use std::collections::{BTreeMap, BTreeSet};

use driver_core::event::{ConsoleRules, Event, Record};

use crate::escape::visible;

/// How an objection begins; the rules know it by that.
pub(crate) const OBJECTION: &str = "the consoles show what the test does not allow: ";
/// The word in a manifest that stands for all rules.
pub const ALL: &str = "all";
/// Bytes that a program's name takes with its number.
const PROGRAM: usize = 32;
/// Findings that are kept with their lines; of more, only the first of each machine and rule, and the number.
const KEPT: usize = 200;

/// Something to look for.
#[derive(Debug)]
pub struct LintRule {
    /// Its name, as manifests write it.
    pub name: &'static str,
    /// What it finds.
    pub title: &'static str,
    signs: &'static [Sign],
}

/// Where in a line words have to stand. A line is what follows the kernel's time.
#[derive(Debug)]
enum Sign {
    /// The kernel's line begins with it.
    Start(&'static str),
    /// The line begins with the first and has the second in it.
    Both(&'static str, &'static str),
    /// The kernel says it of a program: `NAME[PID]: ` comes first.
    OfProgram(&'static str),
}
use Sign::{Both, OfProgram, Start};

/// What is looked for. Of several rules that fit, the first counts.
pub const LINT_RULES: &[LintRule] = &[
    LintRule { name: "panic", title: "kernel panic", signs: &[Start("Kernel panic - not syncing")] },
    LintRule {
        name: "soft-lockup",
        title: "a processor is stuck",
        signs: &[
            Start("watchdog: BUG: soft lockup"),
            Start("NMI watchdog: Watchdog detected hard LOCKUP"),
            Start("watchdog: Watchdog detected hard LOCKUP"),
        ],
    },
    LintRule {
        name: "oops",
        title: "kernel oops",
        signs: &[
            Start("Oops: "),
            Start("BUG: unable to handle "),
            Start("BUG: kernel NULL pointer"),
            Start("Unable to handle kernel "),
            Start("general protection fault"),
            Start("Internal error: Oops"),
        ],
    },
    LintRule {
        name: "kernel-bug",
        title: "kernel bug",
        signs: &[Start("kernel BUG at "), Start("BUG: "), Start("UBSAN: ")],
    },
    LintRule {
        name: "warning",
        title: "kernel warning",
        signs: &[Start("WARNING: CPU: "), Both("WARNING: ", " at ")],
    },
    LintRule {
        name: "hung-task",
        title: "a task hangs",
        signs: &[Both("INFO: task ", " blocked for more than ")],
    },
    LintRule {
        name: "rcu-stall",
        title: "a processor does not answer the kernel",
        signs: &[Both("rcu: INFO: ", " detected "), Both("INFO: rcu_", " detected stall")],
    },
    LintRule {
        name: "lockdep",
        title: "a lock is taken in the wrong order",
        signs: &[
            Start("WARNING: possible circular locking"),
            Start("WARNING: possible recursive locking"),
            Start("INFO: possible recursive locking"),
        ],
    },
    LintRule {
        name: "oom",
        title: "out of memory",
        signs: &[Start("Out of memory: "), Start("Memory cgroup out of memory: "), Start("oom-kill:")],
    },
    LintRule {
        name: "segfault",
        title: "a program crashed",
        signs: &[
            OfProgram("segfault at "),
            Both("traps: ", " general protection"),
            Both("traps: ", " trap "),
        ],
    },
    LintRule {
        name: "ext4",
        title: "damaged file system",
        signs: &[
            Start("EXT4-fs error"),
            Both("XFS (", "Corruption"),
            Both("BTRFS ", "error"),
            Both("BTRFS ", "critical"),
        ],
    },
    LintRule {
        name: "io",
        title: "a disk fails",
        signs: &[
            Start("I/O error, dev "),
            Start("Buffer I/O error on "),
            Start("blk_update_request: I/O error"),
        ],
    },
    LintRule {
        name: "ordering-cycle",
        title: "units wait for each other in a circle",
        signs: &[Both("systemd[1]: ", "ordering cycle")],
    },
    LintRule {
        name: "unit-failed",
        title: "failed unit",
        signs: &[Both("systemd[1]: ", ": Failed with result '"), Both("[FAILED]", "Failed to ")],
    },
    LintRule {
        name: "emergency",
        title: "emergency shell",
        signs: &[
            Start("You are in emergency mode"),
            Start("Entering emergency mode"),
            Start("dracut: FATAL: "),
            Both("ALERT!", "Dropping to a shell"),
            Start("Give root password for maintenance"),
        ],
    },
];

/// A line that a rule has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it found.
    pub title: &'static str,
    /// Whose console it was.
    pub machine: String,
    /// The line as it came.
    pub line: String,
    /// The record of the line.
    pub seq: u64,
    /// When it came, in microseconds of the run.
    pub t_us: u64,
    /// Whether the test fails by it.
    pub fails: bool,
}

/// What was found in a run.
#[derive(Debug, Default)]
pub struct Findings {
    /// The first of them, and the first of each machine and rule.
    pub kept: Vec<Finding>,
    /// How many there were, by machine and rule.
    pub counts: BTreeMap<(String, &'static str), usize>,
}

/// Looks at the consoles.
#[derive(Debug, Default)]
pub(crate) struct Lint {
    rules: ConsoleRules,
    findings: Findings,
}

impl Lint {
    pub(crate) fn observe(&mut self, record: &Record) {
        match (&record.event, &record.machine) {
            (Event::RunStarted(run), _) => self.rules.clone_from(&run.console),
            (Event::Console { line }, Some(machine)) => self.look(record, machine, line),
            _ => {}
        }
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    fn look(&mut self, record: &Record, machine: &str, line: &str) {
        let Some(rule) = find(line) else { return };
        let names = |list: &[String]| list.iter().any(|name| name == rule.name || name == ALL);
        let allowed =
            names(&self.rules.allow) || self.rules.allow_lines.iter().any(|text| line.contains(text));
        if allowed {
            return;
        }
        let count = self.findings.counts.entry((machine.to_owned(), rule.name)).or_default();
        *count += 1;
        // The first of each is kept whatever has come before it.
        if *count == 1 || self.findings.kept.len() < KEPT {
            self.findings.kept.push(Finding {
                rule: rule.name,
                title: rule.title,
                machine: machine.to_owned(),
                line: line.to_owned(),
                seq: record.seq,
                t_us: record.t_us,
                fails: names(&self.rules.fail),
            });
        }
    }
}

impl Findings {
    /// One sentence on the first finding that fails the test.
    pub(crate) fn objection(&self) -> Option<String> {
        let finding = self.kept.iter().find(|finding| finding.fails)?;
        Some(format!("{OBJECTION}{finding}"))
    }

    /// Those that are kept, most telling first: the first of each machine and rule, then repeats; of both those
    /// first that fail the test.
    pub(crate) fn by_weight(&self) -> Vec<&Finding> {
        let mut told = BTreeSet::new();
        let mut findings: Vec<(bool, &Finding)> = self
            .kept
            .iter()
            .map(|finding| (!told.insert((finding.machine.as_str(), finding.rule)), finding))
            .collect();
        findings.sort_by_key(|(is_repeat, finding)| (*is_repeat, !finding.fails));
        findings.into_iter().map(|(_, finding)| finding).collect()
    }

    /// One line for each machine and rule, in the order of their first lines; escaped.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut told: Vec<(&str, &str)> = Vec::new();
        let mut lines = Vec::new();
        for finding in &self.kept {
            let key = (finding.machine.as_str(), finding.rule);
            if !told.contains(&key) {
                told.push(key);
                let count = self.counts.get(&(finding.machine.clone(), finding.rule)).copied().unwrap_or(1);
                let more = if count > 1 { format!(", {} more", count - 1) } else { String::new() };
                lines.push(visible(&format!("{finding}{more}")).into_owned());
            }
        }
        lines
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line: String = self.line.trim().chars().take(200).collect();
        write!(f, "{}: {} ({}): `{line}`", self.machine, self.title, self.rule)
    }
}

/// The first rule that a line shows a sign of.
fn find(line: &str) -> Option<&'static LintRule> {
    let plain;
    let line = if line.contains('\u{1b}') {
        plain = console::strip_ansi_codes(line).into_owned();
        plain.as_str()
    } else {
        line
    };
    let text = after_time(line);
    // A glance at the first letter settles most lines: consoles can be long.
    let begins = |words: &str| words.as_bytes().first() == text.as_bytes().first() && text.starts_with(words);
    LINT_RULES.iter().find(|rule| {
        rule.signs.iter().any(|sign| match sign {
            Start(words) => begins(words),
            Both(start, words) => begins(start) && text.contains(words),
            OfProgram(words) => after_program(text).is_some_and(|text| text.starts_with(words)),
        })
    })
}

/// A line without the kernel's time in front of it.
pub(crate) fn after_time(line: &str) -> &str {
    let line = line.trim_start();
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((time, text)) if time.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'.')) => {
            text.trim_start()
        }
        _ => line,
    }
}

/// What follows `NAME[PID]: `.
fn after_program(text: &str) -> Option<&str> {
    let beginning = &text.as_bytes()[..text.len().min(PROGRAM)];
    let end = beginning.iter().position(|byte| *byte == b']')?;
    text.get(end..)?.strip_prefix("]: ")
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn each_rule_finds_lines_as_kernels_and_systemd_print_them() {
        let cases = [
            ("panic", "[   13.712813] Kernel panic - not syncing: sysrq triggered crash"),
            ("soft-lockup", "[  60.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [stress:412]"),
            ("oops", "[    4.2] BUG: unable to handle page fault for address: ffffffffc0000000"),
            ("oops", "[    4.2] Oops: 0002 [#1] PREEMPT SMP PTI"),
            ("kernel-bug", "[    4.2] kernel BUG at fs/ext4/inode.c:2721!"),
            (
                "warning",
                "[    9.1] WARNING: CPU: 0 PID: 1 at kernel/workqueue.c:3000 check_flush_dependency+0x1",
            ),
            ("hung-task", "[  242.6] INFO: task cp:210 blocked for more than 120 seconds."),
            ("rcu-stall", "[   21.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
            ("oom", "[   30.5] Out of memory: Killed process 312 (python3) total-vm:812345kB, anon-rss:1kB"),
            (
                "segfault",
                "[   12.2] crash[311]: segfault at 0 ip 000055d5 sp 00007ffc error 6 in crash[1000]",
            ),
            ("ext4", "[    8.8] EXT4-fs error (device vda): ext4_lookup:1855: inode #12: comm ls: bad"),
            ("io", "[    8.8] I/O error, dev vdb, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1"),
            ("ordering-cycle", "[    3.3] systemd[1]: a.service: Found ordering cycle on b.service/start"),
            ("unit-failed", "[   14.1] systemd[1]: boom.service: Failed with result 'exit-code'."),
            ("unit-failed", "[\u{1b}[0;1;31mFAILED\u{1b}[0m] Failed to start nginx.service - web server."),
            ("emergency", "You are in emergency mode. After logging in, type \"journalctl -xb\""),
        ];
        for (name, line) in cases {
            assert_eq!(find(line).map(|rule| rule.name), Some(name), "{line}");
        }
    }

    #[test]
    fn plain_lines_and_quotes_of_bad_ones_are_not_found() {
        for line in [
            "",
            "[    1.0] Linux version 6.12",
            "[    2.0] app[7]: once it said: Kernel panic - not syncing: sysrq",
            "[    2.0] app[7]: BUG: none of the kernel's",
            "[    3.0] systemd[1]: Started a.service.",
            "[  OK  ] Started nginx.service.",
            "[    0.783687] NMI watchdog: Perf NMI watchdog permanently disabled",
        ] {
            assert!(find(line).is_none(), "{line}");
        }
    }
}
