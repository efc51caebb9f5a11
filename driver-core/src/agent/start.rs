//! How the agent gets into the guest: through the shell, and then into the shell's place.

use std::time::Duration;

use super::Agent;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::shell::{Shell, quote};

/// How long all of it may take. A guest without KVM needs about a second.
const LIMIT: Duration = Duration::from_secs(60);

/// Puts the agent into the guest and starts it. `packed`: the program, packed by gzip.
///
/// Folders are tried until one takes programs: some are mounted `noexec`, some are full, some are not there
/// in an initrd. The agent removes its own file when it starts.
///
/// # Errors
/// What keeps it from running, as a sentence for the log; the shell still serves. When the shell is lost on
/// the way, [`DriverError::Shell`].
pub(crate) async fn start(
    machine: &str,
    shell: &Shell,
    packed: &[u8],
    within: Deadline,
    heard: impl Fn(&[u8]) + Send + 'static,
) -> Result<Result<Agent, String>, DriverError> {
    let within = within.at_most(LIMIT);
    let place = r#"[ "$(uname -m)" = x86_64 ] || { echo "the guest is $(uname -m)"; exit 1; }
type gzip >/dev/null 2>&1 || { echo "the guest has no gzip"; exit 1; }
umask 077
for d in /run /tmp /dev/shm /; do
    f=$d/.innkeeper-agent
    if printf '#!/bin/sh\n' 2>/dev/null >"$f" && chmod 700 "$f" && "$f" 2>/dev/null; then echo "$f"; exit; fi
    rm -f "$f"
done
echo "the guest has no folder to run it from"; exit 1"#;
    let placed = shell.run(place, None, within).await?;
    let said = String::from_utf8_lossy(&placed.stdout).trim().to_owned();
    if placed.status != 0 {
        return Ok(Err(said));
    }
    let file = quote(&said);
    let archive = format!("{said}.gz");
    if let Err(error) = shell.upload(&archive, 0o600, packed, packed.len() as u64, within).await {
        return match error {
            DriverError::Assertion { message } => Ok(Err(message)),
            other => Err(other),
        };
    }
    let unpack = format!(
        "gzip -dc {archive} >{file}; rm {archive}; {file} --version || {{ rm -f {file}; exit 1; }}",
        archive = quote(&archive)
    );
    let unpacked = shell.run(&unpack, None, within).await?;
    if unpacked.status != 0 {
        return Ok(Err(format!("it does not run in the guest (status {})", unpacked.status)));
    }
    let stream = shell.hand_over(&format!("exec {file}\n"), within).await?;
    let agent = Agent::open(machine, stream, heard);
    agent.ready(within).await?;
    Ok(Ok(agent))
}
