//! What a driver has said, made comparable: without times, colours, numbers of processes and paths of its own.

use std::io::Write as _;
use std::process::Command;
use std::sync::LazyLock;

use fancy_regex::{Captures, Regex};

use super::rules;
use super::stage::Ended;

/// What scripts put before what they print on a serial console to be compared. All else there is the guest's own.
const MARK: &str = "said: ";

/// A line of a console. Upstream's threads write at the same time, so that another line may begin where it ends.
static SERIAL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"\x1b\[2m([\w-]+ # [^\n]*?)\x1b\[0m(?:\n|(?=\x1b\[1m\x1b\[32m|[\w-]+: |\(finished)|\z)")
});

/// What is never the same twice, and what stands for it.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let all = [
        (r"\x1b\[[0-9;]*m", ""),
        (r"\b(in|took|after) \d+\.\d\d seconds", "$1 N seconds"),
        (r"(Time since last: |test script finished in )\d+\.\d\ds", "${1}Ns"),
        (r"\(pid \d+", "(pid N"),
        (r"/tmp/shared/tmp\w{8}", "/tmp/shared/TMP"),
        (r"0x[0-9a-f]{6,}", "ADDRESS"),
    ];
    all.map(|(pattern, instead)| (regex(pattern), instead)).into()
});

/// What is said after half a minute, however far the guest has come; and what QEMU says of its end.
const NOT_COMPARED: [&str; 3] = [
    "Guest root shell did not produce any data yet",
    "To debug, enter the VM and run",
    "terminating on signal 15 from pid",
];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a good pattern")
}

/// All that is compared.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: i32,
    /// The log's lines without the consoles'.
    pub(super) log: Vec<String>,
    /// The lines on standard output.
    pub(super) printed: Vec<String>,
    /// The marked lines of consoles. Their place among the others depends on who is faster.
    pub(super) consoles: Vec<String>,
}

impl Said {
    pub(super) fn read(ended: &Ended) -> Self {
        let mut consoles = Vec::new();
        let log = SERIAL.replace_all(&ended.stderr, |found: &Captures<'_>| {
            let line = found.get(1).map_or("", |line| line.as_str());
            consoles.extend(line.contains(MARK).then(|| line.to_owned()));
            String::new()
        });
        let mut log = lines(&log);
        // Those that threads of upstream's make when they write at once.
        log.retain(|line| {
            !["", "!!! "].contains(&line.as_str()) && !NOT_COMPARED.iter().any(|words| line.contains(words))
        });
        Self { status: ended.status, log, printed: lines(&ended.stdout), consoles }
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut text = text.to_owned();
    for (pattern, instead) in VARYING.iter() {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text.lines().map(str::to_owned).collect()
}

/// What is to be said of a script.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Exit statuses.
    pub(super) upstream: i32,
    pub(super) ours: i32,
    /// What differs on purpose.
    on_purpose: Vec<&'static str>,
    /// What differs besides.
    pub(super) diff: String,
}

impl Comparison {
    pub(super) fn of(mut upstream: Said, mut ours: Said) -> Self {
        let on_purpose = rules::apply(&mut upstream, &mut ours);
        let parts = [
            ("log", &upstream.log, &ours.log),
            ("standard output", &upstream.printed, &ours.printed),
            ("consoles", &upstream.consoles, &ours.consoles),
        ];
        let differing = parts.into_iter().filter(|(_, one, other)| one != other);
        let diff = differing.map(|(what, one, other)| format!("{what}:\n{}", diff(one, other))).collect();
        Self { upstream: upstream.status, ours: ours.status, on_purpose, diff }
    }

    pub(super) fn is_same(&self) -> bool {
        self.upstream == self.ours && self.diff.is_empty()
    }

    pub(super) fn verdict(&self) -> String {
        if !self.is_same() {
            return "DIFFERENT".to_owned();
        }
        if self.on_purpose.is_empty() {
            return "the same".to_owned();
        }
        format!("the same, but for {}", self.on_purpose.join(", "))
    }
}

/// As `diff` shows it.
fn diff(one: &[String], other: &[String]) -> String {
    let file = |lines: &[String]| {
        let mut file = tempfile::NamedTempFile::new()?;
        lines.iter().try_for_each(|line| writeln!(file, "{line}"))?;
        Ok::<_, std::io::Error>(file)
    };
    let shown = || {
        let (one, other) = (file(one)?, file(other)?);
        let output = Command::new("diff").arg("-U2").args([one.path(), other.path()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Without the names of the two files.
        Ok::<_, std::io::Error>(text.lines().skip(2).map(|line| format!("{line}\n")).collect())
    };
    shown().unwrap_or_else(|error| format!("(`diff` cannot show it: {error})\n"))
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Said};
    use crate::compare::stage::Ended;

    fn said(stderr: &str) -> Said {
        Said::read(&Ended { status: 0, stdout: String::new(), stderr: stderr.to_owned() })
    }

    #[test]
    fn what_varies_is_left_out() {
        let said = said(
            "\u{1b}[1m\u{1b}[32mcleanup\u{1b}[0m\n\u{1b}[2ma # [1.2] kernel\u{1b}[0m\nkill machine (pid 12)\n\
             FOLDER/out/a.png\n\u{1b}[2ma # said: b\u{1b}[0ma: text\n\n(finished: cleanup, in 1.23 seconds)\n",
        );
        let expected = [
            "cleanup",
            "kill machine (pid N)",
            "FOLDER/out/a.png",
            "a: text",
            "(finished: cleanup, in N seconds)",
        ];
        assert_eq!(said.log, expected);
        assert_eq!(said.consoles, ["a # said: b"]);
    }

    #[test]
    fn another_order_is_a_difference() {
        let comparison = Comparison::of(said("one\ntwo\n"), said("two\none\n"));
        assert!(!comparison.is_same() && comparison.diff.contains("-one\n"), "{}", comparison.diff);
        assert!(Comparison::of(said("one\n"), said("one\n")).is_same());
    }
}
