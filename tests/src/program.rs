//! Where the program is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The built program. `INNKEEPER_BIN` names one that is there already; otherwise cargo builds it, or finds
/// that nothing has changed.
///
/// Cargo offers a binary only to the tests of its own package, and builds it in `cargo test --workspace`
/// only by chance: so the tests ask for it.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("INNKEEPER_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    built(&["--package=cli", "--bin=innkeeper"], "innkeeper", |message| message["executable"].as_str())
}

/// The shared library of an example that is a plugin: `plugin-local`, say.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn plugin(package: &str) -> PathBuf {
    let target = package.replace('-', "_");
    built(&["--package", package, "--lib"], &target, |message| message["filenames"][0].as_str())
}

/// The shared library of an example of `package`, such as the plugins of a test.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn example(package: &str, name: &str) -> PathBuf {
    built(&["--package", package, "--example", name], name, |message| message["filenames"][0].as_str())
}

/// The shared library of a package that lies elsewhere.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn build_package(folder: &Path, name: &str) -> PathBuf {
    let manifest = folder.join("Cargo.toml").display().to_string();
    built(&["--offline", "--lib", "--manifest-path", &manifest], name, |message| {
        message["filenames"][0].as_str()
    })
}

/// Lets cargo build something, and hears where it is.
fn built(what: &[&str], target: &str, place: impl Fn(&serde_json::Value) -> Option<&str>) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("build").args(what).arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "`{target}` does not compile");
    let messages = String::from_utf8_lossy(&output.stdout);
    let file = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == target;
        place(&message).filter(|_| is_ours).map(PathBuf::from)
    });
    file.expect("cargo says where it is")
}
