//! QEMU where apt finds no plain way to it: qemu-utils is there in a version that the machine's apt
//! sources do not have (from backports, as a rule), and conflicts with the qemu-system-x86 that they have.
//!
//! Ways out, tried in this order: the same version if a source has it; Debian's backports, added to the
//! sources and used for QEMU alone; qemu-utils taken back to the sources' version.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::{apt, as_root, can_install};
use crate::command;

/// The package with QEMU's machines for x86.
pub(super) const PACKAGE: &str = "qemu-system-x86";

/// The file that we add to apt's sources.
const BACKPORTS: &str = "/etc/apt/sources.list.d/innkeeper-backports.sources";

/// Finds arguments for `apt-get install` that bring QEMU where its plain name does not.
pub(super) fn way_in() -> Result<Vec<String>> {
    let installed =
        command::output(&mut command::command("dpkg-query", &["-Wf", "${Version}", "qemu-utils"]));
    let Some(version) = installed.filter(|version| !version.is_empty()) else {
        bail!("apt finds no way to install {PACKAGE} (`apt-get install {PACKAGE}` tells why)");
    };
    println!("qemu-utils is installed in version {version}; looking for a {PACKAGE} that goes with it");

    let same_version = vec![format!("{PACKAGE}={version}")];
    if can_install(&same_version) {
        return Ok(same_version);
    }
    if version.contains("~bpo") {
        match add_backports() {
            Ok(suite) => {
                let from_backports = vec![format!("--target-release={suite}"), PACKAGE.to_owned()];
                if can_install(&from_backports) {
                    return Ok(from_backports);
                }
            }
            Err(error) => println!("there is no way to Debian's backports: {error:#}"),
        }
    }
    let candidate = candidate("qemu-utils").context("no apt source has qemu-utils")?;
    let downgrade = vec!["--allow-downgrades".into(), PACKAGE.into(), format!("qemu-utils={candidate}")];
    if can_install(&downgrade) {
        println!("no such {PACKAGE} found: qemu-utils goes back to {candidate}");
        return Ok(downgrade);
    }
    bail!("apt finds no {PACKAGE} that goes with qemu-utils {version} (remove qemu-utils, and try again)")
}

/// The newest version of a package that a source has, rather than the installed one.
fn candidate(package: &str) -> Option<String> {
    let offers = command::output(&mut command::command("apt-cache", &["madison", package]))?;
    offers
        .lines()
        .filter(|line| !line.contains("-backports"))
        .find_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
}

/// Adds Debian's backports next to the machine's own Debian source, and returns their suite's name.
fn add_backports() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("failed to read `/etc/os-release`")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("`/etc/os-release` has no VERSION_CODENAME")?
        .trim_matches('"')
        .to_owned();
    let suite = format!("{codename}-backports");
    if !Path::new(BACKPORTS).exists() {
        let source = source_of(&codename)
            .with_context(|| format!("no apt source of this machine has `{codename}`"))?;
        let entry = source.with_suite(&suite);
        println!("adding {BACKPORTS} (packages come from there only when asked for):");
        for line in entry.lines() {
            println!("  {line}");
        }
        let mut tee = as_root("tee");
        let mut child = tee.arg(BACKPORTS).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        child.stdin.take().context("no pipe to tee")?.write_all(entry.as_bytes())?;
        if !child.wait()?.success() {
            bail!("failed to write `{BACKPORTS}`");
        }
        command::run(&mut apt(&["update"]))?;
    }
    Ok(suite)
}

/// Where packages come from.
#[derive(Debug, Default, PartialEq)]
struct Source {
    uri: String,
    components: String,
    signed_by: Option<String>,
}

impl Source {
    fn with_suite(&self, suite: &str) -> String {
        let Source { uri, components, signed_by } = self;
        let key = signed_by.iter().map(|file| format!("Signed-By: {file}\n")).collect::<String>();
        format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {components}\n{key}")
    }
}

/// The machine's own source of a Debian release.
fn source_of(codename: &str) -> Option<Source> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()),
    );
    files.sort();
    files.iter().find_map(|file| {
        let content = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "list" => content.lines().find_map(|line| one_line(line, codename)),
            "sources" => content.split("\n\n").find_map(|stanza| deb822(stanza, codename)),
            _ => None,
        }
    })
}

/// Reads `deb [options] URI SUITE COMPONENT...`.
fn one_line(line: &str, codename: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    (suite == codename).then(|| Source {
        uri: uri.to_owned(),
        components: words.collect::<Vec<_>>().join(" "),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// Reads a stanza of `Name: values` lines.
fn deb822(stanza: &str, codename: &str) -> Option<Source> {
    let field = |name: &str| {
        let line = stanza
            .lines()
            .find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
        Some(line[name.len()..].trim())
    };
    let enabled = field("Enabled:").is_none_or(|value| value != "no");
    let ours = enabled
        && field("Types:")?.split_whitespace().any(|kind| kind == "deb")
        && field("Suites:")?.split_whitespace().any(|suite| suite == codename);
    ours.then(|| Source {
        uri: field("URIs:").and_then(|uris| uris.split_whitespace().next()).unwrap_or_default().to_owned(),
        components: field("Components:").unwrap_or("main").to_owned(),
        signed_by: field("Signed-By:").filter(|value| value.starts_with('/')).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Option<Source> {
        let key = "/keys/debian.gpg".to_owned();
        Some(Source { uri: "mirror:/debian".into(), components: "main contrib".into(), signed_by: Some(key) })
    }

    #[test]
    fn reads_one_line_sources() {
        let line = "deb [arch=amd64 signed-by=/keys/debian.gpg] mirror:/debian bookworm main contrib";
        assert_eq!(one_line(line, "bookworm"), expected());
        assert_eq!(one_line(line, "trixie"), None);
        assert_eq!(one_line("deb-src mirror:/debian bookworm main", "bookworm"), None);
        assert_eq!(one_line("# deb mirror:/debian bookworm main", "bookworm"), None);
    }

    #[test]
    fn reads_deb822_sources() {
        let stanza = "Types: deb\n# a comment\nURIs: mirror:/debian\nSuites: bookworm bookworm-updates\n\
                      Components: main contrib\nSigned-By: /keys/debian.gpg\n";
        assert_eq!(deb822(stanza, "bookworm"), expected());
        assert_eq!(deb822(stanza, "trixie"), None);
        assert_eq!(deb822(&format!("Enabled: no\n{stanza}"), "bookworm"), None);
    }

    #[test]
    fn writes_the_backports_entry() {
        let entry = expected().expect("there is one").with_suite("bookworm-backports");
        assert_eq!(
            entry,
            "Types: deb\nURIs: mirror:/debian\nSuites: bookworm-backports\nComponents: main contrib\n\
             Signed-By: /keys/debian.gpg\n"
        );
    }
}
