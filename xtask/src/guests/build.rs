//! Builds one image: a tree of Debian packages by mmdebstrap, then a disk of it by mke2fs.
//!
//! No loop device, and no root where the host lets users have namespaces of their own. What happens inside
//! the tree is in guests/: tools/add-kernel, the recipes' overlays and `customize` scripts, tools/make-disk.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::Slot;
use super::progress::Progress;
use super::recipe::Recipe;
use crate::{command, setup};

/// What nobody reads in a test guest.
const LEFT_OUT: [&str; 5] = ["doc", "info", "lintian", "locale", "man"];

/// Makes vmlinuz, initrd, disk.ext4 and image.toml in `folder`.
pub(super) fn build(recipe: &Recipe, folder: &Path, slot: &Slot) -> Result<()> {
    let mut progress = Progress::new(&recipe.name, &slot.log())?;
    progress.step("collecting the recipe");
    stage(recipe, &folder.join("stage"))?;
    progress.run(&mut pack(folder), |_| None)?;

    let packages = slot.packages(&recipe.suite);
    let archives = folder.join("archives");
    link_all(&packages, &archives)?;
    fs::create_dir(folder.join("tmp"))?;
    progress.run(&mut bootstrap(recipe, folder), step)?;
    keep_all(&archives, &packages)?;

    progress.step("making the disk");
    progress.run(&mut make_disk(recipe, folder), |_| None)?;
    for unneeded in ["stage", "archives", "tmp"] {
        fs::remove_dir_all(folder.join(unneeded))?;
    }
    fs::remove_file(folder.join("stage.tar"))?;
    fs::write(folder.join("image.toml"), description(recipe))?;
    progress.done("built");
    Ok(())
}

/// What a line of mmdebstrap's, or of the scripts in its hooks, says is being done.
fn step(line: &str) -> Option<&str> {
    // What says nothing to somebody who waits; the log has it.
    let dull = [
        "automatically",
        "chroot",
        "done",
        "finding",
        "running -",
        "running special",
        "skipping",
        "success",
        "using",
    ];
    line.strip_prefix("I: ").filter(|step| !dull.iter().any(|start| step.starts_with(start)))
}

/// Puts together what is laid over the tree: the overlays, and in /innkeeper-build what the scripts need.
fn stage(recipe: &Recipe, stage: &Path) -> Result<()> {
    let build = stage.join("innkeeper-build");
    fs::create_dir_all(&build)?;
    let mut customize = vec!["set -eu".to_owned(), "echo I: customizing".to_owned()];
    for layer in &recipe.layers {
        let overlay = layer.folder.join("overlay");
        if overlay.exists() {
            let mut copy = command::command("cp", &["--archive", "--no-target-directory"]);
            copy.arg(&overlay).arg(stage);
            command::output(&mut copy).with_context(|| format!("failed to copy `{}`", overlay.display()))?;
        }
        let script = layer.folder.join("customize");
        if script.exists() {
            fs::copy(&script, build.join(format!("customize-{}", layer.name)))?;
            customize.push(format!("/innkeeper-build/customize-{}", layer.name));
        }
    }
    for (verb, units) in [("enable", &recipe.enable), ("mask", &recipe.mask)] {
        if !units.is_empty() {
            customize.push(format!("systemctl {verb} {}", units.join(" ")));
        }
    }
    write_lines(&build.join("customize"), &customize)?;

    for tool in ["add-kernel", "initrd-init"] {
        fs::copy(command::root().join("guests/tools").join(tool), build.join(tool))?;
    }
    let kernel = &recipe.kernel;
    let lists = [
        ("kernel-package", std::slice::from_ref(&kernel.package)),
        ("modules-early", &kernel.early_modules),
        ("modules-shares", &kernel.share_modules),
        ("modules-more", &kernel.modules),
    ];
    for (name, lines) in lists {
        write_lines(&build.join(name), lines)?;
    }
    Ok(())
}

fn write_lines(file: &Path, lines: &[String]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
}

/// Packs the stage with root as the owner and with modes that do not depend on the umask of a checkout.
fn pack(folder: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
        "--create",
        "--file=stage.tar",
    ]);
    tar.args(["--directory=stage", "."]).current_dir(folder);
    tar
}

