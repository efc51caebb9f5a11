//! `generate-driver-symbols`: the general names that a test script finds, in the file `driver-symbols`.

use std::fs;
use std::io;

use crate::exit;

/// In the order in which they are printed when a test begins (compat.md 1.2).
const GENERAL: &[&str] = &[
    "start_all",
    "test_script",
    "machines",
    "machines_qemu",
    "machines_nspawn",
    "vlans",
    "driver",
    "log",
    "os",
    "create_machine",
    "subtest",
    "run_tests",
    "join_all",
    "retry",
    "serial_stdout_off",
    "serial_stdout_on",
    "polling_condition",
    "BaseMachine",
    "QemuMachine",
    "NspawnMachine",
    "Machine",
    "t",
    "debug",
    "dump_machine_ssh",
];

/// Writes the file into the working directory.
pub(super) fn write() -> io::Result<u8> {
    fs::write("driver-symbols", GENERAL.join(","))?;
    Ok(exit::PASSED)
}
