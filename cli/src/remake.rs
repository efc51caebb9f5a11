//! `innkeeper report`: the reports of a result directory, made again from its journal.

use std::io;

use anyhow::Context as _;

use crate::args::{ReportArgs, When};
use crate::{console, exit};

/// Makes the reports again, prints the summary, and returns the run's own exit status.
pub(crate) fn run(args: &ReportArgs, color: When) -> anyhow::Result<u8> {
    let (summary, unread) = report::remake(&args.dir)
        .with_context(|| format!("the reports of `{}` cannot be made", args.dir.display()))?;
    for warning in unread.warnings() {
        console::err(&format!("warning: {warning}"));
    }
    let colours = color.look(&io::stdout()).colours;
    console::out((summary.render(colours) + &summary.render_results(&args.dir)).trim_end());
    // A run that was cut off says nothing about the test: its machines could not be run to the end.
    Ok(summary.exit_status.unwrap_or(exit::MACHINES))
}
