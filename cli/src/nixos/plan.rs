//! What either command line comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use driver_core::{StatePlace, quote};
use serde_json::{Value, json};

use super::args::{Common, Wishes, WithArguments, WithFile, WithScripts};
use super::backdoor::Backdoor;
use super::config::{Config, Machine};
use super::usage::{Problem, Said};
use super::{early, place};

/// A machine, or a container: its name, and the shell command that starts it.
#[derive(Debug, Clone)]
pub(crate) struct Vm {
    pub(crate) name: String,
    pub(crate) command: String,
}

/// Everything that a run needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) vms: Vec<Vm>,
    pub(super) containers: Vec<Vm>,
    pub(super) vlans: Vec<u32>,
    pub(super) script: Source,
    /// The time that the test may take, if there is a limit.
    pub(super) timeout: Option<Duration>,
    /// Where the test's files go.
    pub(super) out_dir: PathBuf,
    pub(super) state: StatePlace,
    pub(super) shows_debug: bool,
    pub(super) xml: Option<PathBuf>,
    pub(super) junit: Option<PathBuf>,
    pub(super) html: bool,
    pub(super) report: Option<PathBuf>,
    pub(super) agent: bool,
    /// Settings of QEMU.
    pub(super) options: Value,
    pub(super) manner: Manner,
    /// The way into the machines by SSH, if it is wanted and can be had.
    pub(super) backdoor: Option<Backdoor>,
    /// A prompt instead of the test.
    pub(super) interactive: bool,
    /// What the client is told of all this.
    pub(super) setup: Value,
    /// Lines that are printed before the test.
    pub(super) told: Vec<String>,
}

/// Where the script is.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    /// The script itself.
    Text(String),
}

/// Whose messages are to be matched: those of NixOS 26.05 and later, or of 25.11 and earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Present,
    Old,
}

impl Manner {
    fn generation(self) -> u32 {
        match self {
            Self::Present => 26,
            Self::Old => 25,
        }
    }
}

/// Makes the plan of a command line.
pub(super) fn make(wishes: Wishes) -> Result<Plan, Problem> {
    match wishes {
        Wishes::File(wishes) => with_file(wishes),
        Wishes::Scripts(wishes) => with_scripts(wishes),
        Wishes::Arguments(wishes) => with_arguments(wishes),
    }
}

fn with_file(wishes: WithFile) -> Result<Plan, Problem> {
    let WithFile { config: file, test_script, keep_machine_state, keep_vm_state, log_level, common } = wishes;
    let out_dir = output::<WithFile>(&common)?;
    let (config, whole) = Config::read(&file)?;
    let described = |machines: BTreeMap<String, Machine>| -> Vec<Vm> {
        machines.into_iter().map(|(name, machine)| Vm { name, command: machine.start_script }).collect()
    };
    let basis = Basis {
        manner: Manner::Present,
        vms: described(config.vms),
        containers: described(config.containers),
        vlans: config.vlans,
        script: Source::File(test_script.unwrap_or(config.test_script)),
        timeout: Some(config.global_timeout),
        keep: keep_machine_state || keep_vm_state,
        log_level: log_level.or_else(|| env::var("logLevel").ok().filter(|level| !level.is_empty())),
        config: whole,
    };
    let mut plan = basis.plan(common, out_dir)?;
    if config.enable_ssh_backdoor && !plan.vms.is_empty() {
        match Backdoor::new(&plan.vms, &plan.state.base) {
            Ok(backdoor) => {
                plan.told.extend(backdoor.told());
                plan.setup["vhost_vsock"] = backdoor.describe();
                plan.backdoor = Some(backdoor);
            }
            Err(error) => plan.told.push(error.chain()),
        }
    }
    Ok(plan)
}

fn with_scripts(wishes: WithScripts) -> Result<Plan, Problem> {
    let out_dir = output::<WithScripts>(&wishes.common)?;
    let words = |given: Option<Vec<String>>, variable: &str| {
        given.or_else(|| {
            let text = env::var(variable).ok()?;
            Some(text.split_whitespace().map(str::to_owned).collect())
        })
    };
    let mut missing = Vec::new();
    let script = wishes.test_script.or_else(|| env::var_os("testScript").map(PathBuf::from));
    if script.is_none() {
        missing.push("testscript");
    }
    if !missing.is_empty() {
        let problem = format!("the following arguments are required: {}", missing.join(", "));
        return Err(Said::wrong::<WithScripts>(problem));
    }
    let script = script.unwrap_or_default();
    let names = wishes.vm_names.unwrap_or_default();
    let scripts = match wishes.vm_start_scripts {
        Some(scripts) => scripts,
        None => words(wishes.start_scripts, "startScripts").unwrap_or_default(),
    };
    let vms: Vec<Vm> = scripts
        .into_iter()
        .enumerate()
        .map(|(index, command)| {
            let name = names.get(index).cloned().unwrap_or_else(|| machine_name(&command));
            Vm { name, command }
        })
        .collect();
    let timeout = match (wishes.global_timeout, env::var("globalTimeout")) {
        (Some(seconds), _) => Some(seconds),
        (None, Ok(text)) => Some(text.parse().map_err(|_| {
            Said::wrong::<WithScripts>(format!("argument --global-timeout: invalid int value: '{text}'"))
        })?),
        (None, Err(_)) => None,
    };
    let told = wishes.dump_vsocks.map_or_else(Vec::new, |offset| {
        let number = |(vm, index): (&Vm, u32)| {
            format!("{}: ssh -o User=root vsock/{}", vm.name, u64::from(offset) + u64::from(index))
        };
        vms.iter().zip(1..).map(number).collect()
    });
    let basis = Basis {
        manner: Manner::Old,
        vms,
        containers: Vec::new(),
        vlans: numbers_of(words(wishes.vlans, "vlans").unwrap_or_default())?,
        script: Source::File(script),
        timeout: timeout.map(Duration::from_secs),
        keep: wishes.keep_vm_state,
        log_level: None,
        config: json!({}),
    };
    let plan = basis.plan(wishes.common, out_dir)?;
    Ok(Plan { told, ..plan })
}

