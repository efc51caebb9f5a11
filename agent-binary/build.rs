//! Builds the agent for the guest and packs it. Whatever keeps it from being built is told to the crate, and
//! is no error of the build.

use std::env;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::{Compression, write::GzEncoder};

/// The platform that the agent is built for. The GNU one, for it is there wherever Rust is; static all the
/// same.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// As small as can be. Given here, for the workspace's own profiles are the driver's.
const PROFILE: [&str; 5] = [
    "profile.release.opt-level=\"z\"",
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=\"symbols\"",
];

/// Flags for the compiler, separated as cargo wants them.
const FLAGS: &str = "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static\x1f-Cforce-unwind-tables=no";

/// What the agent is made of, seen from this crate.
const SOURCES: [&str; 6] = [
    "../agent/src",
    "../agent/Cargo.toml",
    "../agent-protocol/src",
    "../agent-protocol/Cargo.toml",
    "../Cargo.toml",
    "../Cargo.lock",
];

fn main() -> Result<(), Box<dyn Error>> {
    for source in ["build.rs"].iter().chain(&SOURCES) {
        println!("cargo::rerun-if-changed={source}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let code = match build(&out) {
        Ok(program) => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::best());
            packer.write_all(&program)?;
            fs::write(out.join("agent.gz"), packer.finish()?)?;
            format!(
                "const PACKED: Option<&[u8]> = Some(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/agent.gz\")));\n\
                 const SIZE: usize = {};\nconst REASON: Option<&str> = None;\n",
                program.len()
            )
        }
        Err(reason) => {
            let reason = reason.to_string();
            println!("cargo::warning=no agent for guests: {}", reason.lines().next().unwrap_or_default());
            format!(
                "const PACKED: Option<&[u8]> = None;\nconst SIZE: usize = 0;\n\
                 const REASON: Option<&str> = Some({reason:?});\n"
            )
        }
    };
    Ok(fs::write(out.join("agent.rs"), code)?)
}

/// The program's bytes.
fn build(out: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let host = env::var("TARGET")?;
    if !host.starts_with("x86_64-") || !host.contains("-linux-") {
        return Err(format!("it is built on x86-64 Linux only, and this is {host}").into());
    }
    // Without the network if everything is at hand, as it is but for the first time.
    if cargo(out, &["--offline"])?.is_err() {
        cargo(out, &[])?.map_err(|errors| format!("cargo could not build it\n{errors}"))?;
    }
    Ok(fs::read(out.join("target").join(TARGET).join("release").join("agent"))?)
}

/// Runs cargo inside of cargo, with a folder of its own: the outer one holds the lock of the usual one.
fn cargo(out: &Path, more: &[&str]) -> Result<Result<(), String>, Box<dyn Error>> {
    let mut command = Command::new(env::var("CARGO")?);
    command.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "agent",
        "--bin",
        "agent",
        "--target",
        TARGET,
    ]);
    command.args(more).arg("--target-dir").arg(out.join("target"));
    command.arg("--manifest-path").arg(Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../Cargo.toml"));
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    // What the outer cargo was told is about the driver: other flags, a linter in the compiler's place.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let of_profile = name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_TARGET_");
        if of_profile
            || ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"].contains(&name.as_ref())
        {
            command.env_remove(name.as_ref());
        }
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS).stdin(Stdio::null());
    let output = command.output()?;
    let errors = || String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { Ok(()) } else { Err(errors()) })
}
