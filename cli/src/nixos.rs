//! The program under the name `nixos-test-driver`: that program's command lines, of today and of NixOS 25.11 and
//! earlier, its log, its files and its exit statuses (docs/compatibility.md).

mod args;
mod backdoor;
mod config;
pub(crate) mod early;
mod iso;
pub(crate) mod outcome;
mod place;
pub(crate) mod plan;
mod run;
mod symbols;
mod usage;

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;

use crate::{bug, console, exit};
use usage::Problem;

/// The name that this program is known by to NixOS.
pub(crate) const NAME: &str = "nixos-test-driver";
/// The program that writes down what names a script finds; driver.nix called it until early 2026.
const SYMBOLS: &str = "generate-driver-symbols";

/// Runs under one of those names, if the program was called by it, and returns the exit status.
pub(crate) fn called_by_name() -> Option<u8> {
    let mut words = std::env::args_os();
    let called = words.next()?;
    match Path::new(&called).file_name()?.to_str()? {
        // What Nix has wrapped is called so, with the name of the wrapper beside it.
        NAME | ".nixos-test-driver-wrapped" => Some(main(words)),
        SYMBOLS => Some(report(symbols::write().context("the file `driver-symbols` cannot be written"))),
        _ => None,
    }
}

/// Runs with the words after the program's name, and returns the exit status.
pub(crate) fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    let status = match args::parse(&words).and_then(plan::make) {
        Ok(plan) => report(run::run(plan)),
        Err(Problem::Usage(said)) => said.print(),
        Err(Problem::Other(error)) => report(Err(error)),
    };
    if bug::seen() { exit::BUG } else { status }
}

/// The status of what has ended; an error ends it as an exception that nobody catches ends Python.
fn report(result: anyhow::Result<u8>) -> u8 {
    result.unwrap_or_else(|error| {
        console::err(&crate::describe_error(&error));
        exit::FAILED
    })
}
