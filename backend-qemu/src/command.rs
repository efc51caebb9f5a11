//! QEMU's command line: what every machine gets, and what a machine that is described directly gets.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use driver_core::{BULK_PORT, Boot, MachineSpec};

use crate::accel::Accelerator;
use crate::config::{Accel, Network, Options, VlanPort};
use crate::network;

/// The sockets that QEMU connects to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sockets<'a> {
    pub(crate) control: &'a Path,
    pub(crate) shell: &'a Path,
    pub(crate) bulk: &'a Path,
}

/// A list of arguments that is being written.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, argument: impl Into<OsString>) -> &mut Self {
        self.0.push(argument.into());
        self
    }

    /// Adds an option with a value, such as `-m 512`.
    pub(crate) fn option(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.add(name).add(value)
    }

    /// Adds an option whose value begins with a path, such as `-drive file=PATH,if=none`.
    pub(crate) fn path(
        &mut self,
        name: &str,
        before: &str,
        path: &Path,
        after: impl AsRef<OsStr>,
    ) -> &mut Self {
        let mut value = OsString::from(before);
        value.push(escape(path.as_os_str()));
        value.push(after.as_ref());
        self.option(name, value)
    }
}

/// In QEMU's lists of properties a comma in a value is doubled.
pub(crate) fn escape(value: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut bytes = Vec::with_capacity(value.len());
    for byte in value.as_bytes() {
        bytes.push(*byte);
        if *byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

/// What a start script is given as `"$@"` (compat.md 3.1): control, shell, console, and no more.
///
/// There is no pvpanic among it: the script may start a machine that has no place for one, and a guest
/// whose panic ends in a reboot or a crash kernel, as tests of those do on purpose, would be ended by it.
pub(crate) fn for_start_script(spec: &MachineSpec, options: &Options, sockets: Sockets<'_>) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    add_channels(&mut arguments, spec, sockets);
    match &options.display {
        Some(display) => arguments.option("-display", display),
        None if has_desktop() => &mut arguments,
        None => arguments.add("-nographic"),
    };
    match options.accel {
        // Merged with the script's own `-machine`, so that the last word on it is ours.
        Accel::Kvm => arguments.option("-machine", "accel=kvm"),
        Accel::Tcg => arguments.option("-machine", "accel=tcg"),
        Accel::Auto => &mut arguments,
    };
    add_viewers(&mut arguments, spec, options);
    arguments.0.extend(options.extra_args.iter().map(OsString::from));
    arguments.0
}

/// Lets viewers look at the screen, if they may.
fn add_viewers(arguments: &mut Arguments, spec: &MachineSpec, options: &Options) {
    if options.vnc {
        arguments.path("-vnc", "unix:", &spec.state_dir.join(crate::VNC_SOCKET), "");
    }
}

/// The arguments for a machine that is described directly; `overlays` stand in for its disks, and `port` is how it
/// is plugged into VLANs.
pub(crate) fn for_description(
    spec: &MachineSpec,
    options: &Options,
    accelerator: Accelerator,
    overlays: &[PathBuf],
    port: VlanPort,
    sockets: Sockets<'_>,
) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.path("-name", "guest=", Path::new(&spec.name), "").add("-no-user-config").add("-nodefaults");
    // The switch reads and writes the guest's memory itself.
    let is_shared = port == VlanPort::VhostUser && !spec.nics.is_empty();
    if is_shared {
        arguments
            .option("-object", format!("memory-backend-memfd,id=memory,size={}M,share=on", spec.memory_mib));
    }
    let memory = if is_shared { ",memory-backend=memory" } else { "" };
    arguments
        .option("-machine", format!("{},accel={}{memory}", options.machine, accelerator.qemu_name()))
        .option("-cpu", options.cpu.as_deref().unwrap_or(accelerator.default_cpu()))
        .option("-m", spec.memory_mib.to_string())
        .option("-smp", spec.cores.to_string())
        .option("-vga", &options.vga)
        .option("-display", options.display.as_deref().unwrap_or("none"));
    add_viewers(&mut arguments, spec, options);
    if options.vga != "none" {
        // The pointer, put anywhere; a mouse can only be pushed, and nobody knows how far.
        arguments.option("-device", "virtio-tablet-pci");
    }
    // A panic is told at once, not after the guest's own timeout, and not as a reboot.
    arguments.option("-device", if options.machine.starts_with("virt") { "pvpanic-pci" } else { "pvpanic" });
    add_channels(&mut arguments, spec, sockets);
    if options.network == Network::User {
        // Without its boot ROM, which nothing boots from and which takes its time under TCG.
        arguments.option("-netdev", "user,id=eth0").option("-device", "virtio-net-pci,netdev=eth0,romfile=");
    }
    network::add_cards(&mut arguments, &spec.nics, port);
    for (number, overlay) in overlays.iter().enumerate() {
        // An overlay lives as long as the run: that it is safe on the host's disk is worth nothing.
        let rest = format!(",if=none,id=disk{number},format=qcow2,cache=unsafe,werror=report");
        arguments.path("-drive", "file=", overlay, &rest);
        arguments.option("-device", format!("virtio-blk-pci,drive=disk{number}"));
    }
    let shares = spec.shares.iter().map(|share| (share.tag.as_str(), share.path.as_path()));
    for (tag, path) in std::iter::once(("shared", spec.shared_dir.as_path())).chain(shares) {
        // Owners and modes stay as the guest sets them, as far as the driver's user may.
        let mut rest = OsString::from(",security_model=none,multidevs=remap,mount_tag=");
        rest.push(escape(OsStr::new(tag)));
        let mut value = OsString::from("local,path=");
        value.push(escape(path.as_os_str()));
        value.push(rest);
        arguments.option("-virtfs", value);
    }
    if let Boot::Kernel { kernel, initrd, cmdline, .. } = &spec.boot {
        arguments.option("-kernel", kernel).option("-append", cmdline);
        if let Some(initrd) = initrd {
            arguments.option("-initrd", initrd);
        }
    }
    if spec.snapshot.is_some() {
        // Until it is told from where.
        arguments.option("-incoming", "defer");
    }
    arguments.0.extend(options.extra_args.iter().map(OsString::from));
    arguments.0
}

/// What connects a machine with the driver, whoever describes the rest of it.
fn add_channels(arguments: &mut Arguments, spec: &MachineSpec, sockets: Sockets<'_>) {
    arguments
        .path("-chardev", "socket,id=innkeeper-control,path=", sockets.control, "")
        .option("-mon", "chardev=innkeeper-control,mode=control")
        // For scripts that speak with QEMU themselves (compat.md 1.5), under the names that they know.
        .path("-qmp", "unix:", &spec.state_dir.join("qmp"), ",server=on,wait=off")
        .path("-monitor", "unix:", &spec.state_dir.join("monitor"), ",server=on,wait=off")
        .path("-chardev", "socket,id=shell,path=", sockets.shell, "")
        .option("-device", "virtio-serial")
        .option("-device", "virtconsole,chardev=shell")
        // No terminal, and nothing is lost on it.
        .path("-chardev", "socket,id=innkeeper-bulk,path=", sockets.bulk, "")
        .option("-device", format!("virtserialport,chardev=innkeeper-bulk,name={BULK_PORT}"))
        .option("-device", "virtio-rng-pci")
        .option("-serial", "stdio");
    if !spec.allow_reboot {
        arguments.add("-no-reboot");
    }
}

/// Whether QEMU could open a window, by the signs that NixOS goes by.
fn has_desktop() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use driver_core::vlan::{MacAddress, Nic, Plug};
    use driver_core::{Boot, Disk, DiskFormat, MachineSpec};
    use serde_json::{Value, json};

    use super::{Sockets, for_description, for_start_script};
    use crate::accel::Accelerator;
    use crate::config::{Options, VlanPort};

    fn spec() -> MachineSpec {
        let disk = Disk { path: "/images/base.ext4".into(), format: DiskFormat::Raw };
        let boot = Boot::Kernel {
            kernel: "/images/vmlinuz".into(),
            initrd: None,
            cmdline: "root=/dev/vda quiet".to_owned(),
            disks: vec![disk],
        };
        MachineSpec { cores: 2, ..MachineSpec::new("web", boot, 1024, "/run/a,b", "/run/shared") }
    }

    fn sockets() -> Sockets<'static> {
        Sockets {
            control: Path::new("/run/a,b/qmp"),
            shell: Path::new("/run/a,b/shell"),
            bulk: Path::new("/run/a,b/bulk"),
        }
    }

    /// The command line as one text, which is easier to compare.
    fn text(arguments: &[std::ffi::OsString]) -> String {
        arguments.join(std::ffi::OsStr::new(" ")).into_string().expect("arguments in UTF-8")
    }

    fn options(table: &Value) -> Options {
        Options::parse(table, "web", true).expect("settings that make sense")
    }

    #[test]
    fn a_start_script_is_given_the_channels_and_nothing_else() {
        let options = options(&json!({"display": "none"}));
        assert_eq!(
            text(&for_start_script(&spec(), &options, sockets())),
            "-chardev socket,id=innkeeper-control,path=/run/a,,b/qmp -mon chardev=innkeeper-control,mode=control \
             -qmp unix:/run/a,,b/qmp,server=on,wait=off -monitor unix:/run/a,,b/monitor,server=on,wait=off \
             -chardev socket,id=shell,path=/run/a,,b/shell -device virtio-serial \
             -device virtconsole,chardev=shell \
             -chardev socket,id=innkeeper-bulk,path=/run/a,,b/bulk \
             -device virtserialport,chardev=innkeeper-bulk,name=innkeeper.bulk -device virtio-rng-pci -serial stdio -no-reboot -display none"
        );
    }

    #[test]
    fn what_was_asked_for_a_start_script_comes_last() {
        let options = options(&json!({"accel": "tcg", "extra_args": ["-m", "2048"]}));
        let machine = MachineSpec { allow_reboot: true, ..spec() };
        let line = text(&for_start_script(&machine, &options, sockets()));
        assert!(line.ends_with("-machine accel=tcg -m 2048"), "{line}");
        assert!(!line.contains("-no-reboot"), "{line}");
    }

    fn described(spec: &MachineSpec, overlays: &[PathBuf], port: VlanPort) -> String {
        text(&for_description(spec, &Options::default(), Accelerator::Tcg, overlays, port, sockets()))
    }

    #[test]
    fn cards_on_vlans_come_after_the_one_that_leads_outside() {
        let plug = Plug {
            stream: "/run/v1/0.stream".into(),
            dgram: "/run/v1/0.dgram".into(),
            dgram_peer: "/run/v1/0.peer".into(),
            vde: "/run/v1/0.vde".into(),
            vhost_user: "/run/v1/0.vhost".into(),
        };
        let mac = MacAddress([0x52, 0x54, 0, 0x12, 1, 2]);
        let spec = MachineSpec { nics: vec![Nic { vlan: 1, mac, plug }], ..spec() };
        let device = "-device virtio-net-pci,netdev=vlan1,mac=52:54:00:12:01:02,romfile=";
        for (port, netdev) in [
            (VlanPort::Stream, "stream,id=vlan1,server=off,addr.type=unix,addr.path=/run/v1/0.stream"),
            (
                VlanPort::Dgram,
                "dgram,id=vlan1,local.type=unix,remote.type=unix,local.path=/run/v1/0.peer,\
                 remote.path=/run/v1/0.dgram",
            ),
            (VlanPort::Vde, "vde,id=vlan1,sock=/run/v1/0.vde"),
            (VlanPort::VhostUser, "vhost-user,id=vlan1,chardev=vlan1-port"),
        ] {
            let line = described(&spec, &[], port);
            let (_, after) = line.split_once("netdev=eth0").expect("the card that leads outside");
            assert!(after.contains(&format!("-netdev {netdev} {device}")), "{line}");
            let shares = line.contains("memory-backend=memory") && line.contains("size=1024M,share=on");
            assert_eq!(shares, port == VlanPort::VhostUser, "{line}");
        }
    }

    #[test]
    fn a_description_becomes_a_machine_that_writes_to_its_overlays_only() {
        let overlays = [PathBuf::from("/run/a,b/disk0.qcow2")];
        let line = described(&spec(), &overlays, VlanPort::Auto);
        for part in [
            "accel=tcg -cpu max -m 1024 -smp 2 ",
            "file=/run/a,,b/disk0.qcow2,if=none,id=disk0,format=qcow2,cache=unsafe",
            "-virtfs local,path=/run/shared,security_model=none,multidevs=remap,mount_tag=shared ",
            "-kernel /images/vmlinuz -append root=/dev/vda quiet",
            "-netdev user,",
            "-device virtio-tablet-pci",
            "pvpanic",
        ] {
            assert!(line.contains(part), "no `{part}` in: {line}");
        }
        assert!(!line.contains("base.ext4") && !line.contains("-incoming"), "{line}");
        let restored = MachineSpec { snapshot: Some("/run/snapshot".into()), ..spec() };
        let again = described(&restored, &overlays, VlanPort::Auto);
        assert_eq!(again, format!("{line} -incoming defer"));
    }
}
