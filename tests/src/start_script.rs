//! Start scripts in the manner of NixOS's (compat.md 3.1) for the images of `cargo xtask guests`: the script makes
//! its disk, finds its networks in the environment, and the guest configures itself.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use driver_core::Boot;

use crate::image::Image;

/// A machine among others, with the VLANs that it is on.
pub type Member<'a> = (&'a str, &'a [u32]);

impl Image {
    /// Writes the start script of `all[me]` to `file`. The machines are in the order of the alphabet.
    ///
    /// # Panics
    /// When the image does not boot by a kernel and one disk, or the file cannot be written.
    pub fn write_start_script(&self, file: &Path, all: &[Member<'_>], me: usize, memory_mib: u64) {
        let image = driver_core::Image::read(self.dir()).expect("the image can be read");
        let Boot::Kernel { kernel, initrd: Some(initrd), cmdline, disks } = image.boot else {
            panic!("the image boots by a kernel and an initrd")
        };
        let (name, vlans) = all[me];
        let number = me + 1;
        let (mut cards, mut addresses) = (String::new(), String::new());
        for (vlan, card) in vlans.iter().zip(1..) {
            // Writing to a string cannot fail.
            let _ = write!(
                cards,
                " -device virtio-net-pci,netdev=vlan{card},mac=52:54:00:12:{vlan:02x}:{number:02x} \
                 -netdev vde,id=vlan{card},sock=\"$QEMU_VDE_SOCKET_{vlan}\""
            );
            let _ = write!(addresses, " ip=192.168.{vlan}.{number}:::255.255.255.0:{name}:eth{card}:none");
        }
        let text = format!(
            r#"#!/bin/bash
set -e
NIX_DISK_IMAGE=$(readlink -f "${{NIX_DISK_IMAGE:-./{name}.qcow2}}")
test -e "$NIX_DISK_IMAGE" || qemu-img create -q -f qcow2 -F raw -b '{disk}' "$NIX_DISK_IMAGE"
if [ -z "$TMPDIR" ] || [ -z "$USE_TMPDIR" ]; then TMPDIR=$(mktemp -d nix-vm.XXXXXXXXXX --tmpdir); fi
mkdir -p "$TMPDIR/xchg"
cd "$TMPDIR"
hosts=$(printf 'f+ /etc/hosts 0644 root root - {hosts}' | base64 -w0)
exec qemu-system-x86_64 -name {name} -m {memory_mib} -smp 1 -machine type=q35,accel=tcg -cpu max \
  -device virtio-rng-pci -net nic,netdev=user.0,model=virtio -netdev user,id=user.0,"$QEMU_NET_OPTS" \
  -virtfs local,path="${{SHARED_DIR:-$TMPDIR/xchg}}",security_model=none,mount_tag=shared \
  -drive cache=unsafe,file="$NIX_DISK_IMAGE",if=none,id=root -device virtio-blk-pci,drive=root{cards} \
  -smbios "type=11,value=io.systemd.credential.binary:tmpfiles.extra=$hosts" \
  -kernel '{kernel}' -initrd '{initrd}' \
  -append "{cmdline} systemd.hostname={name}{addresses} $QEMU_KERNEL_PARAMS" $QEMU_OPTS "$@"
"#,
            disk = disks[0].path.display(),
            hosts = hosts(all),
            kernel = kernel.display(),
            initrd = initrd.display(),
        );
        fs::write(file, text).expect("the script is written");
        fs::set_permissions(file, Permissions::from_mode(0o755)).expect("the script can be executed");
    }
}

/// `/etc/hosts` of all machines, for `printf` and then for systemd-tmpfiles, each of which knows `\n`.
fn hosts(all: &[Member<'_>]) -> String {
    let mut text = r"127.0.0.1 localhost\\n".to_owned();
    for ((name, vlans), number) in all.iter().zip(1..) {
        for vlan in *vlans {
            let _ = write!(text, r"192.168.{vlan}.{number} {name}\\n");
        }
    }
    text
}
