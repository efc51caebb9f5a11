//! `--interactive`: what a prompt needs to know of this program and of its user.

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;
use script::{Prompt, PromptLog};

/// A prompt with the history of all earlier ones.
pub(crate) fn prompt() -> anyhow::Result<Prompt> {
    let home = || env::home_dir().map(|home| home.join(".local/state"));
    let state = env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home);
    let nowhere = PathBuf::from("/dev/null");
    prompt_with(state.map_or(nowhere, |state| state.join("innkeeper/history")))
}

/// A prompt with a history in a file of the caller's choice.
pub(crate) fn prompt_with(history: PathBuf) -> anyhow::Result<Prompt> {
    let program = env::current_exe().context("this program's own file is not known")?;
    Ok(Prompt { log: PromptLog::default(), history, attach: vec![program, "attach".into()] })
}
