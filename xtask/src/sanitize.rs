//! `cargo xtask sanitize`: the tests of plugins under the address sanitiser.

use anyhow::{Result, bail};

use crate::command;

/// The target; naming one keeps build scripts and macros out of it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The tests of plugins that panic or hang. What those leave behind is never freed, on purpose: somebody may still
/// be using it.
const MISDEEDS: &str = "misdeeds::";

/// Builds host, SDK and fixtures with the sanitiser and runs the host's tests, which load plugins of both kinds.
pub(crate) fn run() -> Result<()> {
    let well_behaved = test(&["--skip", MISDEEDS], "detect_leaks=1")?;
    let misbehaving = test(&[MISDEEDS], "detect_leaks=0")?;
    if !(well_behaved && misbehaving) {
        bail!("the address sanitiser, or a test under it, found something");
    }
    Ok(())
}

fn test(which: &[&str], options: &str) -> Result<bool> {
    let mut test = command::cargo(&["test", "--package=plugin-host", "--tests", "--"]);
    // The sanitiser comes with the stable compiler, which hides the flag. Miri cannot load libraries.
    test.args(which).env("RUSTC_BOOTSTRAP", "1").env("CARGO_BUILD_TARGET", TARGET);
    // A library finds the sanitiser's functions in the program that loads it.
    test.env("RUSTFLAGS", "-Zsanitizer=address -Clink-arg=-rdynamic").env("ASAN_OPTIONS", options);
    command::succeeds(&mut test)
}
