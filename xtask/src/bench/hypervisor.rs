//! The machine as innkeeper starts it, and a start script that makes upstream's driver start the same one.
//!
//! The script is made of the running hypervisor's own command line, so that the two cannot come apart.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command;

/// The command line of a running hypervisor.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    words: Vec<String>,
    /// The files below the overlays of its `-drive` options, in their order.
    bases: Vec<Base>,
}

/// What lies below an overlay, as `qemu-img info` tells it.
#[derive(Debug, Clone, Deserialize)]
struct Base {
    #[serde(rename = "full-backing-filename")]
    path: String,
    #[serde(rename = "backing-filename-format")]
    format: String,
}

/// What upstream's driver adds by itself, in its own form, or has no use for; `"$@"` stands where the first of
/// it was.
const UPSTREAM_ADDS: &[(&str, &str)] = &[
    ("-chardev", "socket,id=innkeeper-control,"),
    ("-chardev", "socket,id=innkeeper-bulk,"),
    ("-chardev", "socket,id=shell,"),
    ("-mon", ""),
    ("-monitor", ""),
    ("-qmp", ""),
    ("-device", "virtio-serial"),
    ("-device", "virtconsole,"),
    ("-device", "virtserialport,chardev=innkeeper-bulk,"),
    ("-device", "virtio-rng-pci"),
    ("-serial", "stdio"),
    ("-no-reboot", ""),
    ("-display", "none"),
];

impl CommandLine {
    /// Reads that of a process; `None` if it has ended meanwhile, if it runs no machine (but tells its version,
    /// say), or if its disks are no overlays.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> =
            String::from_utf8(text).ok()?.split_terminator('\0').map(str::to_owned).collect();
        options(&words).find(|(name, _)| *name == "-serial")?;
        let drives = options(&words).filter(|(name, _)| *name == "-drive");
        let bases = drives.map(|(_, value)| Base::below(drive_file(value)?)).collect::<Option<_>>()?;
        Some(Self { words, bases })
    }

    /// What runs the guest's code.
    pub(super) fn accelerator(&self) -> &str {
        let machine = options(&self.words).find(|(name, _)| *name == "-machine").map(|(_, value)| value);
        machine
            .and_then(|machine| machine.split(',').find_map(|part| part.strip_prefix("accel=")))
            .unwrap_or("?")
    }

    /// The program.
    pub(super) fn program(&self) -> &str {
        self.words.first().map_or("qemu", String::as_str)
    }

    /// A NixOS start script for the same machine, with disks and a shared folder of its own.
    pub(super) fn start_script(&self) -> Result<String> {
        let mut prelude = String::from(
            "#!/bin/sh\n# The machine that innkeeper has started, for another driver.\nset -e\n",
        );
        let mut line = format!("exec {}", quote(self.program()));
        let mut bases = self.bases.iter().enumerate();
        let mut added = false;
        for (name, value) in options(&self.words) {
            if UPSTREAM_ADDS.iter().any(|(known, start)| *known == name && value.starts_with(start)) {
                line.push_str(if added { "" } else { " \"$@\"" });
                added = true;
                continue;
            }
            line.push(' ');
            line.push_str(name);
            match name {
                "-drive" => {
                    let (number, Base { path, format }) = bases.next().context("a disk without a base")?;
                    let file = drive_file(value).context("a disk without a file")?;
                    let rest = value.strip_prefix("file=").and_then(|value| value.strip_prefix(file));
                    let rest = rest.context("a disk whose file is not the first that is said of it")?;
                    writeln!(
                        prelude,
                        "qemu-img create -q -f qcow2 -F {} -b {} \"$TMPDIR/disk{number}.qcow2\"",
                        quote(format),
                        quote(path)
                    )?;
                    write!(line, " \"file=$TMPDIR/disk{number}.qcow2\"{}", quote(rest))?;
                }
                "-virtfs" => {
                    let (_, rest) =
                        value.split_once(",security_model=").context("an unknown kind of share")?;
                    if !rest.ends_with("mount_tag=shared") {
                        bail!("the machine shares more than upstream's driver knows of");
                    }
                    write!(line, " local,path=\"$SHARED_DIR\",security_model={}", quote(rest))?;
                }
                _ if value.is_empty() => {}
                _ => write!(line, " {}", quote(value))?,
            }
        }
        if !added {
            bail!("the machine has none of the channels that a driver needs");
        }
        Ok(format!("{prelude}{line}\n"))
    }
}

impl Base {
    fn below(overlay: &str) -> Option<Self> {
        // The hypervisor has it open; we only read.
        let arguments = ["info", "--force-share", "--output=json", overlay];
        serde_json::from_str(&command::output(&mut command::command("qemu-img", &arguments))?).ok()
    }
}

/// The options of a command line; the value of one that takes none is empty.
fn options(words: &[String]) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = words.iter().skip(1).map(String::as_str).peekable();
    std::iter::from_fn(move || {
        let name = rest.next()?;
        Some((name, rest.next_if(|value| !value.starts_with('-')).unwrap_or_default()))
    })
}

/// The file of a `-drive`. The path of a run has no comma in it, which QEMU would double.
fn drive_file(value: &str) -> Option<&str> {
    value.strip_prefix("file=")?.split(',').next()
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Base, CommandLine};

    fn machine(line: &str) -> CommandLine {
        let bases = vec![Base { path: "/images/it's/disk.ext4".to_owned(), format: "raw".to_owned() }];
        CommandLine { words: line.split(' ').map(str::to_owned).collect(), bases }
    }

    #[test]
    fn upstream_gets_the_same_machine_with_channels_of_its_own() {
        let line = "qemu-system-x86_64 -name guest=server -nodefaults -machine q35,accel=tcg -display none \
                    -device pvpanic -chardev socket,id=innkeeper-control,path=/r/qmp -mon chardev=innkeeper-control,mode=control \
                    -monitor none -chardev socket,id=shell,path=/r/shell -device virtio-serial \
                    -device virtconsole,chardev=shell -chardev socket,id=innkeeper-bulk,path=/r/bulk \
                    -device virtserialport,chardev=innkeeper-bulk,name=innkeeper.bulk -device virtio-rng-pci \
                    -serial stdio -no-reboot \
                    -drive file=/r/disk0.qcow2,if=none,id=disk0 -device virtio-blk-pci,drive=disk0 \
                    -virtfs local,path=/r/x,security_model=none,multidevs=remap,mount_tag=shared \
                    -device virtserialport,chardev=bench,name=bench";
        let script = machine(line).start_script().unwrap();
        let exec = script.lines().last().unwrap();
        assert_eq!(
            exec,
            "exec 'qemu-system-x86_64' -name 'guest=server' -nodefaults \
             -machine 'q35,accel=tcg' \"$@\" -device 'pvpanic' \
             -drive \"file=$TMPDIR/disk0.qcow2\"',if=none,id=disk0' -device 'virtio-blk-pci,drive=disk0' \
             -virtfs local,path=\"$SHARED_DIR\",security_model='none,multidevs=remap,mount_tag=shared' \
             -device 'virtserialport,chardev=bench,name=bench'"
        );
        assert!(script.contains(r"-F 'raw' -b '/images/it'\''s/disk.ext4' "), "{script}");
        assert_eq!(machine(line).accelerator(), "tcg");
    }

    #[test]
    fn a_machine_that_cannot_be_told_is_refused() {
        let error = machine("qemu-system-x86_64 -m 512").start_script().unwrap_err().to_string();
        assert!(error.contains("channels"), "{error}");
    }
}