fn with_arguments(wishes: WithArguments) -> Result<Plan, Problem> {
    let WithArguments { keep_vm_state, start_scripts, mut common } = wishes;
    let out = || env::var_os("out").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    common.output_directory = common.output_directory.or_else(out);
    let out_dir = output::<WithArguments>(&common)?;
    let script = env::var("testScript").unwrap_or_default();
    let tests = env::var("tests").ok();
    common.interactive |= tests.is_none();
    // What is to be run instead of the script, and may run it.
    let (script, tests) = match tests.filter(|tests| !early::is_the_script(tests)) {
        Some(tests) if script.is_empty() => (tests, None),
        tests => (script, tests),
    };
    let basis = Basis {
        manner: Manner::Old,
        vms: start_scripts.into_iter().map(|command| Vm { name: machine_name(&command), command }).collect(),
        containers: Vec::new(),
        vlans: numbers_of(env::var("VLANS").unwrap_or_default().split_whitespace())?,
        script: Source::Text(script),
        timeout: None,
        keep: keep_vm_state,
        log_level: None,
        config: json!({}),
    };
    let mut plan = basis.plan(common, out_dir)?;
    plan.setup["tests"] = tests.into();
    Ok(plan)
}

/// The numbers of VLANs, in order.
fn numbers_of(words: impl IntoIterator<Item: AsRef<str>>) -> anyhow::Result<Vec<u32>> {
    let mut numbers = BTreeSet::new();
    for word in words {
        let word = word.as_ref();
        numbers.insert(word.parse().with_context(|| format!("`{word}` is no number of a VLAN"))?);
    }
    Ok(numbers.into_iter().collect())
}

fn output<P: clap::CommandFactory>(common: &Common) -> Result<PathBuf, Problem> {
    let given = common.output_directory.as_deref();
    if let Some(problem) = given.and_then(place::problem_of_output) {
        return Err(Said::wrong::<P>(problem));
    }
    let dir = given.unwrap_or(Path::new("."));
    Ok(dir.canonicalize().with_context(|| format!("`{}` cannot be used", dir.display()))?)
}

/// What the command lines say in their own ways.
struct Basis {
    manner: Manner,
    vms: Vec<Vm>,
    containers: Vec<Vm>,
    vlans: Vec<u32>,
    script: Source,
    timeout: Option<Duration>,
    keep: bool,
    log_level: Option<String>,
    config: Value,
}

impl Basis {
    fn plan(self, common: Common, out_dir: PathBuf) -> anyhow::Result<Plan> {
        let Self { manner, vms, containers, vlans, script, timeout, keep, log_level, config } = self;
        let mut seen = BTreeSet::new();
        if let Some(twice) = vms.iter().chain(&containers).find(|vm| !seen.insert(vm.name.as_str())) {
            bail!("two machines are called `{}`", twice.name);
        }
        let log_level = log_level.unwrap_or_else(|| "info".to_owned());
        if !["debug", "info", "warning", "error"].contains(&log_level.as_str()) {
            bail!("logLevel is `{log_level}` (it can be debug, info, warning or error)");
        }
        let setup = json!({
            "generation": manner.generation(),
            "log_level": log_level,
            "keep_machine_state": keep,
            "debug_hook": common.debug_hook_attach,
            "timeout_s": timeout.map(|limit| limit.as_secs_f64()),
            "config": config,
        });
        Ok(Plan {
            vms: vms.into_iter().map(Vm::quoted).collect(),
            containers: containers.into_iter().map(Vm::quoted).collect(),
            vlans,
            script,
            timeout: timeout.filter(|_| !common.interactive),
            interactive: common.interactive,
            backdoor: None,
            state: StatePlace { base: place::state_base()?, keep },
            shows_debug: log_level == "debug",
            xml: env::var_os("LOGFILE").filter(|file| !file.is_empty()).map(PathBuf::from),
            junit: common.junit_xml.map(|path| out_dir.join(path)),
            html: common.with_log_html,
            report: common.with_report,
            agent: !common.without_agent,
            options: common.with_accel.map_or(Value::Null, |accel| json!({ "accel": accel })),
            manner,
            setup,
            told: Vec::new(),
            out_dir,
        })
    }
}

impl Vm {
    /// A command that is nothing but a file is that file, whatever is in its name.
    pub(crate) fn quoted(self) -> Self {
        let path = Path::new(&self.command);
        let command = match std::path::absolute(path) {
            Ok(file) if file.is_file() => quote(&file.display().to_string()),
            _ => self.command,
        };
        Self { command, ..self }
    }
}

/// The name of the machine that a start script starts: `run-NAME-vm`.
pub(crate) fn machine_name(command: &str) -> String {
    let file = command.rsplit('/').next().unwrap_or(command);
    let name = file.split_once("run-").and_then(|(_, rest)| rest.strip_suffix("-vm"));
    name.filter(|name| !name.is_empty()).unwrap_or("machine").to_owned()
}

#[cfg(test)]
mod tests {
    use super::machine_name;

    #[test]
    fn start_scripts_tell_the_names_of_their_machines() {
        for (command, name) in [
            ("/nix/store/x-nixos-vm/bin/run-server-1-vm", "server-1"),
            ("run-a-vm", "a"),
            ("./start.sh", "machine"),
            ("run--vm", "machine"),
        ] {
            assert_eq!(machine_name(command), name, "{command}");
        }
    }
}
