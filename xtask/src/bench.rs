//! `cargo xtask bench`: how fast the driver is: with its agent, with the plain shell, and beside the NixOS
//! test driver, which runs the same script on the same guest, taking turns with ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::upstream::Upstream;
use crate::{command, guests, setup};
use contestant::{Contestant, Job, Test};
use measures::Samples;
use script::{Findings, Plan};

mod contestant;
mod hypervisor;
mod measures;
mod moments;
mod network;
mod page;
mod process;
mod report;
mod script;
mod snapshots;
mod statistics;
mod versions;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Measure the NixOS test driver too: `nixos/lib/test-driver` of a nixpkgs checkout
    ///
    /// Nothing of it is kept. It needs Python 3.13 with its modules (see --python), and netpbm.
    #[arg(long, value_name = "FOLDER")]
    against: Option<PathBuf>,
    /// The Python that has the modules that --against needs
    #[arg(long, value_name = "PROGRAM", default_value = "python3", requires = "against")]
    python: String,
    /// How often each driver runs everything; they take turns
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: Option<u32>,
    /// How many waits of each kind a run takes, in one boot; round trips are ten times as many
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: Option<u32>,
    /// A few minutes instead of an hour: one run, with few samples; writes no results and no page
    #[arg(long)]
    quick: bool,
    /// Only commands and waits for units: one run, which writes no results and no page
    #[arg(long, conflicts_with = "quick")]
    commands: bool,
    /// Measure this program instead of a release build of the working tree
    #[arg(long, value_name = "PROGRAM")]
    innkeeper: Option<PathBuf>,
    /// Keep the drivers' logs and the script's findings in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// What else can be measured.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Measure the network between two guests, beside vde_switch and a bare pair of sockets
    Network(network::Args),
    /// Measure a machine that goes on from a snapshot, beside one that boots
    Snapshots(snapshots::Args),
}

/// Measures, prints a table, and keeps it in bench/results and docs/performance.md.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.part {
        Some(Part::Network(args)) => return network::run(args),
        Some(Part::Snapshots(args)) => return snapshots::run(args),
        None => {}
    }
    let upstream = args.against.as_deref().map(|folder| Upstream::find(folder, &args.python)).transpose()?;
    setup::run(setup::Purpose::Runs)?;
    guests::run(&guests::Args::only("base"))?;
    guests::run(&guests::Args::only("guestbook"))?;
    let program = program(args.innkeeper.as_deref())?;
    let work = work_folder()?;
    let versions = versions::Sources::find(args.innkeeper.is_none(), upstream.as_ref())?;
    let mut drivers = vec![Contestant::Agent, Contestant::Shell];
    drivers.extend(upstream.is_some().then_some(Contestant::Upstream));
    let is_short = args.quick || args.commands;
    let runs = args.runs.unwrap_or(if is_short { 1 } else { 5 });
    let plan = if args.commands {
        Plan::commands(args.samples.unwrap_or(10))
    } else if args.quick {
        Plan::quick(args.samples.unwrap_or(4))
    } else {
        Plan::full(args.samples.unwrap_or(10))
    };
    let mut bench = Bench {
        work: work.path(),
        program,
        upstream,
        keep: args.keep.clone(),
        machines: BTreeMap::new(),
        notes: Vec::new(),
        guest_kernel: String::new(),
        began: Instant::now(),
    };

    println!("trial: everything once, in small, before it counts");
    for &driver in &drivers {
        bench.round(driver, &plan.in_small(), args.commands, "trial")?;
    }
    // What failed in small fails at large too, and says so again there.
    bench.notes.clear();
    let mut samples = Samples::default();
    let mut failed = 0;
    for run in 0..runs {
        println!("run {} of {runs}", run + 1);
        // Nobody is always the first, with the host's caches as another driver has left them.
        drivers.rotate_left(usize::from(run > 0));
        for &driver in &drivers {
            match bench.round(driver, &plan.with_seed(run), args.commands, &format!("run {}", run + 1)) {
                Ok(round) => samples.add(driver, &round),
                // An hour of figures is not given up for one; the trial has shown that everything can work.
                Err(error) => {
                    println!("{error:#}");
                    bench.notes.push(format!("{driver}, run {}: {}", run + 1, error.root_cause()));
                    failed += 1;
                }
            }
        }
    }

    drivers.sort();
    let machine = bench.machines.get(&Test::Bench).context("no machine was seen running")?;
    let host = versions::Host::find(machine, &bench.guest_kernel)?;
    bench.notes.sort();
    bench.notes.dedup();
    let report = report::Report::new(&host, &versions, runs, &drivers, &samples, bench.notes);
    println!("\n{}", page::table(&report));
    if is_short {
        println!("a short run: not written down");
    } else {
        let file = report.write()?;
        page::update(&report)?;
        println!("written to {} and docs/performance.md", file.display());
    }
    if failed > 0 {
        bail!("{failed} times a driver failed; its figures lack those runs");
    }
    Ok(())
}

