//! An addition to an image's initrd: a root shell on the first virtio console, as NixOS's guests have it with
//! `testing.initrdBackdoor`. The initrd goes on when its `systemctl` is told to, which is all that one can do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words for the kernel's command line that start it.
pub(crate) const WORDS: &str = "rdinit=/backdoor-init";

/// What a shell there has besides busybox: NixOS's has these of GNU's, too, and no gzip.
const PROGRAMS: [&str; 10] =
    ["bash", "cat", "chmod", "dd", "head", "mkdir", "readlink", "rm", "stty", "uname"];

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
rm /bin/gzip
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod "/modules/$module"; done </modules/early
setsid /backdoor &
shell=$!
until [ -e /continue ]; do usleep 20000; done
# As systemd ends the service there: with all that it has started.
kill -HUP -- -$shell
wait $shell
umount -l /sys
umount -l /proc
umount -l /dev
exec /bin/busybox sh /init
"#;

const BACKDOOR: &str = r#"#!/bin/bash
export USER=root HOME=/root PATH=/bin
cd /
exec </dev/hvc0 >/dev/hvc0 2>/dev/ttyS0
stty -F /dev/hvc0 raw -echo
echo "Spawning backdoor root shell..."
PS1= exec /bin/bash --norc /dev/hvc0
"#;

const SYSTEMCTL: &str = r#"#!/bin/bash
case "$*" in
*show*initrd.target*) echo ActiveState=active ;;
*isolate*initrd-switch-root.target*) : >/continue ;;
*) exit 1 ;;
esac
"#;

/// The addition, in the format that the kernel unpacks.
pub(crate) fn archive() -> Vec<u8> {
    let mut archive = Archive::default();
    for (name, text) in [("backdoor-init", INIT), ("backdoor", BACKDOOR), ("bin/systemctl", SYSTEMCTL)] {
        archive.add(Path::new(name), text.as_bytes());
    }
    let mut all = Vec::new();
    for program in PROGRAMS {
        let file = which(program);
        archive.add(&Path::new("bin").join(program), &fs::read(&file).expect("a program can be read"));
        all.extend(libraries(&file));
    }
    all.sort();
    all.dedup();
    for library in all {
        let name = library.strip_prefix("/").expect("an absolute path");
        archive.add(name, &fs::read(&library).expect("a library can be read"));
    }
    archive.end()
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(program));
    found.find(|file| file.is_file()).unwrap_or_else(|| panic!("there is no `{program}`"))
}

/// What the dynamic linker loads for a program of this host.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

/// A cpio archive of the format `newc`.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    directories: Vec<PathBuf>,
}

impl Archive {
    /// Adds a file that all may execute, and the directories above it.
    fn add(&mut self, name: &Path, content: &[u8]) {
        let above: Vec<_> = name.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        for dir in above.into_iter().rev() {
            if !self.directories.iter().any(|known| known == dir) {
                self.directories.push(dir.to_owned());
                self.entry(dir, 0o040_755, &[]);
            }
        }
        self.entry(name, 0o100_755, content);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &Path, mode: u32, content: &[u8]) {
        let name = name.to_str().expect("a name in UTF-8");
        // Number, mode, owner, group, links, time, size, four of devices, length of the name, checksum.
        let fields = [0, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}
