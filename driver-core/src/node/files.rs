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
            let packed = pack(source.to_owned(), name.clone()).await?;
            let scratch = self.make_scratch().await?;
            let archive = format!("{scratch}/archive");
            let copied = async {
                self.upload(&running, &packed, &archive, 0o600).await?;
                let target = quote(target);
                let unpack = format!(
                    "cd {scratch}; tar -xf archive; mkdir -p \"$(dirname {target})\"; cp -r {} {target}",
                    quote(&format!("./{name}"))
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
        let unreadable = |error| unreadable(source, error);
        let file = File::open(source).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        let channel = running.channel();
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
                    "cd {scratch}; cp -rH {} {name}; tar -cf archive {name}",
                    quote(source),
                    name = quote(&format!("./{name}"))
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
        let channel = running.channel();
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

/// Packs a file or a directory into an archive, in a temporary file.
async fn pack(source: PathBuf, name: String) -> Result<tempfile::TempPath, DriverError> {
    let shown = source.clone();
    let packed = spawn_blocking(move || {
        let file = tempfile::NamedTempFile::new()?;
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
        .map_err(|error| unreadable(&shown, error))
}

/// Unpacks what a guest has sent. It may send anything: only what lies below `name` is taken, and the
/// archive's own guard keeps links from leading out of `folder`.
fn unpack(mut file: std::fs::File, folder: &Path, name: &str) -> std::io::Result<Vec<String>> {
    use std::io::Seek as _;

    file.rewind()?;
    std::fs::create_dir_all(folder)?;
    let mut skipped = Vec::new();
    for entry in Archive::new(file).entries()? {
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
        if !(plain && below && entry.unpack_in(folder)?) {
            skipped.push(path.display().to_string());
        }
    }
    Ok(skipped)
}

fn unreadable(path: &Path, source: std::io::Error) -> DriverError {
    DriverError::File { operation: "read", path: path.display().to_string(), source }
}

fn unwritable(path: &Path, source: std::io::Error) -> DriverError {
    DriverError::File { operation: "write into", path: path.display().to_string(), source }
}
