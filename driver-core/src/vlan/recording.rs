//! Captures of a VLAN: where their files go, and how they end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{CaptureEnd, CaptureId, Vlan};
use crate::error::DriverError;
use crate::event::{Event, FileKind, Level};

/// The captures that go on, with their files.
#[derive(Debug, Default)]
pub(super) struct Recordings(Mutex<BTreeMap<CaptureId, PathBuf>>);

impl Recordings {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CaptureId, PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vlan {
    /// Writes all that passes from now on to `file`, until `limit` bytes are written. A name without a slash goes
    /// into the result directory; without any, it is `vlan1.pcapng` there, or `vlan1-2.pcapng` if that is taken.
    /// The capture ends when what is returned is dropped, and at the end of the run.
    ///
    /// # Errors
    /// [`DriverError::File`] when the file cannot be made, is no regular file, or another capture writes to it;
    /// [`DriverError::Usage`] when its directory is not there.
    pub fn capture(
        self: &Arc<Self>,
        file: Option<&str>,
        limit: Option<u64>,
    ) -> Result<Recording, DriverError> {
        let (id, file) = self.start_capture(file, limit)?;
        Ok(Recording { vlan: Arc::clone(self), id, file })
    }

    pub(crate) fn start_capture(
        &self,
        file: Option<&str>,
        limit: Option<u64>,
    ) -> Result<(CaptureId, PathBuf), DriverError> {
        let mut recordings = self.recordings.lock();
        let file = match file {
            Some(name) => self.place_of(name)?,
            None => self.free_place(),
        };
        let id = self.switch().capture(&file, limit.unwrap_or_else(|| self.capture_limit()))?;
        self.say(Level::Info, format!("capturing to {}", self.shown(&file)));
        recordings.insert(id, file.clone());
        Ok((id, file))
    }

    /// Ends a capture: its file is whole. `None` when it has ended before.
    pub fn end_capture(&self, id: CaptureId) -> Option<CaptureEnd> {
        let mut recordings = self.recordings.lock();
        let file = recordings.remove(&id)?;
        let end = self.switch().end_capture(id)?;
        let shown = self.shown(&file);
        self.say(Level::Info, format!("captured {} frames ({} bytes) to {shown}", end.frames, end.bytes));
        if end.left_out > 0 {
            let text = format!("{shown} has reached its limit: {} frames are not in it", end.left_out);
            self.say(Level::Warning, text);
        }
        if let Ok(inside) = file.strip_prefix(&self.out_dir) {
            let path = inside.display().to_string();
            self.journal.emit(None, Event::FileSaved { kind: FileKind::Capture, path });
        }
        Some(end)
    }

    pub(super) fn end_recordings(&self) {
        let all: Vec<CaptureId> = self.recordings.lock().keys().copied().collect();
        for id in all {
            self.end_capture(id);
        }
    }

    fn place_of(&self, name: &str) -> Result<PathBuf, DriverError> {
        let base = name.rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return Err(DriverError::usage(format!("{name:?} is no name for a capture's file")));
        }
        let name = if base.contains('.') { name.to_owned() } else { format!("{name}.pcapng") };
        let file = if name.contains('/') { PathBuf::from(&name) } else { self.out_dir.join(&name) };
        match file.parent().filter(|folder| !folder.is_dir()) {
            None => Ok(file),
            Some(folder) => Err(DriverError::usage(format!(
                "`{}` is no directory to put a capture into",
                folder.display()
            ))),
        }
    }

    fn free_place(&self) -> PathBuf {
        let mut ending = String::new();
        let mut count = 1;
        loop {
            let file = self.out_dir.join(format!("vlan{}{ending}.pcapng", self.number()));
            if !file.exists() {
                return file;
            }
            count += 1;
            ending = format!("-{count}");
        }
    }

    fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.out_dir).unwrap_or(file).display().to_string()
    }

    fn say(&self, level: Level, text: String) {
        self.journal.log(level, None, format!("vlan {}: {text}", self.number()));
    }
}

/// A capture that goes on. Dropping it ends the capture.
#[derive(Debug)]
#[must_use = "the capture ends as soon as this is dropped"]
pub struct Recording {
    vlan: Arc<Vlan>,
    id: CaptureId,
    file: PathBuf,
}

impl Recording {
    /// The file that is written.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Ends the capture and says what it has come to; `None` when it has ended before.
    pub fn end(self) -> Option<CaptureEnd> {
        self.vlan.end_capture(self.id)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.vlan.end_capture(self.id);
    }
}
