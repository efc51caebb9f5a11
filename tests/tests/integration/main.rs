//! The whole product: the built program with real machines.
//!
//! A test needs a machine as a rule, and says aloud when it is skipped for want of one; `REQUIRE_VM=1`
//! makes that a failure. Whatever ends a run, each test also looks that nothing of it is left.

mod agent;
mod backends_page;
mod boot;
mod cluster;
mod conformance;
mod containers;
mod evidence;
mod files;
mod guestbook;
mod initrd;
mod input;
mod interactive;
mod kinds;
mod layering;
mod machine_dies;
mod multi_machine;
mod networks;
mod nix;
mod nixos_2019;
mod nixos_test_driver;
mod nothing_to_run;
mod ocr;
mod output;
mod pages;
mod plugins;
mod plugins_page;
mod screen;
mod shell;
mod snapshots;
mod stopped;
mod units;
mod vhost_user;
mod waits;

use std::time::Duration;

/// How soon after its cause a run has to be over.
const SOON: Duration = Duration::from_secs(5);

/// A machine that boots the image `name`, as a manifest has it.
fn machine(name: &str) -> String {
    format!("[machines.server]\nimage = \"{name}\"\n")
}

/// A test that is run twice: commands go through the agent, and through the plain shell. `$test` is given the
/// arguments for that.
macro_rules! both {
    ($agent:ident, $shell:ident, $test:expr) => {
        #[test]
        fn $agent() {
            $test(&[]);
        }

        #[test]
        fn $shell() {
            $test(&["--no-agent"]);
        }
    };
}
use both;
