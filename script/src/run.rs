//! One script from its start to its end.

use std::sync::Arc;

use driver_core::event::{Event, Level, ScopeKind};
use driver_core::{Driver, Scope};
use tokio::net::UnixListener;

use crate::client::Script;
use crate::outcome::{FailureKind, ScriptError, ScriptFailure, ScriptOutcome};
use crate::process::Process;
use crate::session::{Ending, Session};

/// Runs a script against the machines of `driver`, and returns when nothing of it is left.
///
/// Why it failed is in the journal then, as a line of [`Level::Error`].
///
/// # Errors
/// [`ScriptError::Interpreter`] and [`ScriptError::Setup`] when it could not be started;
/// [`ScriptError::Cancelled`] when the run was ended before the script was.
pub async fn run(driver: &Arc<Driver>, script: &Script) -> Result<ScriptOutcome, ScriptError> {
    let setup = |operation| move |source| ScriptError::Setup { operation, source };
    let directory = tempfile::Builder::new()
        .prefix("script-")
        .tempdir_in(driver.run_dir())
        .map_err(setup("make a directory"))?;
    let language = script.language();
    language.install(directory.path()).map_err(setup("write the client package"))?;
    let file = script.file_in(directory.path()).map_err(setup("write the script"))?;
    // Short: the path of a Unix socket has at most 107 bytes, and who chose the directory for temporary files counted
    // on the NixOS driver's, which are short, too.
    let (listener, socket) = tempfile::Builder::new()
        .prefix("s")
        .rand_bytes(3)
        .make_in(driver.run_dir(), |path| UnixListener::bind(path))
        .map_err(setup("make a socket below TMPDIR"))?
        .into_parts();
    let process = Process::start(script, &file, directory.path(), &socket, driver).map_err(|source| {
        ScriptError::Interpreter {
            program: language.program(),
            script: script.path().to_owned(),
            way_out: language.way_out(),
            source,
        }
    })?;

    let journal = driver.journal();
    let heading = script.heading();
    let scope = heading.map(|heading| journal.open_scope(0, None, ScopeKind::Step, heading, None));
    let root = scope.as_ref().map_or(0, Scope::id);
    let ending = Session::new(driver, script, root, listener, process).serve().await;
    let outcome = outcome(ending);
    let error = match &outcome {
        Ok(ScriptOutcome::Passed) => None,
        Ok(ScriptOutcome::Failed(failure)) => {
            if !failure.traceback.is_empty() {
                let event = Event::Log { level: Level::Error, text: failure.traceback.join("\n") };
                journal.emit_in(root, None, event);
            }
            Some(failure.message.clone())
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(scope) = scope {
        journal.close_scope(&scope, error);
    }
    outcome
}

fn outcome(ending: Ending) -> Result<ScriptOutcome, ScriptError> {
    match ending {
        Ending::Cancelled { reason } => Err(ScriptError::Cancelled { reason }),
        Ending::Finished { failure: None } => Ok(ScriptOutcome::Passed),
        Ending::Finished { failure: Some(failure) } if failure.kind == FailureKind::Cancelled => {
            Err(ScriptError::Cancelled { reason: failure.message })
        }
        Ending::Finished { failure: Some(failure) } => Ok(ScriptOutcome::Failed(failure)),
        Ending::Broken { message } => Ok(ScriptOutcome::Failed(ScriptFailure {
            kind: FailureKind::ScriptError,
            traceback: vec![message.clone()],
            message,
            line: None,
            source: None,
            status: None,
        })),
    }
}
