//! Helpers of the whole-product tests: the built program in a world of its own, what it leaves behind,
//! and whether this host can boot machines at all.

mod image;
mod initrd;
mod leaks;
mod program;
mod run;
mod schema;
mod slot;
mod start_script;
mod terminal;

pub use image::{Image, need_vm};
pub use leaks::{Leaks, processes_with};
pub use program::{build_package, example, plugin, program};
pub use run::{Finished, Run, Setup};
pub use start_script::Member;
pub use terminal::Terminal;
