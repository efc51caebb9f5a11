//! `cargo xtask bench`: figures for one guest, and ratios against another driver that runs the same script
//! on the same guest in the same run.

mod measure;
mod table;

use anyhow::{Context, Result, bail};

use crate::{command, guests, setup};
use measure::Figures;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another driver to run the same script with, called as `COMMAND bench/bench.toml -o DIR`, such as
    /// `old/innkeeper run` or a wrapper around a driver with another command line
    #[arg(long, value_name = "COMMAND")]
    against: Option<String>,
    /// How often each driver runs the script; they take turns
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// Measures and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let against = args.against.as_deref().map(words).transpose()?;
    setup::run()?;
    guests::run(&guests::Args::only("base"))?;
    command::run(&mut command::cargo(&["build", "--release", "--bin", "innkeeper"]))?;

    let target = command::target()?;
    let results = target.join("bench");
    std::fs::create_dir_all(&results).with_context(|| format!("failed to make `{}`", results.display()))?;
    let ours = vec![target.join("release/innkeeper").display().to_string(), "run".to_owned()];
    let (mut own, mut other) = (Figures::default(), Figures::default());
    for _ in 0..args.runs {
        own.add(measure::run(&ours, &results.join("ours"))?);
        if let Some(against) = &against {
            other.add(measure::run(against, &results.join("against"))?);
        }
    }
    println!();
    print!("{}", table::render(&own, against.as_ref().map(|_| &other)));
    Ok(())
}

fn words(command: &str) -> Result<Vec<String>> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        bail!("--against names no command");
    }
    Ok(words)
}
