//! `cargo xtask compare`: the same test scripts, on the same start scripts, under the NixOS test driver and under
//! innkeeper in its place. What differs, and is not meant to, is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use crate::upstream::Upstream;
use crate::{command, guests, setup};
use said::{Comparison, Said};
use script::Script;
use stage::{Ended, Side, Stage};

mod rules;
mod said;
mod script;
mod stage;

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The NixOS test driver: `nixos/lib/test-driver` of a nixpkgs checkout
    ///
    /// Nothing of it is kept. It needs Python 3.13 with its modules (see --python), netpbm, and for networks vde2.
    #[arg(long, value_name = "FOLDER")]
    against: PathBuf,
    /// The Python that has the modules that --against needs; innkeeper's scripts run on it, too
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    /// Compare this program instead of a build of the working tree
    #[arg(long, value_name = "PROGRAM")]
    innkeeper: Option<PathBuf>,
    /// Have innkeeper use the guests' plain shell
    #[arg(long)]
    without_agent: bool,
    /// What QEMU runs on
    #[arg(long, default_value = "tcg", value_parser = ["kvm", "tcg"])]
    accel: String,
    /// How many scripts to run at once, each under both drivers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    at_once: u32,
    /// Keep what the drivers said in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Compare what is in the folder of --keep, without running anything
    #[arg(long, requires = "keep")]
    again: bool,
    /// Only scripts of tests/upstream that have one of these in their names
    names: Vec<String>,
}

/// Runs the scripts, and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let upstream = Upstream::find(&args.against, &args.python)?;
    let scripts = Script::all(&args.names)?;
    let stage = if args.again {
        None
    } else {
        setup::run(setup::Purpose::Runs)?;
        guests::run(&guests::Args::only("base"))?;
        args.keep.as_deref().map_or(Ok(()), fs::create_dir_all)?;
        Some(Stage::new(&upstream, program(args)?, args.without_agent, &args.accel)?)
    };
    let results = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..args.at_once {
            scope.spawn(|| {
                while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = compare(stage.as_ref(), script, args.keep.as_deref());
                    match &result {
                        Ok(comparison) => println!("{}: {}", script.name, comparison.verdict()),
                        Err(error) => println!("{}: {error:#}", script.name),
                    }
                    results.lock().expect("no thread panics").push((script, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics");
    results.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));

    println!(
        "\n| script | NixOS driver ends with | innkeeper ends with | what they say |\n| --- | --- | --- | --- |"
    );
    for (script, result) in &results {
        match result {
            Ok(it) => println!("| {} | {} | {} | {} |", script.name, it.upstream, it.ours, it.verdict()),
            Err(error) => println!("| {} | | | {error:#} |", script.name),
        }
    }
    let is_same = |result: &Result<Comparison>| result.as_ref().is_ok_and(Comparison::is_same);
    let same = results.iter().filter(|(_, result)| is_same(result)).count();
    println!("\n{same} of {} are the same ({})", results.len(), upstream.revision);
    for (script, result) in &results {
        if let Ok(comparison) = result
            && !comparison.is_same()
        {
            println!("\n--- {}: the NixOS driver (-), innkeeper (+)\n{}", script.name, comparison.diff);
        }
    }
    if same < results.len() {
        bail!("{} scripts differ", results.len() - same);
    }
    Ok(())
}

fn program(args: &Args) -> Result<PathBuf> {
    if let Some(program) = &args.innkeeper {
        return fs::canonicalize(program).with_context(|| format!("cannot run `{}`", program.display()));
    }
    command::run(&mut command::cargo(&["build", "--bin", "innkeeper"]))?;
    Ok(command::target()?.join("debug/innkeeper"))
}

/// Runs a script under both drivers at once, or takes what an earlier run has kept.
fn compare(stage: Option<&Stage<'_>>, script: &Script, keep: Option<&Path>) -> Result<Comparison> {
    let file = |side| keep.map(|folder| folder.join(format!("{}.{side}.json", script.name)));
    let ended = |side| {
        let Some(stage) = stage else {
            return Ended::kept(&file(side).context("--again goes with --keep")?);
        };
        let ended = stage.run(side, script)?;
        if let Some(file) = file(side) {
            ended.keep(&file)?;
        }
        Ok(ended)
    };
    let (upstream, ours) = std::thread::scope(|scope| {
        let upstream = scope.spawn(|| ended(Side::Upstream));
        let ours = ended(Side::Innkeeper);
        (upstream.join().expect("no thread panics"), ours)
    });
    Ok(Comparison::of(Said::read(&upstream?), Said::read(&ours?)))
}
