//! What a person at the machine would do: keys, a look at the screen, the hypervisor's console.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Node;
use crate::error::DriverError;
use crate::event::{Event, FileKind};
use crate::facet::Facet;
use crate::keys::{parse_keys, translate};
use crate::screen::draw;
use crate::text::python_repr;

/// How long a chord is held: long enough for a guest that looks once a frame.
const HOLD: Duration = Duration::from_millis(10);
/// How long the keys of a text are held. A key that is held on a busy host may repeat.
const TAP: Duration = Duration::ZERO;

impl Node {
    /// Presses a key or a chord (`ctrl-alt-delete`), or the keys of one character of a US keyboard, and
    /// pauses for `delay`.
    ///
    /// # Errors
    /// [`DriverError::LacksFacet`] when the backend has no keyboard, [`DriverError::Usage`] for a key
    /// that does not exist or a machine that is off.
    pub async fn send_key(&self, key: &str, delay: Duration, log: bool) -> Result<(), DriverError> {
        let key = translate(key);
        let pressed = self.press(&key, HOLD, delay);
        if log {
            self.step(format!("sending key {}", python_repr(&key)), pressed).await
        } else {
            pressed.await
        }
    }

    /// Types text, a character at a time, on a US keyboard. The next one comes when the guest has taken the
    /// last one, where the backend can know that, and `delay` later.
    ///
    /// # Errors
    /// As [`Node::send_key`].
    pub async fn send_chars(&self, text: &str, delay: Duration) -> Result<(), DriverError> {
        self.step(format!("sending keys {}", python_repr(text)), self.tap(text, delay)).await
    }

    /// Presses the keys of each character.
    pub(super) async fn tap(&self, text: &str, delay: Duration) -> Result<(), DriverError> {
        for character in text.chars() {
            self.press(&translate(character.encode_utf8(&mut [0; 4])), TAP, delay).await?;
        }
        Ok(())
    }

    async fn press(&self, chord: &str, hold: Duration, delay: Duration) -> Result<(), DriverError> {
        let keys = parse_keys(chord)?;
        let running = self.must_run("be typed to")?;
        let keyboard = running.machine.keyboard().ok_or_else(|| self.lacks(Facet::Keyboard))?;
        let pressed = keyboard.press(&keys, hold, self.soon());
        self.while_it_runs(&running, || format!("pressing `{chord}`"), pressed).await?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Takes a picture of the screen, or of what the serial console would show on one where the backend has none: who
    /// keeps a picture, and looks for nothing in it, has a test for every backend. A name without a suffix gets
    /// `.png`; one without a folder is put into the result directory.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the machine is off, [`DriverError::File`] when the file cannot be written.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf, DriverError> {
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.png") };
        let file = if name.contains('/') { PathBuf::from(&name) } else { self.context.out_dir.join(&name) };
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            let message = format!("`{}` is no directory to put a screenshot into", folder.display());
            return Err(DriverError::usage(message));
        }
        let base = file.file_name().map(|base| base.to_string_lossy().into_owned());
        let heading = format!("making screenshot {}", file.display());
        let journal = &self.context.journal;
        journal
            .step(Some(self.name()), heading, base, async {
                let running = self.must_run("be looked at")?;
                match running.machine.screen() {
                    Some(screen) => {
                        let captured = screen.capture(&file, self.soon());
                        self.while_it_runs(&running, || "taking a screenshot".to_owned(), captured).await?;
                    }
                    None => self.draw_console(&file).await?,
                }
                self.saved(FileKind::Screenshot, &file);
                Ok(())
            })
            .await?;
        Ok(file)
    }

    /// Makes a picture of the serial console.
    async fn draw_console(&self, file: &Path) -> Result<(), DriverError> {
        let printed = self.console.tail();
        let drawn = self.off_thread("draw its console", move || Ok(draw(&printed).to_png()?)).await?;
        self.log(format!("the picture shows its serial console: backend `{}` has no screen", self.backend()));
        tokio::fs::write(file, drawn).await.map_err(|source| DriverError::File {
            operation: "write",
            path: file.display().to_string(),
            source,
        })
    }

    /// Notes that a file has been written, if that was into the result directory.
    pub(super) fn saved(&self, kind: FileKind, file: &Path) {
        if let Ok(inside) = file.strip_prefix(&self.context.out_dir) {
            let path = inside.display().to_string();
            self.context.journal.emit(Some(self.name()), Event::FileSaved { kind, path });
        }
    }

    /// Runs a line on the hypervisor's own command line and returns what it printed.
    ///
    /// # Errors
    /// [`DriverError::LacksFacet`] when the backend has none, [`DriverError::Usage`] when the machine is
    /// off.
    pub async fn send_monitor_command(&self, line: &str) -> Result<String, DriverError> {
        let running = self.must_run("take monitor commands")?;
        let monitor = running.machine.monitor().ok_or_else(|| self.lacks(Facet::Monitor))?;
        let told = monitor.command(line, self.soon());
        self.while_it_runs(&running, || format!("running the monitor command `{line}`"), told).await
    }
}
