//! Skips a test on a host that lacks something. The harness knows of nothing but passing and failing, so a line says
//! it, which `cargo xtask test` counts.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::thread;

/// Says that the test is skipped, and why; gives `None`, to return with.
///
/// The test is told by its thread's name. Call it on the thread that the harness has given to the test.
pub fn skip<T>(why: impl Display) -> Option<T> {
    let test = thread::current();
    // Not by `eprintln!`, which the harness keeps to itself when a test passes.
    let _ = writeln!(io::stderr().lock(), "SKIPPED {}: {why}", test.name().unwrap_or("a test"));
    None
}

/// Does the same, but where the environment variable `required_by` is 1, the test fails.
///
/// # Panics
/// As said.
pub fn skip_or_fail<T>(required_by: &str, why: impl Display) -> Option<T> {
    let may_skip = std::env::var_os(required_by).is_none_or(|value| value != "1");
    assert!(may_skip, "{why}, and {required_by}=1 forbids to skip the test");
    skip(why)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::{Command, Output};

    use super::skip_or_fail;

    #[test]
    #[ignore = "what the others run"]
    fn not_here() {
        let _: Option<()> = skip_or_fail("TEST_SKIP_REQUIRED", "there is no such thing");
    }

    fn run(required: &str) -> Output {
        let mut harness = Command::new(env::current_exe().unwrap());
        harness.args(["--exact", "tests::not_here", "--include-ignored"]);
        harness.env("TEST_SKIP_REQUIRED", required).output().unwrap()
    }

    #[test]
    fn a_skip_is_told_although_the_test_passes() {
        let output = run("0");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.lines().any(|line| line == "SKIPPED tests::not_here: there is no such thing"), "{said}");
    }

    #[test]
    fn a_skip_that_is_forbidden_is_a_failure() {
        let output = run("1");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("there is no such thing, and TEST_SKIP_REQUIRED=1 forbids"), "{said}");
    }
}
