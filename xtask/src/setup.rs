//! `cargo xtask setup`: installs the programs that are missing, from Debian's packages.
//!
//! Installs nothing that is there already, in whatever version, and says what it does.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

mod qemu;

/// A program or file that we need, and the package that has it.
struct Need {
    file: &'static str,
    package: &'static str,
    why: &'static str,
}

/// What the checks of the scripts need, and all the rest with them.
const NEEDS: [Need; 3] = [
    Need { file: "python3", package: "python3", why: "runs test scripts" },
    Need { file: "perl", package: "perl", why: "runs test scripts" },
    Need { file: "git", package: "git", why: "lists the files to check" },
];

/// What images and machines need.
const RUN_NEEDS: [Need; 11] = [
    Need { file: "qemu-system-x86_64", package: qemu::PACKAGE, why: "runs the virtual machines" },
    Need { file: "qemu-img", package: "qemu-utils", why: "makes their disks" },
    Need { file: "mmdebstrap", package: "mmdebstrap", why: "builds their images" },
    Need {
        file: "/usr/share/keyrings/debian-archive-keyring.gpg",
        package: "debian-archive-keyring",
        why: "tells Debian's packages from others",
    },
    Need { file: "mke2fs", package: "e2fsprogs", why: "builds their images" },
    Need { file: "depmod", package: "kmod", why: "picks their kernel's modules" },
    Need { file: "xz", package: "xz-utils", why: "unpacks their kernel's modules" },
    Need { file: "cpio", package: "cpio", why: "packs their initrds" },
    Need { file: "setpriv", package: "util-linux", why: "ends an image's build when we are gone" },
    Need { file: "make", package: "make", why: "builds the example plugin in C" },
    Need { file: "ip", package: "iproute2", why: "sets up loopback in the example plugin's machines" },
];

/// What images need besides where they are built without root.
const ROOTLESS_NEEDS: [Need; 2] = [
    Need { file: "newuidmap", package: "uidmap", why: "gives image builds their own users" },
    Need { file: "fakeroot", package: "fakeroot", why: "keeps the owners of an image's files" },
];

/// What only tests need.
const TEST_NEEDS: [Need; 7] = [
    Need { file: "systemd-nspawn", package: "systemd-container", why: "runs containers as machines" },
    Need { file: "nix-instantiate", package: "nix-bin", why: "evaluates what is for Nix" },
    Need {
        file: "vde_plug",
        package: "vde2",
        why: "plugs into the switch as others do, and is measured beside it",
    },
    Need { file: "busybox", package: "busybox", why: "stands in for a guest that has no `ip`" },
    Need { file: "tshark", package: "tshark", why: "reads captures" },
    Need { file: "chromium", package: "chromium", why: "shows report.html to its tests" },
    Need { file: "chromedriver", package: "chromium-driver", why: "lets them click in it" },
];

/// What the host is set up for; each includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// To check what can be checked without running the product.
    Checks,
    /// To build images and run tests of others.
    Runs,
    /// To run our own tests, too.
    Tests,
}

/// Installs what is missing; returns at once when nothing is.
pub(crate) fn run(purpose: Purpose) -> Result<()> {
    let runs: &[Need] = if purpose >= Purpose::Runs { &RUN_NEEDS } else { &[] };
    let rootless: &[Need] = if purpose >= Purpose::Runs && !is_root() { &ROOTLESS_NEEDS } else { &[] };
    let tests: &[Need] = if purpose >= Purpose::Tests { &TEST_NEEDS } else { &[] };
    let needs = NEEDS.iter().chain(runs).chain(rootless).chain(tests);
    let missing: Vec<&Need> = needs.filter(|need| !is_there(need.file)).collect();
    if missing.is_empty() {
        return Ok(());
    }

    println!("missing on this machine:");
    for Need { file, package, why } in &missing {
        println!("  {file}: {why} (Debian package {package})");
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    install(&packages)?;

    let still: Vec<&str> = missing.iter().map(|need| need.file).filter(|file| !is_there(file)).collect();
    if !still.is_empty() {
        bail!("still missing after the installation: {}", still.join(", "));
    }
    Ok(())
}

fn is_there(file: &str) -> bool {
    if file.starts_with('/') { Path::new(file).exists() } else { command::find(file).is_some() }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn install(packages: &[&str]) -> Result<()> {
    if command::find("apt-get").is_none() {
        bail!("this is no Debian system: install {} in its own way", packages.join(", "));
    }
    if !is_root() && command::find("sudo").is_none() {
        bail!(
            "root has to install what is missing, and there is no sudo; run as root:\n  \
             apt-get update && apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
    }
    command::run(&mut apt(&["update"])).context("failed to update the lists of packages")?;

    let all: Vec<String> = packages.iter().map(|package| (*package).to_owned()).collect();
    if can_install(&all) {
        return install_now(&all);
    }
    if !packages.contains(&qemu::PACKAGE) {
        bail!("apt finds no way to install {} (`apt-get install` tells why)", packages.join(" "));
    }
    install_now(&qemu::way_in()?)?;
    install_now(&all)
}

fn install_now(arguments: &[String]) -> Result<()> {
    let mut install = apt(&["install", "--yes", "--no-install-recommends", "--no-remove"]);
    command::run(install.args(arguments)).context("failed to install what is missing")
}

/// Whether apt finds a way to install this and to leave all else in place; asks without changing anything.
fn can_install(arguments: &[String]) -> bool {
    let common = ["install", "--simulate", "--no-install-recommends", "--no-remove"];
    let mut simulate = command::command("apt-get", &common);
    command::output(simulate.args(arguments)).is_some()
}

/// `apt-get` as root, with no questions, and with patience for another one that is running.
fn apt(args: &[&str]) -> Command {
    let common = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--option", "DPkg::Lock::Timeout=300"];
    let mut apt = as_root("env");
    apt.args(common).args(args);
    apt
}

/// A program run by root: by sudo, unless we are root.
fn as_root(program: &str) -> Command {
    if is_root() { command::command(program, &[]) } else { command::command("sudo", &[program]) }
}
