//! `cargo xtask test-cloud-hypervisor`: the backend's tests on the real program, and tests of ours with no change but
//! the backend's name. A host whose KVM is of use runs them itself; on any other, a machine runs them that QEMU's
//! translator gives a KVM of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use backend_kit::probe_kvm;
use serde_json::Value;

use crate::nested::{self, Nested};
use crate::{command, guests, setup};

/// The environment variable that says where the program is.
const PROGRAM: &str = "CLOUD_HYPERVISOR";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run it inside a machine even if this host could run it
    #[arg(long)]
    nested: bool,
    /// Only the manifests that have this in their paths, or else the backend's own tests that have it in their names
    filter: Option<String>,
}

/// The backend's own tests that need the program; the others have a stand-in for it.
const WITH_PROGRAM: [&str; 3] = ["contract::", "endings::", "firmware::a_machine_boots"];

/// The tests of ours, as manifests: they run with `--backend cloud-hypervisor`, or say which machine does.
const MANIFESTS: [&str; 3] = [
    "examples/mixed/mixed.toml",
    "examples/guestbook/guestbook.toml",
    "backend-cloud-hypervisor/tests/snapshots.toml",
];

/// What serves shared directories, and a test of it, where it is there.
const SERVER: &str = "virtiofsd";
const WITH_SERVER: &str = "backend-cloud-hypervisor/tests/shares.toml";

/// How much longer the backend's own tests may take in a machine that is translated, and runs a machine: their limits
/// are made that many times as long.
const PATIENCE: u32 = 6;

/// Finds the program, builds, and runs all of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let program = find()?;
    let version = command::output(&mut command::command(&program.to_string_lossy(), &["--version"]));
    println!(
        "{}: {}",
        program.display(),
        version.iter().flat_map(|it| it.lines()).next().unwrap_or("no version")
    );
    setup::run(setup::Purpose::Runs)?;
    for image in ["base", "guestbook", "cluster"] {
        guests::run(&guests::Args::only(image))?;
    }
    let kvm = probe_kvm();
    println!("{kvm}");
    let (innkeeper, tests) = build()?;
    if kvm.is_usable() && !args.nested {
        return here(args, &program, &innkeeper, &tests);
    }
    inside(args, &program, &innkeeper, &tests)
}

/// Finds the program.
pub(crate) fn find() -> Result<PathBuf> {
    let named = env::var_os(PROGRAM).map(PathBuf::from);
    let found = named.or_else(|| command::find("cloud-hypervisor"));
    let program = found.with_context(|| {
        format!("there is no `cloud-hypervisor` on the PATH (say where it is with {PROGRAM}; no Debian package has it)")
    })?;
    fs::canonicalize(&program).with_context(|| format!("cannot use `{}`", program.display()))
}

/// Builds the program, and the backend's tests.
fn build() -> Result<(PathBuf, PathBuf)> {
    command::run(&mut command::cargo(&["build", "--bin", "innkeeper"]))?;
    let mut tests = command::cargo(&["test", "--no-run", "--message-format=json"]);
    let tests = tests.args(["--package", "backend-cloud-hypervisor", "--test", "integration"]);
    let said = command::output(tests).context("failed to build the backend's tests")?;
    let executable = said.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    Ok((command::target()?.join("debug/innkeeper"), executable.context("cargo names no test program")?))
}

/// Where things are, on this host or in the machine.
struct Place {
    tests: PathBuf,
    innkeeper: PathBuf,
    /// What the manifests' paths are relative to.
    root: PathBuf,
    out: PathBuf,
    /// What comes before the tests, and after a run's other arguments.
    patience: (String, String),
}

/// What is to be run where the KVM is: a name, and a command of the shell.
fn commands(args: &Args, place: &Place) -> Vec<(String, String)> {
    let Place { tests, innkeeper, root, out, patience: (variable, limit) } = place;
    let shares = command::find(SERVER).map(|_| WITH_SERVER);
    let manifests = MANIFESTS.into_iter().chain(shares);
    let meant = |name: &str| args.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let mut commands: Vec<_> = manifests
        .filter(|manifest| meant(manifest))
        .map(|manifest| {
            let run = format!(
                "{} run --backend cloud-hypervisor {} -o {} {limit}",
                innkeeper.display(),
                root.join(manifest).display(),
                out.join(manifest.replace(['/', '.'], "-")).display(),
            );
            (manifest.to_owned(), run)
        })
        .collect();
    if args.filter.is_none() || commands.is_empty() {
        let filters = args.filter.clone().unwrap_or_else(|| WITH_PROGRAM.join(" "));
        // One after the other: each has a machine of its own. First of all, since they take the longest.
        let own = format!(
            "REQUIRE_VM=1 REQUIRE_CLOUD_HYPERVISOR=1 {variable} {} --test-threads=1 {filters}",
            tests.display()
        );
        commands.insert(0, ("the backend's own tests".to_owned(), own));
    }
    commands
}

fn here(args: &Args, program: &Path, innkeeper: &Path, tests: &Path) -> Result<()> {
    let place = Place {
        tests: tests.to_owned(),
        innkeeper: innkeeper.to_owned(),
        root: command::root(),
        out: command::target()?.join("cloud-hypervisor"),
        patience: (String::new(), String::new()),
    };
    let mut failed = Vec::new();
    for (name, line) in commands(args, &place) {
        println!("\n{name}: {line}");
        let mut shell = command::command("sh", &["-c", &line]);
        if !command::succeeds(shell.env(PROGRAM, program))? {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// Runs the commands in a machine of innkeeper's own.
fn inside(args: &Args, program: &Path, innkeeper: &Path, tests: &Path) -> Result<()> {
    let machine = Nested::new(&command::target()?.join("nested"))?;
    machine.give(program, "cloud-hypervisor")?;
    machine.give(innkeeper, "innkeeper")?;
    machine.give(tests, "tests")?;
    if let Some(server) = command::find(SERVER) {
        machine.give(&server, SERVER)?;
    }
    for manifest in MANIFESTS.iter().chain(&[WITH_SERVER]) {
        machine.give_test(manifest)?;
    }
    let root = PathBuf::from(nested::GIVEN);
    let place = Place {
        tests: root.join("tests"),
        innkeeper: root.join("innkeeper"),
        root,
        out: nested::OUT.into(),
        patience: (format!("TEST_PATIENCE={PATIENCE}"), format!("--timeout {}", nested::TEST_LIMIT)),
    };
    machine.run(innkeeper, &commands(args, &place)).map(drop)
}
