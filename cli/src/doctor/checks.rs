//! The things that `doctor` looks at, one function each.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_kit::probe_kvm;
use driver_core::image::{cache_dir, image_dirs, images_in};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::Finding;
use crate::engines;

/// What one small machine takes, in MiB.
const MACHINE_MIB: u64 = 1024;

/// The oldest Python that runs the client.
const OLDEST_PYTHON: (u32, u32) = (3, 9);

/// Whom the lack of something concerns.
const FOR_CH: &str = "only machines with the backend cloud-hypervisor need it";

/// Looks at everything.
pub(super) fn all() -> Vec<Finding> {
    let mut findings =
        vec![qemu(), qemu_img(), kvm(), cloud_hypervisor(), vhost_user(), virtiofsd(), tap(), nspawn()];
    findings.extend(languages());
    findings.push(ocr());
    findings.extend([memory(), space("temp", &env::temp_dir())]);
    findings.extend(cache_dir().map(|cache| space("cache", &cache)));
    findings.push(images());
    findings
}

fn qemu() -> Finding {
    let (program, package) = match env::consts::ARCH {
        "aarch64" => ("qemu-system-aarch64", "qemu-system-arm"),
        _ => ("qemu-system-x86_64", "qemu-system-x86"),
    };
    program_or_missing("qemu", program, package)
}

fn qemu_img() -> Finding {
    program_or_missing("qemu-img", "qemu-img", "qemu-utils")
}

fn program_or_missing(name: &'static str, program: &str, package: &str) -> Finding {
    match version_of(program, &["--version"]) {
        Some(version) => Finding::good(name, version),
        None => Finding::missing(
            name,
            format!("`{program}` is not on the PATH, or does not start"),
            format!("install the package `{package}`"),
        ),
    }
}

fn kvm() -> Finding {
    let probe = probe_kvm();
    if probe.is_usable() {
        return Finding::good("kvm", probe.to_string());
    }
    let way_out = match probe.way_out() {
        "" => "nothing to be done here".to_owned(),
        way_out => way_out.to_owned(),
    };
    Finding::limited("kvm", format!("{probe}; machines run on TCG"), way_out)
}

/// The other hypervisor, for those who want it.
fn cloud_hypervisor() -> Finding {
    const NAME: &str = "cloud-hypervisor";
    let probe = probe_kvm();
    let program = env::var_os(backend_cloud_hypervisor::PROGRAM_VARIABLE).unwrap_or_else(|| NAME.into());
    // Other programs have that name, too.
    let version = version_of(&program.to_string_lossy(), &["--version"])
        .filter(|version| version.starts_with("cloud-hypervisor v"));
    match version {
        Some(version) if probe.is_usable() => Finding::good(NAME, format!("{version}; KVM is usable")),
        Some(version) => {
            let way_out = if probe.way_out().is_empty() { "take the backend qemu" } else { probe.way_out() };
            Finding::limited(NAME, format!("{version}, but it needs KVM, and {probe}; {FOR_CH}"), way_out)
        }
        None => Finding::limited(
            NAME,
            format!("not on the PATH, or another program of that name; {FOR_CH}"),
            "take the program from the project's releases, and say where it is with CLOUD_HYPERVISOR",
        ),
    }
}

/// What runs containers.
fn nspawn() -> Finding {
    const NAME: &str = "nspawn";
    const FOR_CONTAINERS: &str = "only machines with the backend nspawn need it";
    match version_of("systemd-nspawn", &["--version"]) {
        Some(version) if rustix::process::geteuid().is_root() => Finding::good(NAME, version),
        Some(version) => Finding::limited(
            NAME,
            format!("{version}, but containers need root; {FOR_CONTAINERS}"),
            "run innkeeper as root, or take another backend",
        ),
        None => Finding::limited(
            NAME,
            format!("`systemd-nspawn` is not on the PATH; {FOR_CONTAINERS}"),
            "install the package `systemd-container`",
        ),
    }
}

/// What Cloud Hypervisor's network cards are served by: a process, which is innkeeper, that shares the guest's memory.
fn vhost_user() -> Finding {
    const NAME: &str = "vhost-user";
    let shared =
        memfd_create("innkeeper-doctor", MemfdFlags::CLOEXEC).and_then(|file| ftruncate(&file, 1 << 20));
    match shared {
        Ok(()) => Finding::good(NAME, "VLANs can share a guest's memory, as Cloud Hypervisor wants it"),
        Err(error) => Finding::limited(
            NAME,
            format!(
                "no memory can be shared ({error}): no VLANs for machines of Cloud Hypervisor, and none by \
                     `vlan_port = \"vhost-user\"` for QEMU's"
            ),
            "allow `memfd_create`, which a sandbox may forbid",
        ),
    }
}

/// What Cloud Hypervisor's machines share directories through. Some systems keep it where only programs look.
fn virtiofsd() -> Finding {
    const NAME: &str = "virtiofsd";
    let places = [NAME, "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"];
    match places.into_iter().find_map(|program| version_of(program, &["--version"])) {
        Some(version) => Finding::good(NAME, version),
        None => Finding::limited(
            NAME,
            format!("not found: machines of Cloud Hypervisor have no `shares`; {FOR_CH}"),
            "install the package `virtiofsd`",
        ),
    }
}

