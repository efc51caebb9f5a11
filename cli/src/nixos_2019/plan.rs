//! What the command line and the environment come to.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use driver_core::StatePlace;
use serde_json::{Value, json};

use super::Words;
use crate::nixos::plan::{Vm, machine_name};

/// Everything that a run needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) vms: Vec<Vm>,
    pub(super) vlans: Vec<u32>,
    /// The code to run, in Perl; without any, there is a prompt.
    pub(super) tests: Option<String>,
    /// Where the test's files go.
    pub(super) out_dir: PathBuf,
    pub(super) state: StatePlace,
    pub(super) xml: Option<PathBuf>,
    pub(super) html: bool,
    pub(super) report: Option<PathBuf>,
    pub(super) agent: bool,
    /// Settings of QEMU.
    pub(super) options: Value,
}

/// Makes the plan; `tests` is what to run where the environment does not say.
pub(super) fn make(words: Words, tests: Option<&str>) -> anyhow::Result<Plan> {
    let Words { start_scripts, with_report, with_log_html, with_accel, without_agent } = words;
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let tests = env::var("tests").ok().or_else(|| tests.map(str::to_owned));
    let mut vlans = BTreeSet::new();
    for vlan in env::var("VLANS").unwrap_or_default().split_whitespace() {
        let number = vlan.parse().with_context(|| format!("`{vlan}` in VLANS is no number of a VLAN"))?;
        vlans.insert(number);
    }
    let mut names = BTreeSet::new();
    let mut vms = Vec::new();
    for command in start_scripts {
        let name = machine_name(&command).to_owned();
        if !names.insert(name.clone()) {
            bail!("two machines are called `{name}`");
        }
        vms.push(Vm { name, command }.quoted());
    }
    let out_dir = std::path::absolute(set("out").unwrap_or_else(|| PathBuf::from(".")))?;
    let base = std::path::absolute(set("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")))?;
    for dir in [&out_dir, &base] {
        fs::create_dir_all(dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;
    }
    Ok(Plan {
        vms,
        vlans: vlans.into_iter().collect(),
        tests,
        out_dir,
        // Machines found what those of an earlier run had left.
        state: StatePlace { base, keep: true },
        xml: set("LOGFILE"),
        html: with_log_html,
        report: with_report,
        agent: !without_agent,
        options: with_accel.map_or(Value::Null, |accel| json!({ "accel": accel })),
    })
}
