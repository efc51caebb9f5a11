//! A child's output while it works: all of it goes to a log, its current step to the terminal.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;

/// How much of the log a failure shows.
const TAIL: usize = 25;

/// One build's log and line on the terminal.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    log: File,
    path: PathBuf,
    begun: Instant,
    live: bool,
}

impl Progress {
    /// Begins a new log at `path`.
    pub(super) fn new(name: &str, path: &Path) -> Result<Progress> {
        fs::create_dir_all(path.parent().context("a log has a folder")?)?;
        let log = File::create(path).with_context(|| format!("failed to write `{}`", path.display()))?;
        let live = io::stdout().is_terminal();
        Ok(Progress { name: name.to_owned(), log, path: path.to_owned(), begun: Instant::now(), live })
    }

    /// Says what is being done now.
    pub(super) fn step(&self, step: &str) {
        let seconds = self.begun.elapsed().as_secs();
        if self.live {
            // One line that is written over, and so must not wrap.
            print!(
                "\r\x1b[K{}",
                format!("{}: {seconds:3} s: {step}", self.name).chars().take(100).collect::<String>()
            );
            let _ = io::stdout().flush();
        } else {
            println!("{}: {seconds:3} s: {step}", self.name);
        }
    }

    /// Says how it ended.
    pub(super) fn done(&self, what: &str) {
        if self.live {
            print!("\r\x1b[K");
        }
        println!("{}: {what} in {} s", self.name, self.begun.elapsed().as_secs());
    }

    /// Runs a command to its end. `step` picks the lines that tell of a new step. A failure shows the log's tail.
    pub(super) fn run(&mut self, command: &mut Command, step: fn(&str) -> Option<&str>) -> Result<()> {
        writeln!(self.log, "$ {}", command::show(command))?;
        let (read, write) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(write.try_clone()?).stderr(write);
        let mut child =
            command.spawn().with_context(|| format!("failed to start `{}`", command::show(command)))?;
        // The command holds the pipe's other end, too; without this we would wait for ourselves.
        command.stdout(Stdio::null()).stderr(Stdio::null());

        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(read).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut tail = VecDeque::new();
        let mut current = String::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => {
                    writeln!(self.log, "{line}")?;
                    if let Some(new) = step(&line).filter(|new| *new != current) {
                        current = new.to_owned();
                        self.step(&current);
                    }
                    tail.push_back(line);
                    if tail.len() > TAIL {
                        tail.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.live => self.step(&current),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }

        let status = child.wait()?;
        if !status.success() {
            if self.live {
                println!();
            }
            for line in tail {
                eprintln!("  {line}");
            }
            let program = command.get_program().to_string_lossy().into_owned();
            bail!(
                "failed to build image `{}`: `{program}` ended with {status} (log: {})",
                self.name,
                self.path.display()
            );
        }
        Ok(())
    }
}
