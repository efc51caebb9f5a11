//! Start scripts in the manner of NixOS's (compat.md 3.1) for the images of `cargo xtask guests`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use driver_core::{Boot, quote};

use crate::image::Image;

/// What all start scripts do.
const BODY: &str = include_str!("start-script.bash");

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
        let path = |path: &Path| quote(&path.display().to_string());
        let head = format!(
            "#!/bin/bash\nname={} members={} memory={memory_mib} accel=tcg\n\
             disk={} kernel={} initrd={} cmdline={}\n",
            quote(all[me].0),
            quote(&members(all)),
            path(&disks[0].path),
            path(&kernel),
            path(&initrd),
            quote(&cmdline),
        );
        fs::write(file, head + BODY).expect("the script is written");
        fs::set_permissions(file, Permissions::from_mode(0o755)).expect("the script can be executed");
    }
}

/// `client:1 server:1,2`.
fn members(all: &[Member<'_>]) -> String {
    let member = |(name, vlans): &Member<'_>| {
        let vlans: Vec<String> = vlans.iter().map(u32::to_string).collect();
        format!("{name}:{}", vlans.join(","))
    };
    all.iter().map(member).collect::<Vec<_>>().join(" ")
}
