//! The NixOS test driver of a nixpkgs checkout, as the user has it. Nothing of it is in this repository.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::contestant::{Job, process_that_ends_with_us};
use super::hypervisor::CommandLine;
use crate::command;

/// How long it may run by its own count, in seconds; ours ends it before.
const TIMEOUT: u32 = 7200;

/// An upstream driver that can be run.
#[derive(Debug)]
pub(super) struct Upstream {
    /// The folder that holds the package `test_driver`.
    source: PathBuf,
    python: PathBuf,
    generation: Generation,
    /// The commit of the checkout, or a hash of the driver's files outside of one.
    pub(super) revision: String,
}

/// How it wants to be told what to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    /// By arguments: NixOS 23.05 to 25.11.
    Arguments,
    /// By a file in JSON: NixOS 26.05 and later.
    File,
}

impl Upstream {
    /// Looks whether there is such a driver, and whether it can run here.
    pub(super) fn find(folder: &Path, python: &str) -> Result<Self> {
        let folder = fs::canonicalize(folder)
            .with_context(|| format!("--against: there is no folder `{}`", folder.display()))?;
        let source = folder.join("src");
        let program = source.join("test_driver/__init__.py");
        let Ok(main) = fs::read_to_string(&program) else {
            bail!(
                "--against: `{}` is no NixOS test driver: it has no src/test_driver/__init__.py (give \
                 nixos/lib/test-driver of a nixpkgs checkout)",
                folder.display()
            );
        };
        let Some(generation) = Generation::of(&main) else {
            bail!(
                "--against: `{}` is a NixOS test driver of a generation unknown here: it takes neither \
                 --start-scripts nor --config (known are those of NixOS 23.05 to 26.11)",
                folder.display()
            );
        };
        if command::find("pnmtopng").is_none() {
            bail!(
                "--against: the NixOS test driver makes its screenshots with `pnmtopng` (Debian package netpbm)"
            );
        }
        // A path of the caller's folder; a name is looked for in the PATH. A link stays one: it is how a virtual
        // environment is found.
        let python = if python.contains('/') { std::path::absolute(python)? } else { python.into() };
        let upstream = Self { revision: revision(&folder, &source)?, source, python, generation };
        upstream.check_python()?;
        Ok(upstream)
    }

    fn check_python(&self) -> Result<()> {
        let mut command = Command::new(&self.python);
        let check = command.args(["-c", "import test_driver"]).env("PYTHONPATH", &self.source);
        let output = check
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .with_context(|| format!("--python: failed to start `{}`", self.python.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!(
                "--against: `{}` cannot load the NixOS test driver: {} (make a Python 3.13 that can by `python3 \
                 -m venv V; V/bin/pip install colorama ipython junit-xml ptpython pydantic remote-pdb`, and give \
                 --python V/bin/python)",
                self.python.display(),
                words.lines().last().unwrap_or("no reason given").trim()
            );
        }
        Ok(())
    }

    /// The command that runs a job's script on the machine that innkeeper has started for it.
    pub(super) fn command(&self, job: &Job<'_>, machine: &CommandLine) -> Result<Command> {
        // The name of the machine is read off the script's.
        let start = job.folder.join("run-server-vm");
        fs::write(&start, machine.start_script()?)?;
        fs::set_permissions(&start, fs::Permissions::from_mode(0o755))?;
        // Started by way of `sh -c`, which need not give its own process to the last command: QEMU has to be the
        // process that the driver ends.
        let start = format!("exec {}", start.display());
        let mut command = process_that_ends_with_us(self.python.as_os_str());
        command.args(["-c", "import test_driver; test_driver.main()"]).args(self.arguments(job, &start)?);
        command
            .env("PYTHONPATH", &self.source)
            // Compiled once, as an installed driver is, but not into the user's checkout.
            .env("PYTHONPYCACHEPREFIX", job.port.with_file_name("pycache"))
            .env("XDG_RUNTIME_DIR", job.folder)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("LOGFILE");
        Ok(command)
    }

    fn arguments(&self, job: &Job<'_>, start: &str) -> Result<Vec<OsString>> {
        let out = job.folder.join("out").into_os_string();
        let script = command::root().join(job.test.script());
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        Ok(match self.generation {
            Generation::Arguments => {
                let timeout = TIMEOUT.to_string();
                let mut arguments =
                    words(&["--start-scripts", start, "--vlans", "--global-timeout", &timeout, "-o"]);
                arguments.extend([out, script.into_os_string()]);
                arguments
            }
            Generation::File => {
                let file = job.folder.join("driver.json");
                let config = json!({
                    "vms": { "server": { "name": "server", "start_script": start } },
                    "containers": {},
                    "vlans": [],
                    "global_timeout": TIMEOUT,
                    "enable_ssh_backdoor": false,
                    "test_script": script,
                });
                fs::write(&file, config.to_string())?;
                let mut arguments = words(&["--config"]);
                arguments.extend([file.into_os_string(), "-o".into(), out]);
                arguments
            }
        })
    }
}

impl Generation {
    fn of(main: &str) -> Option<Self> {
        if main.contains("\"--config\"") {
            Some(Self::File)
        } else if main.contains("\"--start-scripts\"") {
            Some(Self::Arguments)
        } else {
            None
        }
    }
}

/// The commit of the checkout, or else a hash of the driver's own files.
fn revision(folder: &Path, source: &Path) -> Result<String> {
    let mut git = Command::new("git");
    let git = git.arg("-C").arg(folder).args(["log", "-1", "--format=%H", "--", "."]);
    if let Some(commit) = command::output(git).filter(|commit| !commit.trim().is_empty()) {
        return Ok(format!("nixpkgs {}", &commit.trim()[..commit.trim().len().min(12)]));
    }
    let mut hash = Sha256::new();
    let mut folders = vec![source.join("test_driver")];
    while let Some(folder) = folders.pop() {
        let mut entries =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "py") {
                hash.update(entry.strip_prefix(source)?.as_os_str().as_encoded_bytes());
                hash.update(fs::read(&entry)?);
            }
        }
    }
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("files with SHA-256 {hash}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Generation, Upstream, revision};

    #[test]
    fn another_folder_is_refused_with_what_to_give() {
        let folder = tempfile::tempdir().unwrap();
        let error = Upstream::find(folder.path(), "python3").unwrap_err().to_string();
        assert!(error.contains("is no NixOS test driver") && error.contains("nixpkgs checkout"), "{error}");
        let gone = folder.path().join("gone");
        let error = Upstream::find(&gone, "python3").unwrap_err().to_string();
        assert!(error.starts_with("--against: there is no folder"), "{error}");
    }

    #[test]
    fn generations_are_told_by_their_options() {
        assert_eq!(Generation::of("add_argument(\"--start-scripts\","), Some(Generation::Arguments));
        assert_eq!(Generation::of("add_argument(\"-c\", \"--config\","), Some(Generation::File));
        assert_eq!(Generation::of("sys.argv"), None);
    }

    #[test]
    fn files_outside_of_a_checkout_have_a_revision_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("src/test_driver");
        fs::create_dir_all(&package).unwrap();
        let of = |text: &str| {
            fs::write(package.join("driver.py"), text).unwrap();
            revision(folder.path(), &folder.path().join("src")).unwrap()
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }
}
