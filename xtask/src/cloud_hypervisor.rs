//! `cargo xtask test-cloud-hypervisor`: the backend's tests on the real program, and tests of ours with no change but
//! the backend's name. A host whose KVM is of use runs them itself; on any other, a machine runs them that QEMU's
//! translator gives a KVM of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use backend_kit::probe_kvm;
use serde_json::{Value, json};

use crate::{command, guests, setup};

/// The environment variable that says where the program is.
const PROGRAM: &str = "CLOUD_HYPERVISOR";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run it inside a machine even if this host could run it
    #[arg(long)]
    nested: bool,
    /// Only the backend's own tests whose names have this in them
    filter: Option<String>,
}

/// The backend's own tests that need the program; the others have a stand-in for it.
const WITH_PROGRAM: [&str; 3] = ["contract::", "endings::", "firmware::a_machine_boots"];

/// The tests of ours, as manifests: they run with `--backend cloud-hypervisor`, or say which machine does.
const MANIFESTS: [&str; 3] = [
    "examples/mixed/mixed.toml",
    "examples/guestbook/guestbook-perl.toml",
    "backend-cloud-hypervisor/tests/snapshots.toml",
];

/// What serves shared directories, and a test of it, where it is there.
const SERVER: &str = "virtiofsd";
const WITH_SERVER: &str = "backend-cloud-hypervisor/tests/shares.toml";

/// How much longer all may take in a machine that is translated, and runs a machine: the tests' own limits are made
/// that many times as long, and a manifest's limits are replaced.
const PATIENCE: u32 = 6;
const MANIFEST_LIMIT: &str = "1h";
const BOOT_LIMIT: &str = "30m";

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
    guests::run(&guests::Args::only("nested"))?;
    inside(args, &program, &innkeeper, &tests)
}

fn find() -> Result<PathBuf> {
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
    let filters = args.filter.clone().unwrap_or_else(|| WITH_PROGRAM.join(" "));
    // One after the other: each has a machine of its own.
    let own = format!(
        "REQUIRE_VM=1 REQUIRE_CLOUD_HYPERVISOR=1 {variable} {} --test-threads=1 {filters}",
        tests.display()
    );
    let mut commands = vec![("the backend's own tests".to_owned(), own)];
    if args.filter.is_none() {
        let shares = command::find(SERVER).map(|_| WITH_SERVER);
        commands.extend(MANIFESTS.into_iter().chain(shares).map(|manifest| {
            let run = format!(
                "{} run --backend cloud-hypervisor {} -o {} {limit}",
                innkeeper.display(),
                root.join(manifest).display(),
                out.join(manifest.replace(['/', '.'], "-")).display(),
            );
            (manifest.to_owned(), run)
        }));
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
    let work = command::target()?.join("nested");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    // One folder to share, with just what is needed: the guest may write to what it is given.
    let given = work.join("given");
    fs::create_dir_all(&given)?;
    let server = command::find(SERVER);
    let programs = [(program, "cloud-hypervisor"), (innkeeper, "innkeeper"), (tests, "tests")];
    for (from, name) in programs.into_iter().chain(server.as_deref().map(|server| (server, SERVER))) {
        fs::copy(from, given.join(name)).with_context(|| format!("failed to copy `{}`", from.display()))?;
    }
    for folder in MANIFESTS.iter().filter_map(|manifest| Path::new(manifest).parent()) {
        copy_folder(&command::root().join(folder), &given.join(folder))?;
    }
    for manifest in MANIFESTS.iter().chain(&[WITH_SERVER]) {
        be_patient(&given.join(manifest))?;
    }
    let root = PathBuf::from("/tmp/given");
    let place = Place {
        tests: root.join("tests"),
        innkeeper: root.join("innkeeper"),
        root,
        out: "/run/t/out".into(),
        patience: (format!("TEST_PATIENCE={PATIENCE}"), format!("--timeout {MANIFEST_LIMIT}")),
    };
    let all = commands(args, &place);
    // Not a share, which a guest may write to.
    let images = format!(
        "local,path={},mount_tag=images,security_model=none,multidevs=remap,readonly=on",
        guests::images()?.display().to_string().replace(',', ",,")
    );
    let manifest = work.join("nested.toml");
    let text = toml::to_string(&json!({
        "name": "cloud-hypervisor",
        "script": command::root().join("backend-cloud-hypervisor/tests/nested.py"),
        "timeout": "2h",
        "machines": { "host": {
            "image": "nested",
            // For a few machines at once; what they do not use is not taken.
            "memory": "4G",
            "cores": 2,
            "qemu": { "accel": "tcg", "extra_args": ["-virtfs", images] },
            "shares": { "given": given },
        }},
    }))?;
    fs::write(&manifest, text)?;
    let mut run = command::command(&innkeeper.to_string_lossy(), &["run"]);
    run.arg(&manifest).arg("-o").arg(work.join("out"));
    run.env("NESTED_COMMANDS", serde_json::to_string(&all)?);
    command::run(&mut run)
}

/// Gives the machines of a manifest more time to boot.
fn be_patient(manifest: &Path) -> Result<()> {
    let mut test: Value = toml::from_str(&fs::read_to_string(manifest)?)?;
    let machines = test["machines"].as_object_mut().context("a manifest has machines")?;
    for machine in machines.values_mut() {
        machine["boot_timeout"] = json!(BOOT_LIMIT);
    }
    fs::write(manifest, toml::to_string(&test)?)?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read `{}`", from.display()))? {
        let entry = entry?.path();
        let Some(name) = entry.file_name() else { continue };
        let target = to.join(name);
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}
