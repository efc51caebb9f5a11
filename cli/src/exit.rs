//! Exit statuses (docs/exit-codes.md). Scripts and CI rely on them: a number never changes its meaning.

use report::Blame;

/// All as expected.
pub(crate) const PASSED: u8 = 0;
/// The test failed: an assertion, a broken script, the time limit.
pub(crate) const FAILED: u8 = 1;
/// The command line, the manifest, or a file that they name makes no sense.
pub(crate) const USAGE: u8 = 2;
/// A machine could not run the test.
pub(crate) const MACHINES: u8 = 3;
/// The host could not run the test.
pub(crate) const HOST: u8 = 5;
/// A bug of ours.
pub(crate) const BUG: u8 = 70;
/// What a signal's number is added to when it ended the run.
pub(crate) const SIGNAL: u8 = 128;

/// The status of a failure; an interruption's depends on the signal as well.
pub(crate) fn status_of(blame: Blame) -> u8 {
    match blame {
        Blame::Test => FAILED,
        Blame::Machine => MACHINES,
        Blame::Host => HOST,
        Blame::Somebody => SIGNAL,
        Blame::Innkeeper => BUG,
    }
}
