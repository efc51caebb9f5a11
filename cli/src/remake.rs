//! `innkeeper report`: the reports of a result directory, made again from its journal; two results compared;
//! many in one page.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use report::{Comparison, PAGE, Summary};

use crate::args::{MergeArgs, ReportArgs, ReportCommand, When};
use crate::{console, exit};

/// Does what is asked for, and returns the exit status.
pub(crate) fn run(args: &ReportArgs, color: When) -> anyhow::Result<u8> {
    match (&args.command, args.dirs.as_slice()) {
        (Some(ReportCommand::Merge(merge_args)), _) => merge(merge_args),
        (None, [before, after]) => compare(before, after, color),
        (None, dirs) => {
            let dir = dirs.first().context("no result directory is named")?;
            let status = remake(dir, color)?;
            open_if(args.open, &dir.join(PAGE))?;
            Ok(status)
        }
    }
}

/// Makes the reports again, prints the summary, and returns the run's own exit status.
fn remake(dir: &Path, color: When) -> anyhow::Result<u8> {
    let (summary, unread) =
        report::remake(dir).with_context(|| format!("the reports of `{}` cannot be made", dir.display()))?;
    for warning in unread.warnings() {
        console::err(&format!("warning: {warning}"));
    }
    let colours = color.look(&io::stdout()).colours;
    console::out((summary.render(colours) + &summary.render_results(dir)).trim_end());
    Ok(status_of(&summary))
}

/// A run that was cut off says nothing about the test: its machines could not be run to the end.
fn status_of(summary: &Summary) -> u8 {
    summary.exit_status.unwrap_or(exit::MACHINES)
}

/// Says what differs, and whether the two ended in the same way.
fn compare(before: &Path, after: &Path, color: When) -> anyhow::Result<u8> {
    let comparison = Comparison::read(before, after)
        .with_context(|| format!("`{}` and `{}` cannot be compared", before.display(), after.display()))?;
    console::out(comparison.render(color.look(&io::stdout()).colours).trim_end());
    Ok(if comparison.same_outcome() { exit::PASSED } else { exit::FAILED })
}

/// Makes one page of many results, and returns the highest status of their runs.
fn merge(args: &MergeArgs) -> anyhow::Result<u8> {
    let output = args.output.as_path();
    let summaries = report::merge(&args.dirs, output)
        .with_context(|| format!("the page `{}` cannot be made", output.display()))?;
    let passed = summaries.iter().filter(|summary| summary.verdict.passed()).count();
    console::out(&format!(
        "{}: {passed} passed, {} failed",
        report::visible(&output.display().to_string()),
        summaries.len() - passed
    ));
    open_if(args.open, output)?;
    Ok(summaries.iter().map(status_of).max().unwrap_or(exit::PASSED))
}

fn open_if(wanted: bool, page: &Path) -> anyhow::Result<()> {
    if wanted {
        opener::open(page).with_context(|| {
            format!("no browser can be started for `{}` (open it by hand)", page.display())
        })?;
    }
    Ok(())
}
