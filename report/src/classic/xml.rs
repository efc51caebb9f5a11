//! `log.xml`: nested steps and lines, whole after every record, so that it can be read whatever ends the driver.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use driver_core::event::{Level, Record, ScopeId};
use driver_core::{DriverError, Reporter};

use super::{Entry, Manner, Reader, SCRIPT_STEP_OF_2019, clean};
use crate::files::failed;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const BEGINNING: &str = "<logfile>";

/// Writes the log as XML. In a plain file the document's end is written after each record and overwritten by the next.
pub struct LogXml {
    file: File,
    path: PathBuf,
    can_seek: bool,
    /// The steps that are open in the document, and whether each has ended: one that ends while a later one is open, as
    /// when machines start at once, is closed with that.
    open: Vec<(ScopeId, bool)>,
    reader: Reader,
}

impl LogXml {
    /// Starts the document in `path`, which may be a device such as `/dev/null`.
    ///
    /// # Errors
    /// [`DriverError::File`] when it cannot be written.
    pub fn create(path: &Path) -> Result<Self, DriverError> {
        Self::begin(path, Reader::default())
    }

    /// Starts the document as the driver in Perl had it (compat.md 7.4).
    ///
    /// # Errors
    /// As [`LogXml::create`].
    pub fn of_2019(path: &Path) -> Result<Self, DriverError> {
        Self::begin(path, Reader::of_2019())
    }

    fn begin(path: &Path, reader: Reader) -> Result<Self, DriverError> {
        let shown = path.display().to_string();
        let mut file = File::create(path).map_err(failed("create", shown.clone()))?;
        let can_seek = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if reader.manner == Manner::Python {
            file.write_all(DECLARATION.as_bytes()).map_err(failed("write", shown.clone()))?;
        }
        file.write_all(BEGINNING.as_bytes()).map_err(failed("write", shown))?;
        let mut log = Self { file, path: path.to_owned(), can_seek, open: Vec::new(), reader };
        log.append("")?;
        Ok(log)
    }

    /// Adds to the document, and ends it for the time being.
    fn append(&mut self, text: &str) -> Result<(), DriverError> {
        let ending = self.ending();
        let write = |file: &mut File| -> io::Result<()> {
            if !self.can_seek {
                return file.write_all(text.as_bytes());
            }
            file.write_all(format!("{text}{ending}").as_bytes())?;
            let back = i64::try_from(ending.len()).unwrap_or(0);
            file.seek(SeekFrom::Current(-back)).map(drop)
        };
        write(&mut self.file).map_err(failed("write", self.path.display().to_string()))
    }

    fn ending(&self) -> String {
        format!("{}</logfile>\n", "</nest>".repeat(self.open.len()))
    }

    /// Closes the steps at the end that are over.
    fn close(&mut self, scope: ScopeId) -> String {
        if let Some(step) = self.open.iter_mut().rfind(|(id, _)| *id == scope) {
            step.1 = true;
        }
        let mut text = String::new();
        while self.open.pop_if(|(_, has_ended)| *has_ended).is_some() {
            text.push_str("</nest>");
        }
        text
    }
}

impl Reporter for LogXml {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let Some(entry) = self.reader.read(record) else { return Ok(()) };
        let machine = record.machine.as_deref();
        let is_old = self.reader.manner == Manner::Perl;
        let text = match entry {
            Entry::Nest { scope, heading, file } => {
                self.open.push((scope, false));
                let image = file.as_deref().map(|file| file.rsplit('/').next().unwrap_or(file));
                let expanded = (is_old && heading == SCRIPT_STEP_OF_2019).then_some("1");
                let attributes =
                    attributes(&[("machine", machine), ("image", image), ("expanded", expanded)]);
                format!("<nest><head{attributes}>{}</head>", escaped(&heading))
            }
            Entry::End { scope, line } => {
                let line = line.map(|line| format!("<line>{}</line>", escaped(&line))).unwrap_or_default();
                format!("{line}{}", self.close(scope))
            }
            Entry::Line { level, text } => {
                let error = (is_old && level == Level::Error).then_some("1");
                let attributes = attributes(&[("machine", machine), ("error", error)]);
                format!("<line{attributes}>{}</line>", escaped(&text))
            }
            Entry::Serial { text } => {
                let attributes = attributes(&[("machine", machine), ("type", Some("serial"))]);
                format!("<line{attributes}>{}</line>", escaped(&text))
            }
            Entry::Printed { .. } => return Ok(()),
        };
        self.append(&text)
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let ending = self.ending();
        let written = self.file.write_all(ending.as_bytes());
        written.map_err(failed("write", self.path.display().to_string()))
    }
}

impl fmt::Debug for LogXml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogXml").field("path", &self.path).finish_non_exhaustive()
    }
}

fn attributes(all: &[(&str, Option<&str>)]) -> String {
    all.iter()
        .filter_map(|(name, value)| {
            value.map(|value| format!(" {name}=\"{}\"", escaped(value).replace('"', "&quot;")))
        })
        .collect()
}

/// Text as XML has it.
pub(super) fn escaped(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
