//! `cargo xtask bench network`: what passes between two guests over our switch, over vde_switch, and over a bare pair
//! of sockets, taking turns; then the switch alone, without guests.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use super::hypervisor::CommandLine;
use super::statistics::{quantile_of_runs, ratio};
use super::{page, process, versions};
use crate::{command, guests, setup};

/// How long one run of the script may take.
const LIMIT: Duration = Duration::from_secs(900);

/// How `cargo xtask bench network` measures.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each network is built up; they take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    /// One run of a few seconds; writes no results and no page
    #[arg(long)]
    quick: bool,
    /// Measure this program instead of a release build of the working tree
    #[arg(long, value_name = "PROGRAM")]
    innkeeper: Option<PathBuf>,
}

/// What is between the guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Wire {
    /// A VLAN of innkeeper's, by QEMU's stream sockets.
    Innkeeper,
    /// The switch of the NixOS driver, called as that driver calls it.
    VdeSwitch,
    /// Two QEMUs that are connected with each other, and nobody between.
    Pair,
}

const WIRES: [Wire; 3] = [Wire::Innkeeper, Wire::VdeSwitch, Wire::Pair];

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Innkeeper => "innkeeper",
            Self::VdeSwitch => "vde_switch",
            Self::Pair => "bare pair of sockets",
        })
    }
}

/// What is measured: its key in the script's figures, its name, its unit, the quantile, and whether less is better.
const MEASURES: [(&str, &str, &str, f64, bool); 5] = [
    ("tcp_mib_per_second", "TCP, one stream (iperf3)", "MiB/s", 0.5, false),
    ("frames_per_second", "frames of 64 bytes (iperf3, UDP)", "/s", 0.5, false),
    ("cpu_seconds_per_gib", "the switch's processor time for a GiB of TCP", "s", 0.5, true),
    ("ping_ms", "there and back (ping)", "ms", 0.5, true),
    ("ping_ms", "the same, 99th percentile", "ms", 0.99, true),
];

/// What one run of the script has found, by measure.
type Figures = BTreeMap<String, Vec<f64>>;

/// Samples by wire and measure, run by run.
type Samples = BTreeMap<Wire, BTreeMap<String, Vec<Vec<f64>>>>;

/// Measures, prints a table, and keeps it in bench/results and docs/performance.md.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::run(setup::Purpose::Tests)?;
    guests::run(&guests::Args::only("cluster"))?;
    let program = super::program(args.innkeeper.as_deref())?;
    let work = super::work_folder()?;
    let sources = versions::Sources::find(args.innkeeper.is_none(), None)?;
    let runs = if args.quick { 1 } else { args.runs };
    let mut samples = Samples::new();
    let mut machine = None;
    let mut wires = WIRES;
    let began = Instant::now();
    for run in 0..runs {
        println!("run {} of {runs}", run + 1);
        for wire in wires {
            let folder = work.path().join(format!("{run}-{}", wire as u8));
            let round = Round { wire, program: &program, folder: &folder, quick: args.quick };
            let (figures, seen) = round.run().with_context(|| format!("over {wire}"))?;
            println!("  {:>4.0} s  {wire}", began.elapsed().as_secs_f64());
            machine = machine.or(seen);
            for (name, values) in figures {
                samples.entry(wire).or_default().entry(name).or_default().push(values);
            }
        }
        // Nobody is always the first.
        wires.rotate_left(1);
    }
    println!("\n{}", table(&samples));
    println!("the switch without guests:");
    command::run(&mut command::cargo(&["bench", "--package", "vlan"]))?;
    if args.quick {
        println!("a quick run: not written down");
        return Ok(());
    }
    let machine = machine.context("no machine was seen running")?;
    let host = versions::Host::find(&machine, "of the image `cluster`")?;
    let about = format!(
        "Measured on {}: {}, {} cores, QEMU {} with {}; load of the host in the end: {}. innkeeper: {}. {runs} runs of \
         each, taking turns.",
        host.date,
        host.cpu.replace('|', "/"),
        host.cores,
        host.qemu,
        host.accelerator.to_uppercase(),
        host.load,
        sources.innkeeper
    );
    page::update_network(&format!("{about}\n\n{}", table(&samples)))?;
    let file = format!("bench/results/{}-network.json", host.name());
    let written = json!({ "host": host, "sources": sources, "samples": samples });
    fs::write(command::root().join(&file), serde_json::to_string_pretty(&written)? + "\n")
        .with_context(|| format!("failed to write `{file}`"))?;
    println!("written to {file} and docs/performance.md");
    Ok(())
}

/// One network that is built up, measured, and taken down.
struct Round<'a> {
    wire: Wire,
    program: &'a Path,
    folder: &'a Path,
    quick: bool,
}