/// Whether a VLAN can have a device on the host: `tap` in the manifest.
fn tap() -> Finding {
    const TUN: &str = "/dev/net/tun";
    /// The number of `CAP_NET_ADMIN`, see capabilities(7).
    const NET_ADMIN: u32 = 12;
    let use_of_it = "only VLANs with `tap` need it";
    if let Err(error) = fs::File::options().read(true).write(true).open(TUN) {
        let way_out = "load the kernel's module `tun`, and allow your user to write to the device";
        return Finding::limited("tap", format!("`{TUN}` cannot be opened ({error}); {use_of_it}"), way_out);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let may = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities >> NET_ADMIN & 1 == 1);
    if may {
        return Finding::good("tap", "tap devices can be made");
    }
    let way_out = "run as root, or give the program the right: `setcap cap_net_admin+ep` on its file";
    Finding::limited("tap", format!("you may not make network devices; {use_of_it}"), way_out)
}

/// Python and Perl: a test needs the one that it is written in.
fn languages() -> [Finding; 2] {
    let python = version_of("python3", &["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]);
    let perl = version_of("perl", &["-MJSON::PP", "-MIO::Socket::UNIX", "-e", "printf '%vd', $^V"]);
    let neither = python.is_none() && perl.is_none();
    let absent = |name, language: &str, package: &str| {
        let found = format!("not found: scripts in {language} cannot run");
        let way_out = format!("install the package `{package}`");
        if neither { Finding::missing(name, found, way_out) } else { Finding::limited(name, found, way_out) }
    };
    let python = match python {
        Some(version) if is_recent(&version) => Finding::good("python3", version),
        Some(version) => {
            let (major, minor) = OLDEST_PYTHON;
            Finding::limited("python3", version, format!("scripts in Python need {major}.{minor} or later"))
        }
        None => absent("python3", "Python", "python3"),
    };
    let perl = perl.map_or_else(|| absent("perl", "Perl", "perl"), |version| Finding::good("perl", version));
    [python, perl]
}

/// What reads the text on screens.
fn ocr() -> Finding {
    const NAME: &str = "ocr";
    let tesseract = version_of("tesseract", &["--version"]);
    let (mut found, fonts) = (Vec::new(), engines::settings().fonts);
    match ocr::ConsoleEngine::with_directories(fonts.iter().map(PathBuf::as_path)) {
        Ok(engine) => found.push(format!("console ({} fonts)", engine.fonts().len())),
        Err(error) => {
            let variable = engines::FONTS_VARIABLE;
            return Finding::limited(
                NAME,
                error.to_string(),
                format!("take it out of {variable}'s directories"),
            );
        }
    }
    match tesseract {
        Some(version) => found.push(version),
        None => found.push("no tesseract, which only `ocr = \"tesseract\"` needs".to_owned()),
    }
    Finding::good(NAME, found.join(", "))
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(OLDEST_PYTHON.0), Some(OLDEST_PYTHON.1))
}

fn memory() -> Finding {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse::<u64>().ok());
    match available.map(|kib| kib / 1024) {
        None => Finding::limited("memory", "unknown", "/proc/meminfo says nothing of MemAvailable"),
        Some(mib) if mib < MACHINE_MIB => Finding::limited(
            "memory",
            format!("{} free", size(mib)),
            "give machines less with `memory` in the manifest, or end what uses the memory",
        ),
        Some(mib) => Finding::good("memory", format!("{} free", size(mib))),
    }
}

/// The space where `path` is, or would be.
fn space(name: &'static str, path: &Path) -> Finding {
    let there = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let Ok(stat) = rustix::fs::statvfs(there) else {
        return Finding::limited(
            name,
            format!("`{}` cannot be looked at", path.display()),
            "check its permissions",
        );
    };
    let mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    let found = format!("{} free in {}", size(mib), path.display());
    if mib >= MACHINE_MIB {
        return Finding::good(name, found);
    }
    let variable = if name == "temp" { "TMPDIR" } else { "INNKEEPER_CACHE" };
    Finding::limited(name, found, format!("free some, or set {variable} to a directory with more"))
}

fn images() -> Finding {
    let dirs = image_dirs();
    let names: Vec<String> = dirs.iter().flat_map(|dir| images_in(dir)).collect();
    if dirs.is_empty() {
        return Finding::limited(
            "images",
            "no place to look",
            "set HOME, or INNKEEPER_IMAGES to the directories with your images",
        );
    }
    if names.is_empty() {
        let places: Vec<_> = dirs.iter().map(|dir: &PathBuf| dir.display().to_string()).collect();
        return Finding::limited(
            "images",
            format!("none in {}", places.join(", ")),
            "build one with `cargo xtask guests base` in innkeeper's source tree; a manifest can also name its own",
        );
    }
    Finding::good("images", names.join(", "))
}

/// The first line of what `program` says of its version; `None` when it is not there or fails.
fn version_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(|line| line.trim().to_owned())
}

fn size(mib: u64) -> String {
    if mib < 1024 { format!("{mib} MiB") } else { format!("{} GiB", mib / 1024) }
}
