//! `cargo xtask test`: every test of the workspace, with what they need in place.

use std::env;

use anyhow::Result;

use crate::{command, guests, setup};

/// What to pass on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments for `cargo test`, such as a filter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_test: Vec<String>,
}

/// Sets the host up, builds the images, and runs `cargo test`, documentation's examples included.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run()?;
    guests::run(&guests::Args::default())?;
    let mut test = command::cargo(&["test", "--workspace", "--all-features"]);
    test.args(&args.cargo_test);
    if env::var_os("CI").is_some() && env::var_os("REQUIRE_VM").is_none() {
        test.env("REQUIRE_VM", "1");
    }
    command::run(&mut test)
}
