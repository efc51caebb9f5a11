//! What argparse says of a command line that makes no sense, and its exit status.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{console, exit};

/// Why there is no run.
#[derive(Debug)]
pub(super) enum Problem {
    /// Said, and all is done.
    Usage(Said),
    /// Anything else: it ends the program as a failed test does.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// What there is to be said instead of a run.
#[derive(Debug)]
pub(super) enum Said {
    /// The help that was asked for.
    Help(String),
    /// What is wrong with the command line, below how it is used.
    Wrong { usage: String, problem: String },
}

impl Said {
    /// What clap has found.
    pub(super) fn clap<P: CommandFactory>(error: &clap::Error) -> Problem {
        Problem::Usage(if error.kind() == ErrorKind::DisplayHelp {
            Self::Help(error.render().to_string())
        } else {
            Self::Wrong { usage: usage::<P>(), problem: problem(error) }
        })
    }

    /// What clap does not find.
    pub(super) fn wrong<P: CommandFactory>(problem: String) -> Problem {
        Problem::Usage(Self::Wrong { usage: usage::<P>(), problem })
    }

    /// Prints it, and returns the exit status.
    pub(super) fn print(&self) -> u8 {
        match self {
            Self::Help(text) => {
                console::out(text.trim_end());
                exit::PASSED
            }
            Self::Wrong { usage, problem } => {
                console::err(&format!("{usage}\n{}: error: {problem}", super::NAME));
                exit::USAGE
            }
        }
    }
}

fn usage<P: CommandFactory>() -> String {
    P::command().render_usage().to_string().replacen("Usage", "usage", 1)
}

/// The problem in argparse's words.
fn problem(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = || {
        let shown = text(ContextKind::InvalidArg);
        shown.split([' ', '=']).next().unwrap_or_default().to_owned()
    };
    match error.kind() {
        ErrorKind::UnknownArgument => format!("unrecognized arguments: {}", text(ContextKind::InvalidArg)),
        ErrorKind::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg).replace("--config <CONFIG>", "-c/--config");
            format!("the following arguments are required: {missing}")
        }
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_empty() => {
            format!("argument {}: expected one argument", argument())
        }
        ErrorKind::InvalidValue => format!(
            "argument {}: invalid choice: '{}' (choose from {})",
            argument(),
            text(ContextKind::InvalidValue),
            text(ContextKind::ValidValue)
        ),
        ErrorKind::ValueValidation => {
            format!("argument {}: invalid int value: '{}'", argument(), text(ContextKind::InvalidValue))
        }
        _ => {
            let rendered = error.render().to_string();
            rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}
