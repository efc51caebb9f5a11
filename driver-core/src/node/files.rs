//! Files between host and guest, through what commands go through: nothing needs to be mounted.

mod archive;
mod transfer;

use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::fs::File;
use tokio_util::io::InspectReader;

use super::Node;
use super::life::Running;
use crate::error::DriverError;
use crate::event::{FileKind, Level};
use crate::shell::quote;

use archive::{pack_file, pack_tree, unpack};

/// What `$t` is for a relative path, too: no option of any program.
const NORMAL: &str = "case $t in /*) ;; *) t=./$t;; esac; ";

/// What ends a script that could not write all.
const IN_PART: &str = "{ s=$?; if [ -e \"$t\" ]; then echo \"($t may hold only a part)\"; fi; exit $s; }";

impl Node {
    /// Copies a file or a directory of the host to `target` in the guest, as `cp -r` does: into `target`
    /// if that is a directory. Missing parent directories are made.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the source cannot be read, [`DriverError::Assertion`] when the guest
    /// refuses; as [`Node::execute`].
    pub async fn copy_from_host(&self, source: &Path, target: &str) -> Result<(), DriverError> {
        self.step(format!("copying {} to {target}", source.display()), async {
            let running = self.connected().await?;
            // On the heap, as the other one below: a script's call holds all that its verb needs.
            let copied = Box::pin(self.send(&running, source, target));
            self.while_it_runs(&running, || format!("copying to `{target}`"), copied).await
        })
        .await
    }

    async fn send(&self, running: &Running, source: &Path, target: &str) -> Result<(), DriverError> {
        let unreadable = |error: &io::Error| unreadable(source, error);
        let name = file_name(source)?;
        // What the caller names may be a link to what he means; what lies below it stays as it is.
        let real = std::fs::canonicalize(source).map_err(|error| unreadable(&error))?;
        let metadata = std::fs::metadata(&real).map_err(|error| unreadable(&error))?;
        // As `cp` makes them for root.
        let mode = metadata.mode() & 0o755;
        let inside = format!("t=$t/{}", quote(&name));
        let begin = format!("exec 2>&1; t={}; {NORMAL}", quote(target));
        // Owners, times and what others may write are the guest's.
        let extract = format!("tar --no-same-permissions -xmof - || {IN_PART}");
        let (output, packed) = if metadata.is_dir() {
            let script = format!(
                "{begin}if [ -d \"$t\" ]; then {inside}; fi; new=; \
                 if ! [ -d \"$t\" ]; then mkdir -p -- \"$t\"; new=1; fi; cd -- \"$t\"; {extract}; \
                 if [ \"$new\" ]; then chmod {mode:o} .; fi"
            );
            self.pour(running, &script, None, move |out| pack_tree(out, &real)).await?
        } else if has_holes(&metadata) {
            // The archive holds the file's name in the guest, which depends on what is there; what is written to
            // a link goes to its end.
            let look = format!(
                "if [ -d {target} ]; then echo inside; elif [ -L {target} ]; then readlink -f -- {target}; fi",
                target = quote(target)
            );
            let found = self.succeed(&[look], None).await?;
            let (is_inside, end) = (found == "inside\n", found.strip_suffix('\n').unwrap_or_default());
            let target = if is_inside || end.is_empty() { target } else { end };
            let begin = format!("exec 2>&1; t={}; {NORMAL}", quote(target));
            let path = if is_inside { Path::new(target).join(&name) } else { PathBuf::from(target) };
            let (name, length) = (PathBuf::from(file_name(&path)?), metadata.blocks() * 512);
            let script = format!(
                "{begin}{}d=$(dirname -- \"$t\"); mkdir -p -- \"$d\"; cd -- \"$d\"; {extract}",
                if is_inside { format!("{inside}; ") } else { String::new() },
            );
            let pack = move |out: &mut dyn io::Write| pack_file(out, &real, &name).map(|()| Vec::new());
            self.pour(running, &script, Some(length), pack).await?
        } else {
            let script = format!(
                "{begin}if [ -d \"$t\" ]; then {inside}; else mkdir -p -- \"$(dirname -- \"$t\")\"; fi; \
                 new=; if ! [ -e \"$t\" ]; then new=1; fi; cat >\"$t\" || {IN_PART}; \
                 if [ \"$new\" ]; then chmod {mode:o} -- \"$t\"; fi"
            );
            let copy = move |mut out: &mut dyn io::Write| {
                io::copy(&mut std::fs::File::open(real)?, &mut out).map(|_| Vec::new())
            };
            self.pour(running, &script, Some(metadata.len()), copy).await?
        };
        if let Err(error) = &packed
            && !transfer::broken_off(error)
        {
            return Err(unreadable(error));
        }
        if output.status != 0 {
            let words = String::from_utf8_lossy(&output.stdout);
            let message = format!("`{target}` could not be written in the guest: {}", words.trim());
            return Err(DriverError::assertion(message));
        }
        self.tell_skipped(packed.map_err(|error| unreadable(&error))?);
        Ok(())
    }

