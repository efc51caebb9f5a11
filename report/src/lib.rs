//! The event stream made visible.
//!
//! Each view is a [`driver_core::Reporter`]: [`Terminal`] for the person who watches, and the files of the
//! result directory ([`file_views`]): `report.html`, `junit.xml`, `log.txt` and `console/<machine>.log`. The views know
//! nothing but the records, so [`remake`] makes the files again from `events.jsonl` alone, also after a
//! kill -9. `docs/results.md` describes the directory for its readers.

mod attempts;
mod board;
mod classic;
mod compare;
mod console_logs;
mod diagnosis;
mod error;
mod escape;
mod files;
mod html;
mod job_summary;
mod junit;
mod lint;
mod live;
mod log_file;
mod merge;
mod paint;
mod read;
mod summary;
mod tails;
mod tally;
mod tap;
mod terminal;
mod transcript;
mod unfilled;
mod video;

pub use attempts::ATTEMPTS;
pub use classic::{ClassicTerminal, LogHtml, LogXml};
pub use compare::Comparison;
pub use console_logs::ConsoleLogs;
pub use diagnosis::{Blame, Claim, Diagnosis, Doctor, Examination, FailureKind};
pub use error::ReportError;
pub use escape::visible;
pub use files::{EVENTS, file_views, lock, remake};
pub use html::{HtmlPage, PAGE};
pub use job_summary::JobSummary;
pub use junit::JunitXml;
pub use lint::{ALL, Finding, Findings, LINT_RULES, LintRule};
pub use log_file::LogFile;
pub use merge::merge;
pub use read::Unread;
pub use summary::{Subtest, SubtestOutcome, Summary, Verdict};
pub use tap::Tap;
pub use terminal::{Look, Terminal, Verbosity};
pub use video::Video;
