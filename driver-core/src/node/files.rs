//! Files between host and guest, through the shell: nothing needs to be mounted.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::{Archive, Builder, EntryType};
use tokio::fs::File;
use tokio::task::spawn_blocking;

use super::Node;
use super::life::Running;
use crate::error::DriverError;
use crate::event::{FileKind, Level};
use crate::shell::quote;

/// The most that a guest may send in one copy.
const DOWNLOAD_LIMIT: u64 = 64 << 30;

impl Node {
    /// Copies a file or a directory of the host to `target` in the guest, as `cp -r` does: into `target`
    /// if that is a directory. Missing parent directories are made.
    ///
    /// # Errors
    /// [`DriverError::File`] when the source cannot be read, [`DriverError::Assertion`] when the guest
    /// refuses; as [`Node::execute`].
    pub async fn copy_from_host(&self, source: &Path, target: &str) -> Result<(), DriverError> {
        self.step(format!("copying {} to {target}", source.display()), async {
            let running = self.connected().await?;
            let name = file_name(source)?;
            let packed = pack(source.to_owned(), name.clone(), self.state_dir.clone()).await?;
            let scratch = self.make_scratch().await?;
            let archive = format!("{scratch}/archive");
            let copied = async {
                self.upload(&running, &packed, &archive, 0o600).await?;
                let target = quote(target);
                // From where every command starts, so that a relative target means the same as elsewhere.
                let unpack = format!(
                    "mkdir {scratch}/tree; tar -C {scratch}/tree -xf {archive}; \
                     mkdir -p -- \"$(dirname -- {target})\"; cp -r -- {scratch}/tree/{} {target}",
                    quote(&name)
                );
                self.succeed(&[unpack], None).await
            };
            let result = copied.await;
            self.remove_scratch(&scratch).await?;
            result.map(drop)
        })
        .await
    }

    /// Copies a file of the host to `target` in the guest, which becomes that file.
    ///
    /// # Errors
    /// As [`Node::copy_from_host`].
    pub async fn copy_file_from_host(&self, source: &Path, target: &str) -> Result<(), DriverError> {
        self.step(format!("copying {} to {target}", source.display()), async {
            let running = self.connected().await?;
            self.upload(&running, source, target, 0o644).await
        })
        .await
    }

    async fn upload(
        &self,
        running: &Arc<Running>,
        source: &Path,
        target: &str,
        mode: u32,
    ) -> Result<(), DriverError> {
        let unreadable = |error: std::io::Error| unreadable(source, &error);
        let file = File::open(source).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        let channel = running.line.channel();
        let sent = channel.upload(target, mode, file, length, self.context.deadline);
        self.while_it_runs(running, || format!("copying to `{target}`"), sent).await
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
            let scratch = self.make_scratch().await?;
            let copied = async {
                let pack = format!(
                    "mkdir {scratch}/tree; cp -rH -- {} {scratch}/tree/{}; \
                     tar -C {scratch}/tree -cf {scratch}/archive {}",
                    quote(source),
                    quote(&name),
                    quote(&format!("./{name}"))
                );
                self.succeed(&[pack], None).await?;
                self.download(&running, &format!("{scratch}/archive"), folder, name).await
            };
            let result = copied.await;
            self.remove_scratch(&scratch).await?;
            for skipped in result? {
                let text =
                    format!("not copied, because it is neither file nor directory nor link: {skipped}");
                self.context.journal.log(Level::Warning, Some(self.name()), text);
            }
            self.saved(FileKind::Copied, &target);
            Ok(())
        })
        .await
    }

    /// Fetches an archive and unpacks it into `folder`; returns the names of what was skipped.
    async fn download(
        &self,
        running: &Arc<Running>,
        archive: &str,
        folder: PathBuf,
        name: String,
    ) -> Result<Vec<String>, DriverError> {
        let local =
            tempfile::tempfile_in(&self.state_dir).map_err(|error| unwritable(&self.state_dir, error))?;
        let writer = local.try_clone().map_err(|error| unwritable(&self.state_dir, error))?;
        let channel = running.line.channel();
        let received =
            channel.download(archive, File::from_std(writer), DOWNLOAD_LIMIT, self.context.deadline);
        self.while_it_runs(running, || format!("copying `{name}`"), received).await?;
        let shown = folder.clone();
        spawn_blocking(move || unpack(local, &folder, &name))
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|error| unwritable(&shown, error))
    }

    async fn make_scratch(&self) -> Result<String, DriverError> {
        let made = self.succeed(&["mktemp -d /tmp/innkeeper.XXXXXXXX"], None).await?;
        Ok(made.trim_end().to_owned())
    }

    async fn remove_scratch(&self, scratch: &str) -> Result<(), DriverError> {
        self.succeed(&[format!("rm -rf {}", quote(scratch))], None).await.map(drop)
    }
}

fn file_name(path: &Path) -> Result<String, DriverError> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok(name.to_string_lossy().into_owned()),
        _ => Err(DriverError::usage(format!("`{}` does not name a file or a directory", path.display()))),
    }
}

