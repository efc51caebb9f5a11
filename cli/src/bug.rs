//! Bugs of ours: a panic anywhere is told to the user as one, remembered, and ends in exit status 70.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::console;

/// Whether any thread or task has panicked; tokio catches those of tasks.
static SEEN: AtomicBool = AtomicBool::new(false);

/// Installs the hook.
pub(crate) fn watch() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        SEEN.store(true, Ordering::SeqCst);
        usual(info);
        console::err(&format!(
            "error: this is a bug in innkeeper {}, not in your test\n  \
             please report it with the lines above, the manifest, and events.jsonl from the result \
             directory; RUST_BACKTRACE=1 adds where it came from",
            env!("CARGO_PKG_VERSION")
        ));
    }));
}

/// Whether a bug showed itself so far.
pub(crate) fn seen() -> bool {
    SEEN.load(Ordering::SeqCst)
}
