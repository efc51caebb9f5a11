//! `cargo xtask bench`: figures for one guest, and ratios against another driver.

use std::process::ExitCode;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another driver with the same command line, to run the same script and print the ratios
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
}

/// Not written yet; says so with the status of a usage error.
pub(crate) fn run(args: &Args) -> ExitCode {
    let _ = &args.against;
    eprintln!("xtask: not yet");
    ExitCode::from(2)
}
