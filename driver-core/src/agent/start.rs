//! How the agent gets into the guest: through the shell, and then into the shell's place.

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flate2::read::GzDecoder;

use super::{Agent, Streams};
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::machine::GuestStream;
use crate::shell::{Shell, quote};

/// How long all of it may take. A guest without KVM needs about a second; one whose host has no time for it, many times
/// that.
const LIMIT: Duration = Duration::from_secs(120);

/// Puts the agent into the guest and starts it. `packed`: the program, packed by gzip. `bulk`: the guest's
/// port for what is large, which is taken once the agent runs.
///
/// The agent removes its own file when it starts.
///
/// # Errors
/// What keeps it from running, as a sentence for the log; the shell still serves. When the shell is lost on
/// the way, [`DriverError::Shell`].
pub(crate) async fn start(
    machine: &str,
    shell: &Shell,
    packed: &[u8],
    bulk: &Mutex<Option<Box<dyn GuestStream>>>,
    within: Deadline,
    heard: impl Fn(&[u8]) + Send + 'static,
) -> Result<Result<Agent, String>, DriverError> {
    let within = within.at_most(LIMIT);
    let file = match place_at_once(shell, packed, within).await? {
        Some(file) => file,
        None => match place(shell, packed, within).await? {
            Ok(file) => file,
            Err(reason) => return Ok(Err(reason)),
        },
    };
    let stream = shell.hand_over(&format!("exec {file}\n"), within).await?;
    let bulk = bulk.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Ok(Agent::open(machine, Streams { shell: stream, bulk }, heard)))
}

/// Writes, unpacks and tries the agent where most guests take it, all in one exchange: a guest has most to do while
/// it boots, and each process waits for its turn. The path; `None` if that did not work, for whatever reason.
async fn place_at_once(
    shell: &Shell,
    packed: &[u8],
    within: Deadline,
) -> Result<Option<String>, DriverError> {
    let file = "/run/.innkeeper-agent";
    let command = format!(
        "umask 077; {{ gzip -dc >{file} && chmod 700 {file} && {file} --version; }} || {{ rm -f {file}; false; }}"
    );
    let placed = shell.run_with("starting the agent", &command, packed.to_vec(), within).await?;
    Ok((placed.status == 0).then(|| file.to_owned()))
}

/// Looks for a place for the agent, writes it there, and tries it. The path, in quotes if need be.
///
/// Folders are tried until one takes programs: some are mounted `noexec`, some are full, some are not there
/// in an initrd.
async fn place(
    shell: &Shell,
    packed: &[u8],
    within: Deadline,
) -> Result<Result<String, String>, DriverError> {
    let place = r#"[ "$(uname -m)" = x86_64 ] || { echo "the guest is $(uname -m)"; exit 1; }
umask 077
for d in /run /tmp /dev/shm /; do
    f=$d/.innkeeper-agent
    if printf '#!/bin/sh\n' 2>/dev/null >"$f" && chmod 700 "$f" && "$f" 2>/dev/null; then
        echo "$f"
        if type gzip >/dev/null 2>&1; then echo packed; fi
        exit
    fi
    rm -f "$f"
done
echo "the guest has no folder to run it from"; exit 1"#;
    let placed = shell.run(place, None, within).await?;
    let said = String::from_utf8_lossy(&placed.stdout).trim().to_owned();
    if placed.status != 0 {
        return Ok(Err(said));
    }
    let (path, packs) = said.split_once('\n').map_or((&*said, false), |(path, _)| (path, true));
    let file = quote(path);
    let (target, bytes, unpack) = if packs {
        let archive = format!("{path}.gz");
        let unpack = format!("gzip -dc {0} >{file}; rm {0}; ", quote(&archive));
        (archive, Cow::Borrowed(packed), unpack)
    } else {
        // An initrd need not have it.
        let mut bytes = Vec::new();
        let unpacked = GzDecoder::new(packed).read_to_end(&mut bytes);
        if let Err(error) = unpacked {
            return Ok(Err(format!("it cannot be unpacked ({error})")));
        }
        (path.to_owned(), Cow::Owned(bytes), String::new())
    };
    if let Err(error) = shell.upload(&target, 0o700, &*bytes, bytes.len() as u64, within).await {
        return match error {
            DriverError::Assertion { message } => Ok(Err(message)),
            other => Err(other),
        };
    }
    let try_out = format!("{unpack}{file} --version || {{ rm -f {file}; exit 1; }}");
    let tried = shell.run(&try_out, None, within).await?;
    if tried.status != 0 {
        let words = String::from_utf8_lossy(&tried.stdout).trim().to_owned();
        return Ok(Err(format!("it does not run in the guest (status {}): {words}", tried.status)));
    }
    Ok(Ok(file))
}
