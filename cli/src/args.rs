//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::manifest::parse_duration;

/// Boots virtual machines, runs a test script against them, and leaves a result directory behind.
#[derive(Debug, Parser)]
#[command(
    name = "innkeeper",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Start with `innkeeper doctor`: it says what this host can do, and how to get what is missing."
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colours: `auto` means on a terminal that can show them, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a test.
    Run(RunArgs),
    /// Say what this host can do, and how to get what is missing.
    Doctor(DoctorArgs),
    /// Make the reports of a result directory again from its events.jsonl.
    Report(ReportArgs),
}

/// `innkeeper run`.
#[derive(Debug, clap::Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// The manifest: a TOML file that names the script and the machines.
    #[arg(value_name = "TEST.toml")]
    pub(crate) manifest: PathBuf,

    /// Where the result goes [default: innkeeper-results/NAME]. A result that is there already is kept as
    /// DIR.1, DIR.2, and so on.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Run this script on the manifest's machines instead of the manifest's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// How long the run may take, instead of what the manifest says: 90s, 10m, 1h, or seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Run commands through the guests' plain shell, without innkeeper's agent.
    #[arg(long)]
    pub(crate) no_agent: bool,

    /// How long a child of a command may hold the command's standard output after the command itself has
    /// ended; then the call returns, with a warning that names the child. 0 waits for ever, as NixOS's driver
    /// does.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(crate) output_grace: Duration,

    /// Show only what went wrong.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show more: what the driver does, too.
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
}

/// `innkeeper doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when tests can run here, 3 when something that they need is missing.")]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `innkeeper report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: the run's own; 3 for a run that was cut off before its end.")]
pub(crate) struct ReportArgs {
    /// A result directory, or what is left of one after a crash.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// When to do something that a terminal can show.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

const RUN_EXAMPLES: &str = "\
Examples:
  innkeeper run guestbook.toml
      Run the test; the result goes to innkeeper-results/guestbook.
  innkeeper run guestbook.toml -o /tmp/result --timeout 5m
      Put the result elsewhere, and give up after five minutes.
  innkeeper run guestbook.toml --script guestbook.pl
      Run another script on the same machines.

A manifest:
  name = \"guestbook\"
  script = \"guestbook.py\"          # .py is Python, .pl is Perl
  timeout = \"10m\"

  [machines.server]
  image = \"guestbook\"              # built by `cargo xtask guests guestbook`
  memory = \"1G\"

Exit status:
  0 the test passed             1 the test failed            2 wrong usage or manifest
  3 the machines could not run  5 the host could not run it  70 a bug of innkeeper's
  128+N ended by signal N";

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time such as 90s, 10m, 1h or 600 (seconds)".to_owned())
}
