//! The verbs of the run.

use super::Verb;
use super::table::verb;

pub(super) static TABLE: &[Verb] = &[
    verb!(Run start_all() -> Nothing,
        "Starts all machines at once and returns when each hypervisor runs.",
        |call, _args| call.driver.start_all()),
    verb!(Run join_all() -> Nothing,
        "Waits until all machines are off.",
        |call, _args| call.driver.join_all()),
];