impl Round<'_> {
    fn run(&self) -> Result<(Figures, Option<CommandLine>)> {
        fs::create_dir_all(self.folder)?;
        let switch = (self.wire == Wire::VdeSwitch).then(|| VdeSwitch::start(&self.socket())).transpose()?;
        let manifest = self.folder.join("network.toml");
        fs::write(&manifest, toml::to_string(&self.manifest())?)?;
        let result = self.folder.join("figures.json");
        let plan = json!({
            "switch_pid": switch.as_ref().map(|switch| switch.0.id()),
            "switch_thread": (self.wire == Wire::Innkeeper).then_some("vlan-1"),
            "address_by_hand": self.wire != Wire::Innkeeper,
            "seconds": if self.quick { 3 } else { 10 },
            "pings": if self.quick { 20 } else { 200 },
            "repeats": if self.quick { 1 } else { 3 },
        });
        let mut command = command::process_that_ends_with_us(self.program.as_os_str());
        command.arg("run").arg(&manifest).arg("-o").arg(self.folder.join("out"));
        command.env("BENCH_PLAN", plan.to_string()).env("BENCH_RESULT", &result);
        let log = self.folder.join("log");
        let (_, machine) = process::run(&mut command, &log, LIMIT).map_err(|error| {
            error.context(format!("it failed; its last words:\n{}", process::last_lines(&log, 20)))
        })?;
        let figures = fs::read_to_string(&result).context("the script has left no figures")?;
        Ok((serde_json::from_str(&figures)?, machine))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("wire")
    }

    fn manifest(&self) -> Value {
        json!({
            "name": "network",
            "script": command::root().join("bench/network.py"),
            "timeout": "14m",
            "machines": { "one": self.machine(1, false), "two": self.machine(2, true) },
        })
    }

    fn machine(&self, number: u8, listens: bool) -> Value {
        let wire = self.socket().display().to_string();
        let netdev = match self.wire {
            Wire::Innkeeper => return json!({ "image": "cluster", "vlans": [1] }),
            Wire::VdeSwitch => format!("vde,id=wire,sock={wire}"),
            Wire::Pair if listens => format!("stream,id=wire,server=on,addr.type=unix,addr.path={wire}"),
            Wire::Pair => format!("stream,id=wire,server=off,addr.type=unix,addr.path={wire}"),
        };
        let card = format!("virtio-net-pci,netdev=wire,mac=52:54:00:12:01:{number:02x},romfile=");
        json!({ "image": "cluster", "qemu": { "extra_args": ["-netdev", netdev, "-device", card] } })
    }
}

/// The NixOS driver's switch, called as that calls it (compat.md 3.6). It ends when its standard input does.
struct VdeSwitch(Child);

impl VdeSwitch {
    fn start(socket: &Path) -> Result<Self> {
        let mut command = command::process_that_ends_with_us("vde_switch".as_ref());
        command.arg("--sock").arg(socket).args(["--dirmode", "0700", "--hub"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("no vde_switch")?;
        let switch = Self(child);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !socket.join("ctl").exists() {
            if Instant::now() > deadline {
                bail!("vde_switch has made no socket within 5 s");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(switch)
    }
}

impl Drop for VdeSwitch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The table, in Markdown: a row for each measure, a column for each wire, and how we compare with vde_switch.
fn table(samples: &Samples) -> String {
    let none = Vec::new();
    let of = |wire, key: &str| samples.get(&wire).and_then(|by| by.get(key)).unwrap_or(&none);
    let mut lines = vec![vec![String::new()]];
    lines[0].extend(WIRES.map(|wire| wire.to_string()));
    lines[0].push("innkeeper: times better than vde_switch".to_owned());
    for (key, title, unit, at, less) in MEASURES {
        let mut cells = vec![title.to_owned()];
        for wire in WIRES {
            let value = |at| quantile_of_runs(of(wire, key), at).map(page::number);
            cells.push(match (value(at), value(0.1), value(0.9)) {
                (Some(value), Some(low), Some(high)) if at < 0.9 => {
                    format!("{value} {unit} ({low} to {high})")
                }
                (Some(value), ..) => format!("{value} {unit}"),
                _ => "-".to_owned(),
            });
        }
        let (ours, theirs) = (of(Wire::Innkeeper, key), of(Wire::VdeSwitch, key));
        let better = if less { ratio(theirs, ours, at) } else { ratio(ours, theirs, at) };
        cells.push(better.map_or("-".to_owned(), page::factor));
        lines.push(cells);
    }
    page::aligned(&lines)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Samples, Wire, table};

    #[test]
    fn a_row_says_how_many_times_better_ours_is_and_what_no_wire_has_is_a_dash() {
        let figures = |tcp: f64, ping: f64| {
            BTreeMap::from([
                ("tcp_mib_per_second".to_owned(), vec![vec![tcp; 3]]),
                ("ping_ms".to_owned(), vec![vec![ping; 9]]),
            ])
        };
        let samples =
            Samples::from([(Wire::Innkeeper, figures(60.0, 1.0)), (Wire::VdeSwitch, figures(30.0, 4.0))]);
        let table = table(&samples);
        let row = |title: &str| {
            let line = table.lines().find(|line| line.contains(title)).unwrap_or_else(|| panic!("{table}"));
            line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            row("TCP, one stream")[2..5],
            ["60.0 MiB/s (60.0 to 60.0)", "30.0 MiB/s (30.0 to 30.0)", "-"]
        );
        assert!(row("TCP, one stream")[5].starts_with("2.00"), "{table}");
        assert!(row("99th")[5].starts_with("4.00"), "{table}");
    }
}
