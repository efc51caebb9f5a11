//! A machine that has a KVM of its own where the host has none of use: QEMU's translator emulates one. It runs
//! commands, with innkeeper and Cloud Hypervisor inside.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{command, guests};

/// Where the machine finds what it was given.
pub(crate) const GIVEN: &str = "/tmp/given";
/// A folder of the machine's that is copied out in the end.
pub(crate) const OUT: &str = "/run/t/out";
/// How long a test in it may take, and a machine in it or it itself to boot, whatever manifests say: all is translated,
/// and runs machines.
pub(crate) const TEST_LIMIT: &str = "1h";
const BOOT_LIMIT: &str = "30m";

/// The machine, before it is started.
#[derive(Debug)]
pub(crate) struct Nested {
    work: PathBuf,
}

impl Nested {
    /// Begins anew in the folder `work`.
    pub(crate) fn new(work: &Path) -> Result<Self> {
        if work.exists() {
            fs::remove_dir_all(work)?;
        }
        let machine = Self { work: work.to_owned() };
        fs::create_dir_all(machine.given())?;
        Ok(machine)
    }

    /// One folder to share, with just what is needed: the guest may write to what it is given.
    fn given(&self) -> PathBuf {
        self.work.join("given")
    }

    /// Gives a program.
    pub(crate) fn give(&self, program: &Path, name: &str) -> Result<()> {
        fs::copy(program, self.given().join(name))
            .with_context(|| format!("failed to copy `{}`", program.display()))?;
        Ok(())
    }

    /// Gives a test of this repository: the manifest's folder, and its machines more time to boot.
    pub(crate) fn give_test(&self, manifest: &str) -> Result<()> {
        let folder = Path::new(manifest).parent().context("a manifest is in a folder")?;
        copy_folder(&command::root().join(folder), &self.given().join(folder))?;
        let given = self.given().join(manifest);
        let mut test: Value = toml::from_str(&fs::read_to_string(&given)?)?;
        let machines = test["machines"].as_object_mut().context("a manifest has machines")?;
        for machine in machines.values_mut() {
            machine["boot_timeout"] = json!(BOOT_LIMIT);
        }
        fs::write(given, toml::to_string(&test)?)?;
        Ok(())
    }

    /// Boots the machine and has it run commands of the shell, each with its name. Returns where the folder
    /// [`OUT`] has come to.
    pub(crate) fn run(&self, innkeeper: &Path, commands: &[(String, String)]) -> Result<PathBuf> {
        guests::run(&guests::Args::only("nested"))?;
        // Not a share, which a guest may write to.
        let images = format!(
            "local,path={},mount_tag=images,security_model=none,multidevs=remap,readonly=on",
            guests::images()?.display().to_string().replace(',', ",,")
        );
        let manifest = self.work.join("nested.toml");
        let text = toml::to_string(&json!({
            "name": "cloud-hypervisor",
            "script": command::root().join("backend-cloud-hypervisor/tests/nested.py"),
            "timeout": "2h",
            "machines": { "host": {
                "image": "nested",
                "boot_timeout": BOOT_LIMIT,
                // For a few machines at once; what they do not use is not taken.
                "memory": "4G",
                // With two, the emulated KVM now and then corrupts the machine's own memory: it panics, or resets.
                "cores": 1,
                "qemu": { "accel": "tcg", "extra_args": ["-virtfs", images] },
                "shares": { "given": self.given() },
            }},
        }))?;
        fs::write(&manifest, text)?;
        let results = self.work.join("results");
        let mut run = command::command(&innkeeper.to_string_lossy(), &["run"]);
        run.arg(&manifest).arg("-o").arg(&results);
        run.env("NESTED_COMMANDS", serde_json::to_string(commands)?);
        command::run(&mut run)?;
        Ok(results.join("out"))
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read `{}`", from.display()))? {
        let entry = entry?.path();
        let Some(name) = entry.file_name() else { continue };
        let target = to.join(name);
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}
