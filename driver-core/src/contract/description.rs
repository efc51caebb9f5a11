//! Rules on descriptions, which are checked before anything starts.

use std::path::Path;

use super::{Findings, hold};
use crate::machine::Backend;
use crate::spec::{Boot, Disk, DiskFormat, MachineSpec};

const MISSING: &str = "/nonexistent/innkeeper-contract";

pub(super) async fn check(backend: &dyn Backend, spec: &MachineSpec, findings: &mut Findings) {
    let good = backend.check(spec).await.map_err(|error| error.chain());
    findings.add("check accepts a machine that can be launched", good);

    let kernel = |kernel: &Path, disk: &Path| Boot::Kernel {
        kernel: kernel.to_owned(),
        initrd: None,
        cmdline: String::new(),
        disks: vec![Disk { path: disk.to_owned(), format: DiskFormat::Raw }],
    };
    let missing = Path::new(MISSING);
    // Something that is there, so that the other file is the one that is missed.
    let there = Path::new("/dev/null");
    findings.add(
        "check refuses a kernel that is not there, and names it",
        refuses(backend, spec, kernel(missing, there)).await,
    );
    findings.add(
        "check refuses a disk that is not there, and names it",
        refuses(backend, spec, kernel(there, missing)).await,
    );
}

async fn refuses(backend: &dyn Backend, spec: &MachineSpec, boot: Boot) -> Result<(), String> {
    match backend.check(&MachineSpec { boot, ..spec.clone() }).await {
        Ok(()) => Err("it is accepted".to_owned()),
        Err(error) => {
            let text = error.chain();
            hold(text.contains(MISSING), || format!("the error does not name `{MISSING}`: {text}"))
        }
    }
}
