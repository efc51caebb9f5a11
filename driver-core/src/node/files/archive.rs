//! Directories as a stream: `tar`, without copies on either side.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use tar::{Archive, Builder, EntryType, Header};

/// Files and directories in one copy from a guest, at most.
const MOST_ENTRIES: usize = 1 << 20;

/// Bytes of names, headers and lists of holes in memory, at most: before the content of one file, and for all
/// directories.
const MOST_BEFORE_CONTENT: u64 = 16 << 20;
const MOST_OF_FOLDERS: u64 = 1 << 30;

/// Names of what was skipped that are kept.
const MOST_SKIPPED: usize = 100;

/// Bytes that are written or read at once.
const BUFFER: usize = 64 << 10;

/// Packs what lies in a directory; returns the names of what cannot be: sockets, pipes, devices.
pub(super) fn pack_tree(out: &mut dyn Write, directory: &Path) -> io::Result<Vec<String>> {
    let mut packer = Packer::new(out);
    packer.pack(directory, Path::new("."))?;
    packer.finish()
}

/// Packs one file, under another name. Its holes are not packed.
pub(super) fn pack_file(out: &mut dyn Write, file: &Path, name: &Path) -> io::Result<()> {
    let mut packer = Packer::new(out);
    packer.archive.append_file(name, &mut File::open(file)?)?;
    packer.finish().map(drop)
}

struct Packer<'a> {
    archive: Builder<BufWriter<&'a mut dyn Write>>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64), PathBuf>,
    skipped: Vec<String>,
}

impl<'a> Packer<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        let mut archive = Builder::new(BufWriter::with_capacity(BUFFER, out));
        archive.follow_symlinks(false);
        Self { archive, names: HashMap::new(), skipped: Vec::new() }
    }

    fn pack(&mut self, directory: &Path, name: &Path) -> io::Result<()> {
        let mut entries = std::fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), name.join(entry.file_name()));
            let metadata = path.symlink_metadata()?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                self.archive.append_dir(&name, &path)?;
                self.pack(&path, &name)?;
            } else if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
                skip(&mut self.skipped, &path);
            } else if let Some(first) = self.first_name(&metadata, &name) {
                let mut header = Header::new_gnu();
                header.set_metadata(&metadata);
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                self.archive.append_link(&mut header, &name, first)?;
            } else if kind.is_file() {
                self.archive.append_file(&name, &mut File::open(&path)?)?;
            } else {
                self.archive.append_path_with_name(&path, &name)?;
            }
        }
        Ok(())
    }

    /// The name under which a file with several is packed already.
    fn first_name(&mut self, metadata: &Metadata, name: &Path) -> Option<PathBuf> {
        if !metadata.is_file() || metadata.nlink() < 2 {
            return None;
        }
        let key = (metadata.dev(), metadata.ino());
        let first = self.names.get(&key).cloned();
        self.names.entry(key).or_insert_with(|| name.to_owned());
        first
    }

    fn finish(self) -> io::Result<Vec<String>> {
        self.archive.into_inner()?.flush()?;
        Ok(self.skipped)
    }
}

/// Unpacks what a guest has sent into `folder`. It may send anything: only what lies below `name`, if that is
/// given, is taken, and nothing is written through a link. Links themselves stay as they are. Returns the
/// names of what was skipped.
pub(super) fn unpack(archive: &mut dyn Read, folder: &Path, name: Option<&str>) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(folder)?;
    let mut skipped = Vec::new();
    let mut folders = Vec::new();
    let mut own_mode = None;
    let left = Rc::new(Cell::new(u64::MAX));
    let limited = Limited { reader: BufReader::with_capacity(BUFFER, archive), left: Rc::clone(&left) };
    let mut archive = Archive::new(limited);
    let mut entries = archive.entries()?;
    let (mut count, mut of_folders) = (0, 0);
    loop {
        // All that is read up to the content is kept.
        left.set(MOST_BEFORE_CONTENT);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry?;
        let before_content = MOST_BEFORE_CONTENT - left.replace(u64::MAX);
        if count >= MOST_ENTRIES {
            return Err(io::Error::other(format!("there are more than {MOST_ENTRIES} files to copy")));
        }
        count += 1;
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        let plain = matches!(
            kind,
            EntryType::Regular
                | EntryType::Directory
                | EntryType::Symlink
                | EntryType::Link
                | EntryType::GNUSparse
        );
        let first = path.components().find(|part| *part != Component::CurDir);
        let below = name.is_none_or(|name| first == Some(Component::Normal(name.as_ref())));
        if first.is_none() && kind.is_dir() && name.is_none() {
            own_mode = Some(entry.header().mode()? & 0o777);
        } else if plain && below && kind.is_dir() {
            of_folders += before_content;
            if of_folders > MOST_OF_FOLDERS {
                return Err(endless());
            }
            folders.push(entry);
        } else if !(plain && below && entry.unpack_in(folder)?) {
            skip(&mut skipped, &path);
        }
    }
    left.set(u64::MAX);
    // Inner ones first, when all is in them: nobody but root can write into one that is read-only.
    folders.sort_by(|one, other| other.path_bytes().cmp(&one.path_bytes()));
    for mut entry in folders {
        if !entry.unpack_in(folder)? {
            skip(&mut skipped, &entry.path()?);
        }
    }
    if let Some(mode) = own_mode {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
    }
    // Who sends it may fill its last block, and is to succeed with that.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(skipped)
}

