//! `cargo xtask test`: every test of the workspace, with what they need in place, and one line in the end
//! that counts them all.

use std::env;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Write};
use std::process::{ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::{self, Purpose};
use crate::{command, guests};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run the tests that have failed once more, one at a time
    ///
    /// On a host that is short of processors a test of virtual machines fails now and then. One that passes when it
    /// runs again is called flaky in the end, with all it said, and does not fail the run.
    #[arg(long)]
    retry: bool,
    /// Arguments for `cargo test`, such as a filter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, conflicts_with = "retry")]
    cargo_test: Vec<String>,
}

/// Sets the host up, builds the images, and runs `cargo test`, documentation's examples included.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run(Purpose::Tests)?;
    guests::run(&guests::Args::default())?;
    let (mut status, mut tally) = run_tests(&args.cargo_test)?;
    let mut flaky = Vec::new();
    if args.retry && !status.success() && tally.names_all_that_failed() {
        let (last, again) = run_again(&tally)?;
        status = last;
        flaky.extend(tally.names.extract_if(.., |name| !again.names.contains(name)));
        tally.failed -= flaky.len();
        tally.passed += flaky.len();
    }
    println!();
    for name in &flaky {
        println!("FLAKY {name}: it failed above, and passed when it ran again");
    }
    let passed = tally.passed.saturating_sub(tally.skipped);
    println!("{passed} passed, {} failed, {} skipped", tally.failed, tally.skipped);
    if !status.success() {
        bail!("`cargo test` ended with {status}");
    }
    Ok(())
}

/// Runs what has failed once more, alone.
fn run_again(tally: &Tally) -> Result<(ExitStatus, Tally)> {
    println!("\nonce more, one at a time: {}", tally.names.join(", "));
    let options = ["--", "--test-threads=1", "--exact"].map(str::to_owned);
    let (status, again) = run_tests(&[&options[..], &tally.names].concat())?;
    let found = again.passed + again.failed;
    ensure!(found >= tally.failed, "{} tests failed, and {found} of them were found again", tally.failed);
    Ok((status, again))
}

/// Runs `cargo test`, passes on what it says, and counts.
fn run_tests(arguments: &[String]) -> Result<(ExitStatus, Tally)> {
    let mut test = command::cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    test.args(arguments);
    for requirement in ["REQUIRE_VM", "REQUIRE_BROWSER"] {
        if env::var_os("CI").is_some() && env::var_os(requirement).is_none() {
            test.env(requirement, "1");
        }
    }
    if io::stdout().is_terminal() && env::var_os("CARGO_TERM_COLOR").is_none() {
        test.env("CARGO_TERM_COLOR", "always");
    }
    println!("$ {}", command::show(&test));
    let mut child = test
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{}`", command::show(&test)))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let err = thread::spawn(move || err.map(|err| pass_on(err, io::stderr())).unwrap_or_default());
    let tally = out.map(|out| pass_on(out, io::stdout())).unwrap_or_default();
    let tally = tally.and(err.join().unwrap_or_default());
    Ok((child.wait()?, tally))
}

/// What became of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// The skipped ones among them: with the harness a test that says why it does nothing has passed.
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Those that failed.
    names: Vec<String>,
    /// How many test programs failed, and how many of them told so themselves.
    programs: usize,
    told: usize,
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            programs: self.programs + other.programs,
            told: self.told + other.told,
            ..self
        }
    }

    /// Not when a test program was not built, or died, or when a line could not be read.
    fn names_all_that_failed(&self) -> bool {
        self.names.len() == self.failed && self.programs == self.told
    }

    /// Takes one line of cargo, of the test harness, or of a test that says why it is skipped.
    fn count(&mut self, line: &str) {
        if line.starts_with("SKIPPED ") {
            self.skipped += 1;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
            self.names.push(name.trim_end_matches(" - should panic").to_owned());
        }
        self.programs += usize::from(line.contains("failed, to rerun pass `"));
        let Some((result, counts)) =
            line.strip_prefix("test result: ").and_then(|result| result.split_once(". "))
        else {
            return;
        };
        self.told += usize::from(result == "FAILED");
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<usize>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<usize>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Copies lines as they come, and counts.
fn pass_on(from: impl Read, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // Whoever reads us may have gone away; the tests go on.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        tally.count(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::{Tally, pass_on};

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let out = "test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s\n\
                   test a::b ... ok\n\
                   test a::c - should panic ... FAILED\n\
                   test a::d ... FAILED\n\
                   test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let err = "SKIPPED boot: there is no `qemu-img` (install the package `qemu-utils`)\n\
                   error: test failed, to rerun pass `-p agent --test integration`\n";
        let tally = pass_on(out.as_bytes(), std::io::sink()).and(pass_on(err.as_bytes(), std::io::sink()));
        let names = vec!["a::c".to_owned(), "a::d".to_owned()];
        let expected = Tally { passed: 11, failed: 2, skipped: 1, names, programs: 1, told: 1 };
        assert_eq!(tally, expected);
        assert!(tally.names_all_that_failed());
    }

    #[test]
    fn a_program_that_dies_has_not_told_all() {
        let mut tally = Tally::default();
        tally.count("test a::b ... FAILED");
        tally.count("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.count("error: test failed, to rerun pass `-p agent --test integration`");
        assert!(tally.names_all_that_failed());
        tally.count("error: test failed, to rerun pass `-p script --lib`");
        assert!(!tally.names_all_that_failed());
    }
}