/// Packs a file or a directory into an archive, in a temporary file in `folder`.
async fn pack(source: PathBuf, name: String, folder: PathBuf) -> Result<tempfile::TempPath, DriverError> {
    let shown = source.clone();
    let packed = spawn_blocking(move || {
        let file = tempfile::NamedTempFile::new_in(folder)?;
        let mut archive = Builder::new(file);
        archive.follow_symlinks(false);
        // What the caller names may be a link to what he means; what lies below it stays as it is.
        let source = std::fs::canonicalize(source)?;
        if source.is_dir() {
            archive.append_dir_all(&name, &source)?;
        } else {
            archive.append_path_with_name(&source, &name)?;
        }
        Ok(archive.into_inner()?.into_temp_path())
    });
    packed
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(|error| unreadable(&shown, &error))
}

/// Unpacks what a guest has sent. It may send anything: only what lies below `name` is taken, and nothing is
/// written through a link. Links themselves stay as they are.
fn unpack(mut file: std::fs::File, folder: &Path, name: &str) -> std::io::Result<Vec<String>> {
    use std::io::Seek as _;

    file.rewind()?;
    std::fs::create_dir_all(folder)?;
    let mut skipped = Vec::new();
    let mut folders = Vec::new();
    let mut archive = Archive::new(file);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let plain = matches!(
            entry.header().entry_type(),
            EntryType::Regular
                | EntryType::Directory
                | EntryType::Symlink
                | EntryType::Link
                | EntryType::GNUSparse
        );
        let first = path.components().find(|part| *part != Component::CurDir);
        let below = first == Some(Component::Normal(name.as_ref()));
        if plain && below && entry.header().entry_type().is_dir() {
            folders.push(entry);
        } else if !(plain && below && entry.unpack_in(folder)?) {
            skipped.push(path.display().to_string());
        }
    }
    // Inner ones first, when all is in them: nobody but root can write into one that is read-only.
    folders.sort_by(|one, other| other.path_bytes().cmp(&one.path_bytes()));
    for mut entry in folders {
        entry.unpack_in(folder)?;
    }
    Ok(skipped)
}

/// What a script names and is not there is the script's mistake.
fn unreadable(path: &Path, error: &std::io::Error) -> DriverError {
    DriverError::usage(format!("`{}` on the host cannot be read: {error}", path.display()))
}

fn unwritable(path: &Path, source: std::io::Error) -> DriverError {
    DriverError::File { operation: "write into", path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use tar::{Builder, EntryType, Header};

    /// An archive as a hostile guest would write it, with names that no honest library lets through.
    fn archive(entries: &[(EntryType, u32, &str, &str)]) -> fs::File {
        let mut builder = Builder::new(tempfile::tempfile().unwrap());
        for (kind, mode, path, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            let body = if is_link {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
                ""
            } else {
                content
            };
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, body.as_bytes()).unwrap();
        }
        let mut file = builder.into_inner().unwrap();
        file.flush().unwrap();
        file
    }

    #[test]
    fn an_archive_writes_nothing_outside_of_its_folder() {
        use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
        let root = tempfile::tempdir().unwrap();
        let (folder, outside) = (root.path().join("results"), root.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        fs::set_permissions(outside.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        let (beyond, file) = (outside.to_str().unwrap(), outside.join("file"));
        let file = file.to_str().unwrap();
        let hostile: &[&[(EntryType, u32, &str, &str)]] = &[
            &[(Regular, 0o644, "../outside/new", "x"), (Regular, 0o644, "x/../../outside/new", "x")],
            &[(Regular, 0o644, file, "x"), (Regular, 0o644, "other", "x")],
            &[(Symlink, 0o777, "x/out", beyond), (Regular, 0o644, "x/out/new", "x")],
            &[
                (Symlink, 0o777, "x/out", beyond),
                (Directory, 0o777, "x/out", ""),
                (Regular, 0, "x/out/new", "x"),
            ],
            &[(Symlink, 0o777, "x", beyond), (Regular, 0o644, "x/new", "x")],
            &[(Symlink, 0o777, "x/out", file), (Regular, 0o777, "x/out", "x")],
            &[
                (Symlink, 0o777, "x/out", file),
                (Link, 0o777, "x/hard", "x/out"),
                (Regular, 0o777, "x/hard", "x"),
            ],
            &[(Link, 0o777, "x/hard", file), (Link, 0o777, "x/hard", "../outside/file")],
            &[(Char, 0o666, "x/null", ""), (Fifo, 0o666, "x/pipe", "")],
        ];
        for entries in hostile {
            let mut entries = entries.to_vec();
            entries.insert(0, (Directory, 0o755, "x", ""));
            // An error is as good as a name among those that were skipped.
            let _ = super::unpack(archive(&entries), &folder, "x");
            let left: Vec<_> =
                fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["file"], "{entries:?}");
            assert_eq!(fs::read(file).unwrap(), b"precious", "{entries:?}");
            let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{entries:?}");
            assert!(!folder.join("other").exists() && !folder.join("x/null").exists());
            fs::remove_dir_all(&folder).unwrap();
        }
    }

    #[test]
    fn what_lies_in_a_read_only_directory_comes_along() {
        use EntryType::{Directory, Regular};
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            (Directory, 0o555, "./x", ""),
            (Directory, 0o555, "./x/y", ""),
            (Regular, 0o444, "./x/y/file", "content"),
        ];
        assert_eq!(super::unpack(archive(&entries), folder.path(), "x").unwrap(), [""; 0]);
        assert_eq!(fs::read(folder.path().join("x/y/file")).unwrap(), b"content");
        for directory in ["x", "x/y"] {
            let directory = folder.path().join(directory);
            assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o555);
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}