/// Lets only so much through.
struct Limited<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(endless());
        }
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut buffer[..room])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

fn endless() -> io::Error {
    io::Error::other("what the guest sends has names without end")
}

fn skip(skipped: &mut Vec<String>, path: &Path) {
    if skipped.len() < MOST_SKIPPED {
        skipped.push(path.display().to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Seek as _;
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
        file.rewind().unwrap();
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
            let _ = super::unpack(&mut archive(&entries), &folder, Some("x"));
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
    fn a_name_without_end_does_not_fill_the_hosts_memory() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(8 << 30);
        header.set_cksum();
        let mut endless = std::io::repeat(b'x').take(8 << 30);
        let error =
            super::unpack(&mut header.as_bytes().chain(&mut endless), folder.path(), None).unwrap_err();
        assert_eq!(error.to_string(), "what the guest sends has names without end");
        assert!(endless.limit() > 7 << 30, "no more of it is read");
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
        assert_eq!(super::unpack(&mut archive(&entries), folder.path(), Some("x")).unwrap(), [""; 0]);
        assert_eq!(fs::read(folder.path().join("x/y/file")).unwrap(), b"content");
        for directory in ["x", "x/y"] {
            let directory = folder.path().join(directory);
            assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o555);
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_copied_directory_itself_gets_its_mode_and_nothing_beside_it_is_written() {
        use EntryType::{Directory, Regular};
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("copy");
        let entries = [
            (Directory, 0o750, "./", ""),
            (Regular, 0o600, "./file", "content"),
            (Regular, 0o644, "./../beside", "x"),
        ];
        assert_eq!(super::unpack(&mut archive(&entries), &folder, None).unwrap(), ["./../beside"]);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_tree_is_the_same_after_a_way_through_an_archive() {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::{FileExt as _, MetadataExt as _};
        let root = tempfile::tempdir().unwrap();
        let (tree, copy) = (root.path().join("tree"), root.path().join("copy"));
        fs::create_dir_all(tree.join("empty")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"-odd\xff\n'\" name");
        fs::write(tree.join(odd), "odd").unwrap();
        fs::write(tree.join("zero"), "").unwrap();
        fs::hard_link(tree.join(odd), tree.join("hard")).unwrap();
        std::os::unix::fs::symlink("/nowhere", tree.join("link")).unwrap();
        let sparse = fs::File::create(tree.join("sparse")).unwrap();
        sparse.write_all_at(b"end", 1 << 30).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        let mut packed = tempfile::tempfile().unwrap();
        let skipped = super::pack_tree(&mut packed, &tree).unwrap();
        assert_eq!(skipped, [tree.join("socket").display().to_string()]);
        assert!(packed.metadata().unwrap().len() < 1 << 20, "holes are not packed");
        packed.rewind().unwrap();
        assert_eq!(super::unpack(&mut packed, &copy, None).unwrap(), [""; 0]);
        assert_eq!(fs::read(copy.join(odd)).unwrap(), b"odd");
        assert_eq!(
            fs::metadata(copy.join("hard")).unwrap().ino(),
            fs::metadata(copy.join(odd)).unwrap().ino()
        );
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), std::path::Path::new("/nowhere"));
        assert_eq!(fs::read_dir(copy.join("empty")).unwrap().count(), 0);
        assert_eq!(fs::metadata(copy.join("zero")).unwrap().len(), 0);
        let sparse = fs::metadata(copy.join("sparse")).unwrap();
        assert_eq!(sparse.len(), (1 << 30) + 3);
        assert!(sparse.blocks() * 512 < 1 << 20, "holes stay holes");
    }
}
