//! `console/<machine>.log`: what each guest printed on its serial console.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use driver_core::event::{Event, Record};
use driver_core::{DriverError, Reporter};

use crate::files::failed;

/// The directory's name in the result directory.
const NAME: &str = "console";

/// Writes one file per machine, line by line as the guest prints. Nothing is escaped: the files are for
/// programs that search them, and for readers that ask their pager to show control characters.
#[derive(Debug)]
pub struct ConsoleLogs {
    dir: PathBuf,
    files: HashMap<String, File>,
}

impl ConsoleLogs {
    /// Makes the directory `console` in the result directory `dir`.
    ///
    /// # Errors
    /// [`DriverError::File`] when it cannot be made.
    pub fn create(dir: &Path) -> Result<Self, DriverError> {
        let dir = dir.join(NAME);
        std::fs::create_dir_all(&dir).map_err(failed("create", NAME))?;
        Ok(Self { dir, files: HashMap::new() })
    }
}

impl Reporter for ConsoleLogs {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        let (Some(machine), Event::Console { line }) = (&record.machine, &record.event) else {
            return Ok(());
        };
        let shown = || format!("{NAME}/{}", file_name(machine));
        let file = match self.files.entry(machine.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let file =
                    File::create(self.dir.join(file_name(machine))).map_err(failed("create", shown()))?;
                entry.insert(file)
            }
        };
        file.write_all(format!("{line}\n").as_bytes()).map_err(failed("write", shown()))
    }
}

/// A file name for a machine, whatever it is called: different for different machines, never a path and
/// never hidden. What is no letter, digit, `-`, `_` or inner `.` is written as `%2f`.
fn file_name(machine: &str) -> String {
    let mut name = String::new();
    for character in machine.chars() {
        let inner_dot = character == '.' && !name.is_empty();
        if character.is_alphanumeric() || matches!(character, '-' | '_') || inner_dot {
            name.push(character);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{:02x}", u32::from(character));
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    name + ".log"
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_machines_name_never_becomes_a_path() {
        let names = ["server", "../../etc/passwd", "..", "a/b", "a%2fb", "größe", ""].map(file_name);
        let expected = [
            "server.log",
            "%2e.%2f..%2fetc%2fpasswd.log",
            "%2e..log",
            "a%2fb.log",
            "a%252fb.log",
            "größe.log",
            "%.log",
        ];
        assert_eq!(names, expected);
    }
}
