//! `cargo xtask`: one entry point for all that a developer of innkeeper runs, here and in CI.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod check;
mod cloud_hypervisor;
mod command;
mod compare;
mod demo;
mod guests;
mod nested;
mod ocr_corpus;
mod sanitize;
mod setup;
mod test;
mod upstream;

use crate::setup::Purpose;

/// What a developer of innkeeper runs.
///
/// Start with `cargo xtask demo`: it installs what is missing, builds a virtual machine's image, and runs
/// the guestbook test in it. Everything is kept out of the repository: images go to
/// ${INNKEEPER_CACHE:-~/.cache/innkeeper}, all else to target/.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the programs that are missing, from Debian's packages
    ///
    /// Says what it installs and why, and installs nothing else. Without root it uses sudo; without sudo it
    /// prints the command for somebody who may run it.
    Setup,
    /// Build the guest images that are missing or out of date (all, or the named ones)
    ///
    /// A recipe is a folder of guests/. An image is built once for each state of its recipe, in about a
    /// minute, and kept in the cache under that state's hash.
    Guests(guests::Args),
    /// Set up, build, and run examples/guestbook on a real virtual machine, in Python and in Perl
    Demo,
    /// Run every test, those with virtual machines too
    ///
    /// With CI set in the environment, a test that cannot run here fails instead of being skipped.
    Test(test::Args),
    /// Test the backend for Cloud Hypervisor on the real program, in a machine where this host's KVM cannot
    TestCloudHypervisor(cloud_hypervisor::Args),
    /// Check format, lints, documentation, licenses, and the syntax of scripts
    Check,
    /// Make the screenshots again that OCR engines are scored on (ocr/tests/data), with real guests
    OcrCorpus(ocr_corpus::Args),
    /// Run the tests of plugins under the address sanitiser
    Sanitize,
    /// Run test scripts under innkeeper and under the NixOS test driver, and compare what they say
    Compare(compare::Args),
    /// Measure commands, waits, copies and start-up, alone or against the NixOS test driver
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Setup => setup::run(Purpose::Tests),
        Task::Guests(args) => setup::run(Purpose::Runs).and_then(|()| guests::run(&args)),
        Task::Demo => demo::run(),
        Task::Test(args) => test::run(&args),
        Task::TestCloudHypervisor(args) => cloud_hypervisor::run(&args),
        Task::Check => check::run(),
        Task::OcrCorpus(args) => ocr_corpus::run(&args),
        Task::Sanitize => sanitize::run(),
        Task::Compare(args) => compare::run(&args),
        Task::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
