//! The program as a user meets it, without any machine: files that are wrong, flags, statuses.

mod docs;
mod doctor;
mod flags;
mod kinds;
mod manifest;
mod needle;
mod ocr;
mod report;
mod results;
mod schema;
mod survival;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory with files in it, where the program runs.
struct Place(TempDir);

impl Place {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The program with its working directory here, and with nothing of the user's around it.
    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_innkeeper"));
        command.current_dir(self.path());
        for name in [
            "INNKEEPER_FONTS",
            "INNKEEPER_IMAGES",
            "XDG_CACHE_HOME",
            "INNKEEPER_LOG",
            "CLICOLOR_FORCE",
            "GITHUB_STEP_SUMMARY",
        ] {
            command.env_remove(name);
        }
        command.env("INNKEEPER_CACHE", "cache").env("COLUMNS", "100").env("XDG_CONFIG_HOME", "config");
        command
    }

    fn run(&self, args: &[&str]) -> Said {
        let said = Said::of(self.program().args(args).output().expect("the program starts"));
        schema::assert_kept(self.path());
        said
    }
}

/// What the program said, and its exit status.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}
