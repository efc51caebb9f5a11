//! Running other programs: what is run is shown first, and a failure is an error.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// Where cargo puts what it builds: two folders above this program.
pub(crate) fn target() -> Result<PathBuf> {
    let program = env::current_exe().context("failed to find this program's own path")?;
    let target = program.ancestors().nth(2).context("this program does not lie in a target folder")?;
    Ok(target.to_owned())
}

/// A command that runs in the repository's root.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// A program that gets SIGTERM when we die, however we die.
pub(crate) fn process_that_ends_with_us(program: &OsStr) -> Command {
    let mut process = command("setpriv", &["--pdeathsig", "TERM", "--"]);
    process.arg(program);
    process
}

/// The cargo that runs this task.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = command("cargo", args);
    if let Some(program) = env::var_os("CARGO") {
        let mut same = Command::new(program);
        same.args(args).current_dir(root());
        cargo = same;
    }
    cargo
}

/// The command as somebody would type it.
pub(crate) fn show(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quote(&value?.to_string_lossy())))
    });
    let program = PathBuf::from(command.get_program());
    let program =
        if program.file_stem().is_some_and(|name| name == "cargo") { "cargo".into() } else { program };
    let words = command.get_args().map(|word| quote(&word.to_string_lossy()));
    variables.chain([quote(&program.to_string_lossy())]).chain(words).collect::<Vec<_>>().join(" ")
}

/// The word as a shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~^*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Shows a command and runs it. Says whether it ended with status 0; an error means that it did not start.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    println!("$ {}", show(command));
    let status = command.status().with_context(|| format!("failed to start `{}`", show(command)))?;
    Ok(status.success())
}

/// Shows a command and runs it; an end other than with status 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", show(command));
    let status = command.status().with_context(|| format!("failed to start `{}`", show(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", show(command));
    }
    Ok(())
}

/// Runs a command silently for what it prints; `None` if it does not start or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Finds a program on the path, and where Debian keeps those for root.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