    /// Copies a file of the host to `target` in the guest, which becomes that file.
    ///
    /// # Errors
    /// As [`Node::copy_from_host`].
    pub async fn copy_file_from_host(&self, source: &Path, target: &str) -> Result<(), DriverError> {
        self.step(format!("copying {} to {target}", source.display()), async {
            let running = self.connected().await?;
            let unreadable = |error: io::Error| unreadable(source, &error);
            let file = File::open(source).await.map_err(unreadable)?;
            let length = file.metadata().await.map_err(unreadable)?.len();
            let channel = running.line.channel();
            let count = Arc::new(AtomicU64::new(0));
            let content = InspectReader::new(file, transfer::counting(&count));
            let sent = channel.upload(target, 0o644, content, length, self.context.deadline);
            let sent = self.telling(Some(length), &count, sent);
            self.while_it_runs(&running, || format!("copying to `{target}`"), sent).await
        })
        .await
    }

    /// Copies a file or a directory of the guest into the result directory, or into `target_dir` there.
    /// Only files, directories and links are taken; nothing is written outside.
    ///
    /// # Errors
    /// [`DriverError::Usage`] when the target is there already and a directory, [`DriverError::Assertion`]
    /// when the guest cannot read the source, [`DriverError::File`] when the result cannot be written; as
    /// [`Node::execute`].
    pub async fn copy_from_machine(&self, source: &str, target_dir: &str) -> Result<(), DriverError> {
        self.step(format!("copying {source} from the guest"), async {
            let running = self.connected().await?;
            let name = file_name(Path::new(source))?;
            let folder = self.context.out_dir.join(target_dir);
            let target = folder.join(&name);
            if target.is_dir() {
                let message = format!("`{}` is there already (give another target_dir)", target.display());
                return Err(DriverError::usage(message));
            }
            let copied = Box::pin(self.fetch(&running, source, folder, name));
            let copied = self.while_it_runs(&running, || format!("copying `{source}`"), copied).await;
            if copied.is_err() && target.exists() {
                let text = format!("`{}` may hold only a part", target.display());
                self.context.journal.log(Level::Warning, Some(self.name()), text);
            }
            self.tell_skipped(copied?);
            self.saved(FileKind::Copied, &target);
            Ok(())
        })
        .await
    }

