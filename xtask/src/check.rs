//! `cargo xtask check`: all that is right or wrong without running the product.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, setup};

/// Runs every check, also after one has failed, and names the failed ones at the end.
pub(crate) fn run() -> Result<()> {
    setup::run(setup::Purpose::Checks)?;
    let mut failed = Vec::new();
    let mut check = |name: &'static str, mut command: Command| -> Result<()> {
        if !command::succeeds(&mut command)? {
            failed.push(name);
        }
        Ok(())
    };

    check("format", command::cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    check("lints", command::cargo(&clippy))?;
    let mut doc = command::cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    check("documentation", doc)?;

    if command::find("cargo-deny").is_some() {
        check("dependencies", command::cargo(&["deny", "check", "licenses", "bans", "sources"]))?;
    } else {
        println!("skipped: `cargo deny check` (get it with `cargo install --locked cargo-deny`)");
    }

    for command in script_checks()? {
        check("scripts", command)?;
    }

    failed.dedup();
    if !failed.is_empty() {
        bail!("failed checks: {}", failed.join(", "));
    }
    println!("all checks passed");
    Ok(())
}

/// One syntax check for each interpreter that our scripts need.
fn script_checks() -> Result<Vec<Command>> {
    let listed = command::output(&mut command::command("git", &["ls-files", "-co", "--exclude-standard"]))
        .context("failed to list the repository's files with git")?;
    let (mut python, mut perl, mut shell) = (Vec::new(), Vec::new(), Vec::new());
    for path in listed.lines() {
        match interpreter(path) {
            Some(Interpreter::Python) => python.push(path),
            Some(Interpreter::Perl) => perl.push(path),
            Some(Interpreter::Shell(name)) => shell.push((name, path)),
            None => {}
        }
    }

    let mut checks = Vec::new();
    // Each shell reads one script at a time.
    checks.extend(shell.into_iter().map(|(name, path)| command::command(name, &["-n", path])));
    if !python.is_empty() {
        let mut compile = command::command("python3", &["-m", "py_compile"]);
        compile.args(python).env("PYTHONPYCACHEPREFIX", command::target()?.join("pycache"));
        checks.push(compile);
    }
    // A test in Perl is made of words that only the driver's client knows; the tests run it.
    let tests = ["examples/", "tests/conformance/"];
    for path in perl.into_iter().filter(|path| !tests.iter().any(|folder| path.starts_with(folder))) {
        let mut compile = command::command("perl", &["-c"]);
        // A module's name says how far above it its library begins; one of these is it.
        let folders = Path::new(path).ancestors().skip(1).filter(|folder| *folder != Path::new(""));
        for folder in folders {
            compile.arg("-I").arg(folder);
        }
        compile.arg(path);
        checks.push(compile);
    }
    Ok(checks)
}

enum Interpreter {
    Python,
    Perl,
    Shell(&'static str),
}

/// What reads a file: told by its ending or else by its first line.
fn interpreter(path: &str) -> Option<Interpreter> {
    match Path::new(path).extension().and_then(|ending| ending.to_str()) {
        Some("py") => return Some(Interpreter::Python),
        Some("pl" | "pm") => return Some(Interpreter::Perl),
        Some("sh") => return Some(Interpreter::Shell("sh")),
        Some("bash") => return Some(Interpreter::Shell("bash")),
        _ => {}
    }
    let content = fs::read(command::root().join(path)).ok()?;
    let first = content.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let first = String::from_utf8_lossy(first);
    if first.contains("bash") {
        Some(Interpreter::Shell("bash"))
    } else if first.ends_with("sh") || first.ends_with("busybox sh") {
        Some(Interpreter::Shell("sh"))
    } else if first.contains("python") {
        Some(Interpreter::Python)
    } else if first.contains("perl") {
        Some(Interpreter::Perl)
    } else {
        None
    }
}
