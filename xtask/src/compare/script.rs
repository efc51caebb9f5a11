//! The scripts of tests/upstream, and what their first lines say of the machines that they need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command;

/// How long a test may take if its script does not say, in seconds.
const TIMEOUT: u32 = 600;

/// A test script.
#[derive(Debug)]
pub(super) struct Script {
    /// The file's, without its ending.
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// In the order of the alphabet.
    pub(super) machines: Vec<String>,
    pub(super) vlans: Vec<u32>,
    /// The test's global timeout, in seconds.
    pub(super) timeout: u32,
}

impl Script {
    /// Those that have one of `parts` in their names; without any, all.
    pub(super) fn all(parts: &[String]) -> Result<Vec<Self>> {
        let mut scripts = Vec::new();
        for entry in fs::read_dir(command::root().join("tests/upstream"))? {
            // Most end in `.py`; what is no Python on purpose has no ending, so that nobody checks it.
            scripts.push(Self::read(&entry?.path())?);
        }
        scripts.retain(|script| parts.is_empty() || parts.iter().any(|part| script.name.contains(part)));
        if scripts.is_empty() {
            bail!("no script of tests/upstream has any of {} in its name", parts.join(", "));
        }
        scripts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(scripts)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(name, file, &text).with_context(|| format!("`{}`", file.display()))
    }

    /// `# machines: a b`, `# vlans: 1 2` and `# timeout: 3` above the script's first statement.
    fn parse(name: String, file: &Path, text: &str) -> Result<Self> {
        let comments = text.lines().map_while(|line| line.strip_prefix('#'));
        let value = |key: &str| {
            let said = comments.clone().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
            said.map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let number = |text: &String| text.parse::<u32>().with_context(|| format!("`{text}` is no number"));
        let mut machines = value("machines").unwrap_or_else(|| vec!["server".to_owned()]);
        machines.sort();
        Ok(Self {
            name,
            file: file.to_owned(),
            machines,
            vlans: value("vlans").unwrap_or_default().iter().map(number).collect::<Result<_>>()?,
            timeout: value("timeout").iter().flatten().next().map_or(Ok(TIMEOUT), number)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Script, TIMEOUT};

    #[test]
    fn the_first_comments_say_what_a_script_needs() {
        let parse = |text| Script::parse("x".to_owned(), Path::new("x.py"), text).unwrap();
        let plain = parse("pass\n# machines: late\n");
        assert_eq!(
            (plain.machines, plain.vlans, plain.timeout),
            (vec!["server".to_owned()], vec![], TIMEOUT)
        );
        let all = parse("# machines: b a\n# What it is about.\n# vlans: 1 2\n# timeout: 3\npass\n");
        assert_eq!((all.machines.join(" "), all.vlans, all.timeout), ("a b".to_owned(), vec![1, 2], 3));
        assert!(parse("# machines:\n").machines.is_empty());
    }
}
