//! The command line of the NixOS test driver in Perl, until 2019 (compat.md 7.1): start scripts as arguments, all else
//! in the environment. The names are `nixos-test-driver`, shared with the later ones, and `nixos-run-vms`.

mod plan;
mod run;

use std::env;
use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use script::Language;

use crate::{bug, console, exit, nixos};

/// The name under which machines only run until they are off.
const RUN_VMS: &str = "nixos-run-vms";
/// What it runs unless it is told otherwise.
const START_AND_JOIN: &str = "startAll; joinAll;";

/// The command line. The options are ours.
#[derive(Debug, Parser)]
#[command(name = nixos::NAME, disable_version_flag = true)]
struct Words {
    /// start scripts of the machines; the environment has the script (tests, testScript) and the networks (VLANS)
    #[arg(value_name = "START-SCRIPT")]
    start_scripts: Vec<String>,

    /// also write a result directory of innkeeper's (report.html and all else)
    #[arg(long, value_name = "DIR")]
    with_report: Option<std::path::PathBuf>,

    /// also write log.html and nix-support/hydra-build-products into the output directory
    #[arg(long)]
    with_log_html: bool,

    /// have QEMU use this accelerator, whatever the start scripts say
    #[arg(long, value_name = "ACCEL", value_parser = ["kvm", "tcg"])]
    with_accel: Option<String>,

    /// run commands through the guests' plain shell, without innkeeper's agent
    #[arg(long)]
    without_agent: bool,
}

/// Runs, if the program was called by one of the names and in this manner, and returns the exit status.
pub(crate) fn called_by_name() -> Option<u8> {
    let mut words = env::args_os();
    let called = words.next()?;
    let name = Path::new(&called).file_name()?.to_str()?;
    // What Nix has wrapped is called so, with the name of the wrapper beside it.
    let plain = name.strip_prefix('.').and_then(|name| name.strip_suffix("-wrapped")).unwrap_or(name);
    let words: Vec<OsString> = words.collect();
    match plain {
        RUN_VMS => Some(main(&words, Some(START_AND_JOIN))),
        nixos::NAME => main_if_meant(&words),
        _ => None,
    }
}

/// Runs, if this is the manner that is meant, and returns the exit status.
pub(crate) fn main_if_meant(words: &[OsString]) -> Option<u8> {
    (nixos::early::language(words) == Some(Language::Perl)).then(|| main(words, None))
}

fn main(words: &[OsString], script: Option<&str>) -> u8 {
    let named = std::iter::once(OsString::from(nixos::NAME)).chain(words.iter().cloned());
    let words = match Words::try_parse_from(named) {
        Ok(words) => words,
        Err(error) => {
            let text = error.render().to_string();
            if error.exit_code() == 0 {
                console::out(text.trim_end())
            } else {
                console::err(text.trim_end())
            }
            return if error.exit_code() == 0 { exit::PASSED } else { exit::USAGE };
        }
    };
    let status = plan::make(words, script).and_then(run::run).unwrap_or_else(|error| {
        console::err(&crate::describe_error(&error));
        exit::FAILED
    });
    if bug::seen() { exit::BUG } else { status }
}