/// The name of a work folder begins so, and goes on with the number of the process that works there.
const WORK: &str = "innkeeper-bench-";

/// A folder for sockets, which need short paths, and for files to copy. It is gone in the end; one whose process was
/// killed goes with the next.
fn work_folder() -> Result<TempDir> {
    let temp = std::env::temp_dir();
    for entry in fs::read_dir(&temp)?.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(WORK)) else { continue };
        let process = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            // Somebody else's stays, unless we may remove it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let prefix = format!("{WORK}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(&temp).context("failed to make a work folder")
}

/// The program to measure: a fresh release build, unless one is named.
fn program(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = named {
        return fs::canonicalize(program).with_context(|| format!("cannot measure `{}`", program.display()));
    }
    command::run(&mut command::cargo(&["build", "--release", "--bin", "innkeeper"]))?;
    Ok(command::target()?.join("release/innkeeper"))
}

/// The measuring, so far.
struct Bench<'a> {
    work: &'a Path,
    program: PathBuf,
    upstream: Option<Upstream>,
    keep: Option<PathBuf>,
    /// QEMU's command line in each test, as innkeeper has started it.
    machines: BTreeMap<Test, hypervisor::CommandLine>,
    notes: Vec<String>,
    guest_kernel: String,
    began: Instant,
}

/// What one driver did in one round.
struct Round {
    findings: Findings,
    script: process::Usage,
    /// Not always run.
    guestbook: Option<process::Usage>,
}

impl Bench<'_> {
    /// Runs both tests under one driver, or the script alone.
    fn round(&mut self, driver: Contestant, plan: &Plan, alone: bool, name: &str) -> Result<Round> {
        let (script, findings) = self.job(driver, Test::Bench, plan, name)?;
        let findings = findings.context("the script has left no findings")?;
        for (section, error) in &findings.errors {
            println!("  {driver}: {section}: {error}");
            self.notes.push(format!("{driver}, {section}: {error}"));
        }
        self.guest_kernel.clone_from(&findings.guest_kernel);
        let guestbook = if alone { None } else { Some(self.job(driver, Test::Guestbook, plan, name)?.0) };
        Ok(Round { findings, script, guestbook })
    }

    fn job(
        &mut self,
        driver: Contestant,
        test: Test,
        plan: &Plan,
        name: &str,
    ) -> Result<(process::Usage, Option<Findings>)> {
        let folder = self.work.join("job");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("out"))?;
        let job = Job { driver, test, folder: &folder, port: &self.work.join("port"), plan };
        let mut command = match (driver, &self.upstream) {
            (Contestant::Upstream, Some(upstream)) => {
                let machine =
                    self.machines.get(&test).context("innkeeper has not started this machine yet")?;
                job.upstream(upstream, machine)?
            }
            _ => job.innkeeper(&self.program)?,
        };
        job.describe(&mut command)?;
        print!("  {:>4.0} s  {driver}: {test} ...", self.began.elapsed().as_secs_f64());
        std::io::Write::flush(&mut std::io::stdout())?;
        let log = folder.join("log");
        let moments = moments::Moments::listen(job.port)?;
        let outcome = process::run(&mut command, &log, test.limit());
        let moments = moments.end()?;
        if let Some(keep) = &self.keep {
            keep_files(&folder, &keep.join(format!("{name}-{test}-{driver}").replace(' ', "-")))?;
        }
        let (usage, machine) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                println!();
                let end = process::last_lines(&log, 20);
                return Err(error.context(format!("{driver} failed in the {test}; its last words:\n{end}")));
            }
        };
        println!(" {:.1} s", usage.seconds);
        if let Some(machine) = machine.filter(|_| driver != Contestant::Upstream) {
            self.machines.entry(test).or_insert(machine);
        }
        if test != Test::Bench {
            return Ok((usage, None));
        }
        let findings = Findings::read(&folder.join("findings.json"), usage.began, &moments)?;
        Ok((usage, Some(findings)))
    }
}

/// Copies what tells afterwards what a driver did.
fn keep_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to make `{}`", to.display()))?;
    for file in ["log", "findings.json"] {
        let file = Path::new(file);
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file))?;
        }
    }
    Ok(())
}
