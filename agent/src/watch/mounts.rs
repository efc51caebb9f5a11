//! What kind of file system a folder is on: some tell of changes, others do not, and some may not answer.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File systems that tell inotify of all that happens on them. On others, such as sysfs, things come into
/// being without a word.
const TELLING: &[&str] = &[
    "bcachefs", "btrfs", "devtmpfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "rootfs", "tmpfs",
    "xfs", "zfs",
];

/// File systems, by the beginnings of their names, whose server may be another process or machine, that may
/// let us wait for ever. This program has one thread, so it keeps away from them.
const REMOTE: &[&str] = &["afs", "autofs", "ceph", "cifs", "coda", "fuse", "lustre", "nfs", "smb"];

/// The mounted file systems.
#[derive(Debug)]
pub(super) struct Mounts {
    /// The kernel's table; `None` where `/proc` is not mounted.
    table: Option<File>,
    /// Mount points and kinds.
    mounts: Vec<(PathBuf, String)>,
}

impl Mounts {
    /// Those of now.
    pub(super) fn read() -> Self {
        let mut mounts = Self { table: File::open("/proc/self/mountinfo").ok(), mounts: Vec::new() };
        mounts.read_again();
        mounts
    }

    /// The table, which is ready with `POLLPRI` when it has changed.
    pub(super) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.table.as_ref().map(File::as_fd)
    }

    /// The table has changed.
    pub(super) fn read_again(&mut self) {
        let Some(table) = &mut self.table else { return };
        let mut text = Vec::with_capacity(8 << 10);
        // What cannot be read has nothing mounted that would be known.
        let _ = table.rewind().and_then(|()| table.read_to_end(&mut text));
        self.mounts = text.split(|byte| *byte == b'\n').filter_map(mount).collect();
    }

    /// The file system that would have to be asked about a folder and might not answer.
    pub(super) fn remote_at(&self, folder: &Path) -> Option<&str> {
        let kind = self.mounts.iter().rev().find(|(point, _)| point == folder)?.1.as_str();
        REMOTE.iter().any(|remote| kind.starts_with(remote)).then_some(kind)
    }

    /// Whether inotify tells of what happens in a folder.
    pub(super) fn tells_of(&self, folder: &Path) -> bool {
        // Of two in the same place the later one covers the other.
        let over = self.mounts.iter().filter(|(point, _)| folder.starts_with(point));
        over.max_by_key(|(point, _)| point.as_os_str().len())
            .is_some_and(|(_, kind)| TELLING.contains(&kind.as_str()))
    }
}

/// Mount point and kind: the fifth word, and the first after the dash.
fn mount(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut words = line.split(|byte| *byte == b' ');
    let point = unescape(words.nth(4)?);
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    Some((PathBuf::from(OsString::from_vec(point)), String::from_utf8_lossy(kind).into_owned()))
}

/// Space, tab, newline and backslash are written as `\040` and so on.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte_of_code) if byte == b'\\' => {
                plain.push(byte_of_code);
                rest = &after[3..];
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}
