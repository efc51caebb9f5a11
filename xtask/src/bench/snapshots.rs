//! `cargo xtask bench snapshots`: a machine that goes on from a snapshot beside one that boots, on any backend that
//! has snapshots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::process;
use super::statistics::quantile;
use crate::{command, guests, setup};

/// How long one of the runs may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What is measured: its name in the script's figures, and in the table.
const MEASURES: [(&str, &str); 3] = [
    ("boot", "a cold boot: process start to the end of the first command"),
    ("save", "taking a snapshot"),
    ("restore", "going on from it: process start to the end of the first command"),
];

/// How `cargo xtask bench snapshots` measures.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backend; one that has snapshots and can run here
    #[arg(long, value_name = "WORD", default_value = "qemu")]
    backend: String,
    /// How often the machine boots, is kept, and goes on
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Measure this program instead of a release build of the working tree
    #[arg(long, value_name = "PROGRAM")]
    innkeeper: Option<PathBuf>,
}

/// Measures, and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run(setup::Purpose::Runs)?;
    guests::run(&guests::Args::only("base"))?;
    let program = super::program(args.innkeeper.as_deref())?;
    let work = super::work_folder()?;
    let manifest = work.path().join("snapshots.toml");
    let described = json!({
        "name": "snapshots",
        "script": command::root().join("bench/snapshots.py"),
        "machines": { "server": { "image": "base", "memory": 512 } },
    });
    fs::write(&manifest, toml::to_string(&described)?)?;
    let (result, log) = (work.path().join("figures.json"), work.path().join("log"));
    let mut command = command::process_that_ends_with_us(program.as_os_str());
    command
        .arg("run")
        .arg(&manifest)
        .arg("-o")
        .arg(work.path().join("out"))
        .args(["--backend", &args.backend]);
    command.env("BENCH_PLAN", json!({ "runs": args.runs }).to_string()).env("BENCH_RESULT", &result);
    process::run(&mut command, &log, LIMIT * args.runs).map_err(|error| {
        error.context(format!("it failed; its last words:\n{}", process::last_lines(&log, 20)))
    })?;
    let figures = fs::read_to_string(&result).context("the script has left no figures")?;
    println!("{}", table(&args.backend, &serde_json::from_str(&figures)?));
    Ok(())
}

/// Medians, each with the range of all.
fn table(backend: &str, figures: &BTreeMap<String, Vec<f64>>) -> String {
    let mut table = format!("| | {backend} |\n|---|---|\n");
    for (name, title) in MEASURES {
        let seconds = figures.get(name).map_or(&[][..], Vec::as_slice);
        let at = |at| quantile(seconds, at);
        let figure = match (at(0.5), at(0.0), at(1.0)) {
            (Some(median), Some(least), Some(most)) => format!("{median:.2} s ({least:.2} to {most:.2})"),
            _ => "-".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {title} | {figure} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_row_is_a_median_and_a_range() {
        let figures = [("boot".to_owned(), vec![3.0, 1.0, 2.0])].into();
        let shown = table("qemu", &figures);
        assert!(shown.contains("first command | 2.00 s (1.00 to 3.00) |"), "{shown}");
        assert!(shown.contains("| taking a snapshot | - |"), "{shown}");
    }
}
