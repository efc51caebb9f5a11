//! `cargo xtask test`: every test of the workspace, with what they need in place, and one line in the end
//! that counts them all.

use std::env;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Write};
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::{command, guests};

/// What to pass on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for `cargo test`, such as a filter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_test: Vec<String>,
}

/// Sets the host up, builds the images, and runs `cargo test`, documentation's examples included.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run(Purpose::Tests)?;
    guests::run(&guests::Args::default())?;
    let mut test = command::cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    test.args(&args.cargo_test);
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
    let status = child.wait()?;
    println!("\n{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if !status.success() {
        bail!("`cargo test` ended with {status}");
    }
    Ok(())
}

/// What became of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            passed: (self.passed + other.passed).saturating_sub(self.skipped + other.skipped),
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// Takes one line of the test harness, or of a test that says why it is skipped (it then counts as
    /// passed with the harness).
    fn count(&mut self, line: &str) {
        if line.starts_with("SKIPPED ") {
            self.skipped += 1;
        }
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|result| result.split_once(". "))
        else {
            return;
        };
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
                   test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let err = "SKIPPED boot: there is no `qemu-img` (install the package `qemu-utils`)\n";
        let tally = pass_on(out.as_bytes(), std::io::sink()).and(pass_on(err.as_bytes(), std::io::sink()));
        assert_eq!(tally, Tally { passed: 10, failed: 2, skipped: 1 });
    }
}
