//! Exit statuses (docs/exit-codes.md). Scripts and CI rely on them: a number never changes its meaning.

use driver_core::event::Outcome;

/// All as expected.
pub(crate) const PASSED: u8 = 0;
/// The test failed: an assertion, a broken script, the time limit.
pub(crate) const FAILED: u8 = 1;
/// The command line, the manifest, or a file that they name makes no sense.
pub(crate) const USAGE: u8 = 2;
/// A machine, or the host, could not run the test.
pub(crate) const MACHINES: u8 = 3;
/// A bug of ours.
pub(crate) const BUG: u8 = 70;
/// What a signal's number is added to when it ended the run.
pub(crate) const SIGNAL: u8 = 128;

/// The status that belongs to an outcome; an interruption's depends on the signal as well.
pub(crate) fn status_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => PASSED,
        Outcome::Failed | Outcome::ScriptError | Outcome::TimedOut => FAILED,
        Outcome::MachineFailed => MACHINES,
        Outcome::Interrupted => SIGNAL,
        Outcome::Bug => BUG,
    }
}
