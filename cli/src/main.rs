//! The program: flags, manifests, exit codes. What a test is made of lies in the other crates.

mod args;
mod attach;
mod backends;
mod bug;
mod console;
mod doctor;
mod engines;
mod exit;
mod interactive;
mod manifest;
mod needle;

mod nixos;
mod nixos_2019;
mod ocr_command;
mod pause;
mod plan;
mod plugins;
mod remake;
mod rescue;
mod result_dir;
mod run;
mod signals;
mod verdict;

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command, When};
use crate::manifest::FileError;

fn main() -> ExitCode {
    bug::watch();
    if let Some(status) = panic::catch_unwind(called_by_name).unwrap_or(Some(exit::BUG)) {
        return ExitCode::from(status);
    }
    let args = Args::parse();
    log_if_asked();
    // The hook has told about a panic already; what is left is the status.
    let status = panic::catch_unwind(AssertUnwindSafe(|| dispatch(&args))).unwrap_or(exit::BUG);
    ExitCode::from(if bug::seen() { exit::BUG } else { status })
}

/// Runs under another program's name, if it was called by one, and returns the exit status.
fn called_by_name() -> Option<u8> {
    nixos_2019::called_by_name().or_else(nixos::called_by_name)
}

fn dispatch(args: &Args) -> u8 {
    let done = match &args.command {
        Command::Run(run_args) => run::run(run_args, args.color),
        Command::Attach(attach_args) => attach::run(attach_args),
        Command::Doctor(doctor_args) => doctor::run(doctor_args, args.color),
        Command::Report(report_args) => remake::run(report_args, args.color),
        Command::Ocr(ocr_args) => ocr_command::run(ocr_args, args.color),
        Command::Needle(needle_args) => needle::run(needle_args),
        Command::Plugins(plugins_args) => plugins::run(plugins_args),
        Command::NixosTestDriver { words } => {
            Ok(nixos_2019::main_if_meant(words).unwrap_or_else(|| nixos::main(words.iter().cloned())))
        }
    };
    done.unwrap_or_else(|error| {
        console::err(&describe(&error, args.color));
        exit::USAGE
    })
}

/// The error as it is shown; those of a file in its own form.
fn describe(error: &anyhow::Error, color: When) -> String {
    if let Some(file_error) = error.downcast_ref::<FileError>() {
        return file_error.render(color.look(&io::stderr()).colours);
    }
    describe_error(error)
}

/// An error and its causes, each on a line of its own.
fn describe_error(error: &anyhow::Error) -> String {
    let causes: String = error.chain().skip(1).map(|cause| format!("\n  {cause}")).collect();
    format!("error: {error}{causes}")
}

/// Our own log, for those who work on innkeeper: `INNKEEPER_LOG=debug`.
fn log_if_asked() {
    if let Ok(filter) = EnvFilter::try_from_env("INNKEEPER_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    }
}
