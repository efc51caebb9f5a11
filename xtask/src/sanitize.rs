//! `cargo xtask sanitize`: the tests of plugins under the address sanitiser.

use anyhow::{Result, bail};

use crate::command;

/// The target; naming one keeps build scripts and macros out of it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds host, SDK and fixtures with the sanitiser and runs the host's tests, which load plugins of both kinds.
pub(crate) fn run() -> Result<()> {
    let mut test = command::cargo(&["test", "--package=plugin-host", "--tests"]);
    // The sanitiser comes with the stable compiler, which hides the flag. Miri cannot load libraries.
    test.env("RUSTC_BOOTSTRAP", "1").env("CARGO_BUILD_TARGET", TARGET);
    // A library finds the sanitiser's functions in the program that loads it.
    test.env("RUSTFLAGS", "-Zsanitizer=address -Clink-arg=-rdynamic");
    if !command::succeeds(&mut test)? {
        bail!("the address sanitiser, or a test under it, found something");
    }
    Ok(())
}