    /// Fetches what is there; returns the names of what was skipped.
    async fn fetch(
        &self,
        running: &Running,
        source: &str,
        folder: PathBuf,
        name: String,
    ) -> Result<Vec<String>, DriverError> {
        let refused = |words: &str| {
            DriverError::assertion(format!("`{source}` could not be read in the guest: {}", words.trim()))
        };
        let path = quote(source);
        let look = format!(
            "exec 2>&1; stat -L -c '%f %s %b %B' -- {path}; \
             case $(tar --version 2>/dev/null) in *GNU*) echo gnu;; esac"
        );
        let (status, said) = self.execute(&look, None).await?;
        let found = Found::read(&said).filter(|_| status == 0).ok_or_else(|| refused(&said))?;
        let shown = folder.clone();
        let (target, gnu) = (folder.join(&name), found.gnu);
        // Only GNU's knows holes; with its status 1 it says that files changed while they were read.
        let tar = |arguments: String| match gnu {
            true => format!("tar --format=gnu -S -c{arguments} || [ $? = 1 ]"),
            false => format!("tar -c{arguments}"),
        };
        let (status, words, result) = if found.is(0o040_000) {
            let script = tar(format!("f - -C {path} ."));
            self.draw(running, &script, None, move |archive| unpack(archive, &target, None)).await?
        } else if !found.is(0o100_000) {
            return Err(refused("it is neither a file nor a directory"));
        } else if gnu && found.used < found.size {
            let parent = match Path::new(source).parent() {
                Some(parent) if parent != Path::new("") => parent.to_string_lossy().into_owned(),
                _ => ".".to_owned(),
            };
            let script = tar(format!("hf - -C {} {}", quote(&parent), quote(&format!("./{name}"))));
            self.draw(running, &script, Some(found.used), move |archive| {
                unpack(archive, &folder, Some(&name))
            })
            .await?
        } else {
            let script = format!("cat <{path}");
            let mode = found.mode & 0o777;
            self.draw(running, &script, Some(found.size), move |content| {
                std::fs::create_dir_all(&folder)?;
                write_file(content, &target, mode)
            })
            .await?
        };
        if status != 0 {
            return Err(refused(&words));
        }
        if !words.is_empty() {
            let text = format!("while `{source}` was read in the guest: {words}");
            self.context.journal.log(Level::Warning, Some(self.name()), text);
        }
        result.map_err(|error| unwritable(&shown, error))
    }

    fn tell_skipped(&self, skipped: Vec<String>) {
        for skipped in skipped {
            let text = format!("not copied, because it is neither file nor directory nor link: {skipped}");
            self.context.journal.log(Level::Warning, Some(self.name()), text);
        }
    }
}

/// What is to be copied from a guest.
struct Found {
    mode: u32,
    size: u64,
    /// Bytes that are no holes.
    used: u64,
    /// The guest has GNU tar.
    gnu: bool,
}

impl Found {
    fn read(said: &str) -> Option<Self> {
        let mut words = said.split_ascii_whitespace();
        let mode = u32::from_str_radix(words.next()?, 16).ok()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        let (size, blocks, unit) = (number()?, number()?, number()?);
        Some(Self { mode, size, used: blocks.saturating_mul(unit), gnu: words.next() == Some("gnu") })
    }

    fn is(&self, kind: u32) -> bool {
        self.mode & 0o170_000 == kind
    }
}

/// A file of a file system that says less of it than it has.
fn has_holes(metadata: &std::fs::Metadata) -> bool {
    metadata.blocks() * 512 < metadata.len()
}

/// Writes a new file in the place of whatever was there, a link included.
fn write_file(content: &mut dyn io::Read, target: &Path, mode: u32) -> io::Result<Vec<String>> {
    match std::fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    io::copy(content, &mut file)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    Ok(Vec::new())
}

fn file_name(path: &Path) -> Result<String, DriverError> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok(name.to_string_lossy().into_owned()),
        _ => Err(DriverError::usage(format!("`{}` does not name a file or a directory", path.display()))),
    }
}

/// What a script names and is not there is the script's mistake.
fn unreadable(path: &Path, error: &io::Error) -> DriverError {
    DriverError::usage(format!("`{}` on the host cannot be read: {error}", path.display()))
}

fn unwritable(path: &Path, source: io::Error) -> DriverError {
    DriverError::File { operation: "write into", path: path.display().to_string(), source }
}
