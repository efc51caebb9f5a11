//! `cargo xtask bench snapshots`: a machine that goes on from a snapshot beside one that boots, on any backend that
//! has snapshots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::process;
use super::statistics::quantile;
use crate::nested::{self, Nested};
use crate::{cloud_hypervisor, command, guests, setup};

/// The test that measures.
const MANIFEST: &str = "bench/snapshots.toml";

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
    /// Measure in a machine with a KVM of its own, for a Cloud Hypervisor (CLOUD_HYPERVISOR) on a host whose KVM is of
    /// no use
    #[arg(long)]
    nested: bool,
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
    let figures = if args.nested { in_a_machine(args, &program)? } else { here(args, &program)? };
    println!("{}", table(&args.backend, &serde_json::from_str(&figures)?));
    Ok(())
}

/// The figures, measured on this host.
fn here(args: &Args, program: &Path) -> Result<String> {
    let work = super::work_folder()?;
    let (result, log) = (work.path().join("figures.json"), work.path().join("log"));
    let mut command = command::process_that_ends_with_us(program.as_os_str());
    command.arg("run").arg(command::root().join(MANIFEST)).arg("-o").arg(work.path().join("out"));
    command.args(["--backend", &args.backend]);
    command.env("BENCH_PLAN", plan(args)).env("BENCH_RESULT", &result);
    process::run(&mut command, &log, LIMIT * args.runs).map_err(|error| {
        error.context(format!("it failed; its last words:\n{}", process::last_lines(&log, 20)))
    })?;
    fs::read_to_string(&result).context("the script has left no figures")
}

/// The figures, measured in a machine of innkeeper's own.
fn in_a_machine(args: &Args, program: &Path) -> Result<String> {
    let machine = Nested::new(&command::target()?.join("nested-bench"))?;
    machine.give(&cloud_hypervisor::find()?, "cloud-hypervisor")?;
    machine.give(program, "innkeeper")?;
    machine.give_test(MANIFEST)?;
    let (given, out) = (nested::GIVEN, nested::OUT);
    let command = format!(
        "BENCH_PLAN='{}' BENCH_RESULT={out}/figures.json {given}/innkeeper run --backend {} {given}/{MANIFEST} \
         -o {out}/bench --timeout {}",
        plan(args),
        args.backend,
        nested::TEST_LIMIT
    );
    let results = machine.run(program, &[("snapshots".to_owned(), command)])?;
    fs::read_to_string(results.join("figures.json")).context("the script has left no figures")
}

fn plan(args: &Args) -> String {
    json!({ "runs": args.runs }).to_string()
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
