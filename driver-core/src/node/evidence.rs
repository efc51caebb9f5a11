//! What is gathered of one machine after a failure: its screen, what its guest says of itself, what the hypervisor was
//! told, and the guest's memory if that is asked for. Guests are hostile: each file is bounded.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Node;
use super::command::excerpt;
use super::life::Running;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::event::{FileKind, Level};
use crate::evidence::free;
use crate::machine::Forensics;
use crate::ocr::Frame;
use crate::text::size;
use crate::wait::within;

/// Bytes that are kept of one thing that a guest says.
const OUTPUT: usize = 1 << 20;
/// How long an image of memory may take: many GiB go to a slow disk.
const MEMORY_LIMIT: Duration = Duration::from_secs(300);
/// Bytes of the disk that an image of memory leaves free.
const RESERVE: u64 = 1 << 30;

/// What a guest says of itself: the file, and the commands that tell. What is not there says nothing. Their ends count
/// more than their beginnings.
const QUESTIONS: [(&str, &str); 4] = [
    ("journal.txt", "journalctl --boot --no-pager --quiet --output=short-precise --lines=4000"),
    (
        "units.txt",
        "systemctl --failed --full --plain --no-pager; systemctl list-jobs --full --no-pager; \
         systemctl --failed --plain --no-legend --no-pager | head -n 8 | while read -r unit _; do \
         echo; systemctl status --full --no-pager --lines=20 -- \"$unit\" || true; done",
    ),
    ("dmesg.txt", "dmesg"),
    (
        "processes.txt",
        "ps -eo pid,ppid,stat,wchan:20,etimes,time,rss,args --sort=-time || ps || true; \
         echo; free -m || true; echo; df -h || true",
    ),
];

impl Node {
    /// Keeps what can be had of the machine in this time, whether it runs or has died.
    pub(crate) async fn keep_evidence(&self, folder: &Path, limit: Deadline) {
        let Some(running) = self.running() else { return };
        if let Some(transcript) = running.machine.forensics().map(Forensics::transcript) {
            self.keep(folder, "control.txt", transcript.as_bytes());
        }
        tokio::join!(self.keep_screen(&running, folder, limit), self.ask_guest(&running, folder, limit));
    }

    /// Keeps the screen as it is, or as it was last seen, and the text on it.
    async fn keep_screen(&self, running: &Running, folder: &Path, limit: Deadline) {
        let file = self.evidence_file(folder, "screen.png");
        let now = match running.machine.screen().filter(|_| running.exit().is_none()) {
            Some(screen) => within(limit, screen.capture(&file, limit)).await,
            None => None,
        };
        if !matches!(now, Some(Ok(()))) {
            let Some((frame, age)) = self.film.last() else { return };
            if fs::write(&file, frame).is_err() {
                return;
            }
            self.explain(format!("its screen was last seen {:.1} s ago", age.as_secs_f64()));
        }
        self.saved(FileKind::Screenshot, &file);
        self.keep_text(folder, &file, limit).await;
    }

    async fn keep_text(&self, folder: &Path, picture: &Path, limit: Deadline) {
        let (Some(engine), Ok(png)) = (self.context.ocr.as_ref().map(Arc::clone), fs::read(picture)) else {
            return;
        };
        let read = tokio::task::spawn_blocking(move || {
            let frame = Frame::from_png(&png).map_err(|error| error.to_string())?;
            engine.read(&frame, limit).map(|reading| reading.text()).map_err(|error| error.to_string())
        });
        match within(limit, read).await {
            Some(Ok(Ok(text))) => self.keep(folder, "screen.txt", text.as_bytes()),
            Some(Ok(Err(problem))) => {
                self.explain(format!("the text on its screen could not be read: {problem}"))
            }
            // A panic has told of itself.
            Some(Err(_)) => {}
            None => self.explain("there was no time to read the text on its screen".to_owned()),
        }
    }

    /// Asks the guest how it is, if it can answer.
    async fn ask_guest(&self, running: &Running, folder: &Path, limit: Deadline) {
        if !running.is_connected() || self.console.panic().is_some() {
            return;
        }
        let channel = running.line.channel();
        // An agent does several things at once.
        if let (Channel::Shell(_), Some(command)) = (channel.as_ref(), channel.busy_with()) {
            self.explain(format!("its guest cannot be asked: `{}` holds its shell", excerpt(&command)));
            return;
        }
        let ask = |(name, command): (&'static str, &'static str)| {
            let channel = Arc::clone(&channel);
            async move {
                let command = format!("{{ {command}; }} 2>/dev/null | tail -c {}", OUTPUT / 2);
                let during = || format!("gathering {name}");
                let answer = channel.peek(&command, OUTPUT, limit);
                match within(limit, self.while_it_runs(running, during, answer)).await {
                    Some(Ok(output)) => {
                        self.keep(folder, name, &output.stdout);
                        None
                    }
                    Some(Err(DriverError::Exited { exit, .. })) => Some(exit.to_string()),
                    Some(Err(error)) => Some(error.chain()),
                    None => Some(format!("it did not answer within {:?}", limit.limit())),
                }
            }
        };
        let mut problems: Vec<String> =
            join_all(QUESTIONS.into_iter().map(ask)).await.into_iter().flatten().collect();
        problems.dedup();
        for problem in problems {
            self.explain(format!("its guest has not told all: {problem}"));
        }
    }

    /// Keeps an image of the guest's memory, if the disk has room for it.
    pub(crate) async fn keep_memory(&self, folder: &Path) {
        let Some(running) = self.running().filter(|running| running.exit().is_none()) else { return };
        let Some(forensics) = running.machine.forensics() else {
            return self.explain(format!("backend `{}` cannot keep its memory", self.backend()));
        };
        let limit = Deadline::after(MEMORY_LIMIT);
        let file = self.evidence_file(folder, "memory.kdump");
        match within(limit, dump(forensics, &file, limit)).await {
            Some(Ok(())) => return self.saved(FileKind::Evidence, &file),
            Some(Err(problem)) => self.explain(format!("its memory is not kept: {problem}")),
            None => self.explain(format!("its memory is not kept: that took longer than {MEMORY_LIMIT:?}")),
        }
        // A part of an image is of no use; there may be none.
        drop(fs::remove_file(&file));
    }

    /// Keeps a text of the guest's, if it is one.
    fn keep(&self, folder: &Path, name: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        if text.trim().is_empty() {
            return;
        }
        let file = self.evidence_file(folder, name);
        match fs::write(&file, text.as_bytes()) {
            Ok(()) => self.saved(FileKind::Evidence, &file),
            Err(error) => self.explain(format!("`{}` cannot be written: {error}", file.display())),
        }
    }

    fn evidence_file(&self, folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{}.{name}", self.name()))
    }

    /// Why something is missing: no warning, since the test has failed for another reason.
    fn explain(&self, text: String) {
        self.context.journal.log(Level::Info, Some(self.name()), text);
    }
}

async fn dump(forensics: &dyn Forensics, file: &Path, limit: Deadline) -> Result<(), String> {
    let problem = |error: DriverError| error.chain();
    let needed = forensics.memory_size(limit).await.map_err(problem)?.saturating_add(RESERVE);
    let room = file.parent().and_then(free).unwrap_or_default();
    if room < needed {
        return Err(format!("it needs {} of free disk, and there is {}", size(needed), size(room)));
    }
    forensics.dump_memory(file, limit).await.map_err(problem)
}
