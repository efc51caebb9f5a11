//! The command lines. All take what argparse takes: any prefix of a long option that is like no other, `-oDIR`,
//! `--option=VALUE`, an option again, of which the last one counts.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};
use script::Language;

use super::early;
use super::usage::{Problem, Said};

/// The command line of NixOS 26.05 and later: a configuration file.
#[derive(Debug, Parser)]
#[command(name = super::NAME, infer_long_args = true, args_override_self = true, disable_version_flag = true)]
pub(super) struct WithFile {
    /// the configuration file of the test
    #[arg(short, long, value_name = "CONFIG")]
    pub(super) config: PathBuf,

    /// the test script to run, instead of the configuration's own
    #[arg(long)]
    pub(super) test_script: Option<PathBuf>,

    /// re-use the state of machines that an earlier run has left
    #[arg(short = 'K', long)]
    pub(super) keep_machine_state: bool,

    /// the old name of --keep-machine-state
    #[arg(long, hide = true)]
    pub(super) keep_vm_state: bool,

    /// the least important messages to print
    #[arg(long, value_parser = ["debug", "info", "warning", "error"])]
    pub(super) log_level: Option<String>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// The command line of NixOS 25.11 and earlier: start scripts, by flags or by the environment.
#[derive(Debug, Parser)]
#[command(name = super::NAME, infer_long_args = true, args_override_self = true, disable_version_flag = true)]
pub(super) struct WithScripts {
    /// re-use a VM state coming from a previous run
    #[arg(short = 'K', long)]
    pub(super) keep_vm_state: bool,

    /// start scripts for participating virtual machines (from the environment: startScripts)
    #[arg(long, value_name = "START-SCRIPT", num_args = 0..)]
    pub(super) start_scripts: Option<Vec<String>>,

    /// the names of the virtual machines, where they are not told by their start scripts
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub(super) vm_names: Option<Vec<String>>,

    /// start scripts of the machines that --vm-names names
    #[arg(long, value_name = "START-SCRIPT", num_args = 0..)]
    pub(super) vm_start_scripts: Option<Vec<String>>,

    /// vlans to span by the driver (from the environment: vlans)
    #[arg(long, value_name = "VLAN", num_args = 0..)]
    pub(super) vlans: Option<Vec<String>>,

    /// timeout in seconds for the whole test (from the environment: globalTimeout)
    #[arg(long, value_name = "GLOBAL_TIMEOUT")]
    pub(super) global_timeout: Option<u64>,

    /// offset for vsock numbers of virtual machines; how to reach each is printed
    #[arg(long, value_name = "OFFSET")]
    pub(super) dump_vsocks: Option<u32>,

    /// the test script to run (from the environment: testScript)
    #[arg(value_name = "testscript")]
    pub(super) test_script: Option<PathBuf>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// The command line of NixOS 20.03 to 21.05: start scripts as arguments, all else in the environment.
#[derive(Debug, Parser)]
#[command(name = super::NAME, infer_long_args = true, args_override_self = true, disable_version_flag = true)]
pub(super) struct WithArguments {
    /// re-use a VM state coming from a previous run
    #[arg(short = 'K', long)]
    pub(super) keep_vm_state: bool,

    /// start scripts of the machines; the environment has the script (tests, testScript) and the networks (VLANS)
    #[arg(value_name = "START-SCRIPT")]
    pub(super) start_scripts: Vec<String>,

    #[command(flatten)]
    pub(super) common: Common,
}

/// What all command lines have, and what is ours.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// drop into a Python prompt and run the tests by hand
    #[arg(short = 'I', long, overrides_with = "no_interactive")]
    pub(super) interactive: bool,

    /// run the tests (as without any flag)
    #[arg(long, action = ArgAction::SetTrue, overrides_with = "interactive")]
    pub(super) no_interactive: bool,

    /// offer a debugger at breakpoints and failures; the command that reaches the build's sandbox
    #[arg(long, value_name = "DEBUG_HOOK_ATTACH")]
    pub(super) debug_hook_attach: Option<String>,

    /// the directory for screenshots and for files copied from machines
    #[arg(short, long = "output_directory", value_name = "OUTPUT_DIRECTORY")]
    pub(super) output_directory: Option<PathBuf>,

    /// write a JUnit report to this path, seen from the output directory
    #[arg(long, value_name = "JUNIT_XML")]
    pub(super) junit_xml: Option<PathBuf>,

    /// also write a result directory of innkeeper's (report.html and all else)
    #[arg(long, value_name = "DIR")]
    pub(super) with_report: Option<PathBuf>,

    /// also write log.html and nix-support/hydra-build-products into the output directory
    #[arg(long)]
    pub(super) with_log_html: bool,

    /// have QEMU use this accelerator, whatever the start scripts say
    #[arg(long, value_name = "ACCEL", value_parser = ["kvm", "tcg"])]
    pub(super) with_accel: Option<String>,

    /// run commands through the guests' plain shell, without innkeeper's agent
    #[arg(long)]
    pub(super) without_agent: bool,
}

/// Which of them it is.
#[derive(Debug)]
pub(super) enum Wishes {
    File(WithFile),
    Scripts(WithScripts),
    Arguments(WithArguments),
}

/// Reads the words after the program's name.
pub(super) fn parse(words: &[OsString]) -> Result<Wishes, Problem> {
    let named = std::iter::once(OsString::from(super::NAME)).chain(words.iter().cloned());
    if early::language(words) == Some(Language::Python) {
        return WithArguments::try_parse_from(named)
            .map(Wishes::Arguments)
            .map_err(|error| Said::clap::<WithArguments>(&error));
    }
    if wants_scripts(words) {
        return WithScripts::try_parse_from(named)
            .map(Wishes::Scripts)
            .map_err(|error| Said::clap::<WithScripts>(&error));
    }
    WithFile::try_parse_from(named).map(Wishes::File).map_err(|error| Said::clap::<WithFile>(&error))
}

/// Whether it is the old command line. One that names a configuration file never is, whatever the environment says.
fn wants_scripts(words: &[OsString]) -> bool {
    let words: Vec<&str> =
        words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let is_prefix = |of: &str| {
        words.iter().any(|word| {
            let name =
                word.strip_prefix("--").map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
            name.is_some_and(|name| !name.is_empty() && of.starts_with(name))
        })
    };
    if words.iter().any(|word| word.starts_with("-c")) || is_prefix("config") {
        return false;
    }
    env::var_os("startScripts").is_some()
        || ["start-scripts", "vm-names", "vm-start-scripts", "vlans", "global-timeout"]
            .into_iter()
            .any(is_prefix)
}
