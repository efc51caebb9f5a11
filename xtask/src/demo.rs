//! `cargo xtask demo`: from nothing to a test that passed on a real virtual machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{command, guests, setup};

/// The runs: the folder that the results go to, and the manifest.
const RUNS: [(&str, &str); 2] =
    [("python", "examples/guestbook/guestbook.toml"), ("perl", "examples/guestbook/guestbook-perl.toml")];

struct Outcome {
    name: &'static str,
    passed: bool,
    took: Duration,
}

/// Sets up, builds, and runs the guestbook test in both languages.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Purpose::Runs)?;
    guests::run(&guests::Args::only("guestbook"))?;
    command::run(&mut command::cargo(&["build", "--release", "--bin", "innkeeper"]))?;

    let target = command::target()?;
    let results = target.join("demo");
    let program = target.join("release/innkeeper");
    let mut outcomes = Vec::new();
    for (name, manifest) in RUNS {
        let result = results.join(name);
        remove(&result)?;
        println!();
        let begun = Instant::now();
        let mut run = command::command(&short(&program), &["run", manifest, "-o"]);
        let passed = command::succeeds(run.arg(short(&result)))?;
        outcomes.push(Outcome { name, passed, took: begun.elapsed() });
    }

    println!();
    for Outcome { name, passed, took } in &outcomes {
        let word = if *passed { "passed" } else { "FAILED" };
        let result = results.join(name);
        println!("{name:<8}{word} in {:.1} s; results in {}:", took.as_secs_f64(), short(&result));
        for file in files(&result, &result)? {
            println!("          {file}");
        }
    }
    if outcomes.iter().any(|outcome| !outcome.passed) {
        bail!("the demo failed (its results tell why; `innkeeper doctor` tells what this host can do)");
    }
    Ok(())
}

/// A path as it reads from the repository's root, where the commands run.
fn short(path: &Path) -> String {
    path.strip_prefix(command::root()).unwrap_or(path).display().to_string()
}

fn remove(result: &Path) -> Result<()> {
    if result.exists() {
        fs::remove_dir_all(result)
            .with_context(|| format!("failed to remove the last `{}`", result.display()))?;
    }
    Ok(())
}

/// Every file below a folder with its size, sorted.
fn files(folder: &Path, below: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, below)?);
        } else {
            let name = path.strip_prefix(below).unwrap_or(&path).display();
            found.push(format!("{name} ({} bytes)", path.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}