/// Runs a command in mount and process namespaces of its own.
const ISOLATED: [&str; 5] = ["unshare", "--mount", "--pid", "--mount-proc", "--kill-child=KILL"];

fn bootstrap(recipe: &Recipe, folder: &Path) -> Command {
    let mut bootstrap = Command::new("setpriv");
    if setup::is_root() {
        // mmdebstrap mounts the host's /proc, /sys and /dev/shm into the tree, and leaves them there when it
        // is interrupted: a trap for whoever clears up. In namespaces of its own, all ends with us. A root
        // in a container or a chroot may not make any.
        bootstrap.arg("--pdeathsig=KILL");
        if command::output(Command::new(ISOLATED[0]).args(&ISOLATED[1..]).arg("true")).is_some() {
            bootstrap.args(ISOLATED);
        }
        bootstrap.args(["mmdebstrap", "--mode=root"]).env("TMPDIR", folder.join("tmp"));
    } else {
        // It has namespaces of its own, and clears up when told to end.
        bootstrap.args(["--pdeathsig=TERM", "mmdebstrap", "--mode=unshare"]);
        // A whole system is unpacked there, by other users than ours; /tmp may lie in memory.
        if env::var_os("TMPDIR").is_none() {
            bootstrap.env("TMPDIR", "/var/tmp");
        }
    }
    // When it ends early it hangs up on its whole process group: not to be the one of who started us.
    bootstrap.process_group(0).current_dir(folder);
    bootstrap.args(["--variant=essential", "--architectures=amd64"]);
    bootstrap.args(LEFT_OUT.map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")));
    bootstrap.arg(format!("--include={}", recipe.packages.join(",")));
    // Packages of earlier builds go in before, and all those of this one come out after.
    bootstrap.args(["--skip=download/empty", "--skip=essential/unlink"]);
    bootstrap.args([r#"--setup-hook=mkdir -p "$1/var/cache/apt/archives""#]);
    bootstrap.arg("--setup-hook=sync-in archives /var/cache/apt/archives");
    bootstrap.arg("--customize-hook=tar-in stage.tar /");
    bootstrap.arg(r#"--customize-hook="$1/innkeeper-build/add-kernel" "$1""#);
    bootstrap.arg("--customize-hook=sync-out /var/cache/apt/archives archives");
    bootstrap.arg(r#"--customize-hook=chroot "$1" sh /innkeeper-build/customize"#);
    bootstrap.args([&recipe.suite, "tree.tar"]);
    bootstrap.args(env::var_os("INNKEEPER_MIRROR"));
    bootstrap
}

fn make_disk(recipe: &Recipe, folder: &Path) -> Command {
    let tool = command::root().join("guests/tools/make-disk");
    let mut make = if setup::is_root() { Command::new(&tool) } else { Command::new("fakeroot") };
    if !setup::is_root() {
        make.arg(&tool);
    }
    make.arg(folder).arg(recipe.free_mib.to_string());
    make
}

/// The image as the driver reads it.
fn description(recipe: &Recipe) -> String {
    let Recipe { name, memory, kernel, .. } = recipe;
    format!(
        "# Made of guests/{name} by `cargo xtask guests`. Never written again: runs write to overlays.\n\
         kernel = \"vmlinuz\"\n\
         initrd = \"initrd\"\n\
         cmdline = \"{}\"\n\
         memory = \"{memory}\"\n\
         \n\
         [[disks]]\n\
         path = \"disk.ext4\"\n\
         format = \"raw\"\n",
        kernel.cmdline.join(" ")
    )
}

/// Fills a new folder with links to the packages of another.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(from)?;
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::hard_link(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Moves new packages to where later builds find them, in place of other versions of the same ones.
fn keep_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if Path::new(&name).extension() != Some(OsStr::new("deb")) || to.join(&name).exists() {
            continue;
        }
        for other in fs::read_dir(to)? {
            let other = other?.file_name();
            if package(&other) == package(&name) {
                // Another build may have done so.
                let _ = fs::remove_file(to.join(&other));
            }
        }
        fs::rename(entry.path(), to.join(&name)).context("failed to keep a package")?;
    }
    Ok(())
}

/// The package in a file's name: `curl_8.14.1-2_amd64.deb` holds curl.
fn package(file: &OsStr) -> Option<&[u8]> {
    file.as_encoded_bytes().split(|byte| *byte == b'_').next()
}
