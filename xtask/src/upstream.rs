//! The NixOS test driver of a nixpkgs checkout, as the user has it. Nothing of it is in this repository.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::command;

/// An upstream driver that can be run.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The folder that holds the package `test_driver`.
    source: PathBuf,
    python: PathBuf,
    pub(crate) generation: Generation,
    /// The commit of the checkout, or a hash of the driver's files outside of one.
    pub(crate) revision: String,
}

/// How it wants to be told what to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// By arguments: NixOS 23.05 to 25.11.
    Arguments,
    /// By a file in JSON: NixOS 26.05 and later.
    File,
}

impl Upstream {
    /// Looks whether there is such a driver, and whether it can run here.
    pub(crate) fn find(folder: &Path, python: &str) -> Result<Self> {
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

    /// The command that runs a script. What the driver needs besides goes into `folder`.
    pub(crate) fn command(&self, request: &Request<'_>, folder: &Path) -> Result<Command> {
        let mut command = command::process_that_ends_with_us(self.python.as_os_str());
        command
            .args(["-c", "import test_driver; test_driver.main()"])
            .args(request.arguments(self.generation, folder)?)
            .env("PYTHONPATH", &self.source)
            // Compiled once, as an installed driver is, but not into the user's checkout.
            .env("PYTHONPYCACHEPREFIX", folder.with_file_name("pycache"));
        Ok(command)
    }

    /// Where its Python lies, if that was said.
    pub(crate) fn python_folder(&self) -> Option<PathBuf> {
        self.python.parent().filter(|folder| folder.is_absolute()).map(Path::to_owned)
    }
}

/// What a driver of NixOS tests is asked to run.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Names of machines and the shell commands that start them. The older generation reads the name off the command.
    pub(crate) machines: Vec<(&'a str, String)>,
    pub(crate) vlans: &'a [u32],
    /// Of the whole test, in seconds.
    pub(crate) timeout: u32,
    pub(crate) out: &'a Path,
    pub(crate) script: &'a Path,
}

impl Request<'_> {
    /// The words of the command line, which are the same for all drivers of a generation.
    pub(crate) fn arguments(&self, generation: Generation, folder: &Path) -> Result<Vec<OsString>> {
        let starts = self.machines.iter().map(|(_, start)| start);
        let vlans = self.vlans.iter().map(u32::to_string);
        let mut words: Vec<OsString> = match generation {
            Generation::Arguments => {
                let options = ["--start-scripts"].map(str::to_owned).into_iter().chain(starts.cloned());
                let options = options.chain(["--vlans".to_owned()]).chain(vlans);
                let timeout = ["--global-timeout".to_owned(), self.timeout.to_string()];
                options.chain(timeout).map(OsString::from).collect()
            }
            Generation::File => {
                let vm = |(name, start): &(&str, String)| {
                    ((*name).to_owned(), json!({ "name": name, "start_script": start }))
                };
                let file = folder.join("driver.json");
                let config = json!({
                    "vms": self.machines.iter().map(vm).collect::<serde_json::Map<_, _>>(),
                    "containers": {},
                    "vlans": self.vlans,
                    "global_timeout": self.timeout,
                    "enable_ssh_backdoor": false,
                    "test_script": self.script,
                });
                fs::write(&file, config.to_string())?;
                vec!["--config".into(), file.into_os_string()]
            }
        };
        words.extend(["-o".into(), self.out.into()]);
        if generation == Generation::Arguments {
            words.push(self.script.into());
        }
        Ok(words)
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
