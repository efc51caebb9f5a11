//! Runs the program: its time is limited, and it ends when innkeeper does, however that ends.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use driver_core::{Deadline, OcrError};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use super::failed;

/// Bytes that are read of what the program prints.
const OUTPUT_LIMIT: u64 = 16 << 20;

/// What the program prints when it is given `input`.
///
/// # Errors
/// When it cannot be started, fails, or takes longer than it may.
pub(super) fn ask(
    program: &Path,
    arguments: &[&str],
    input: &[u8],
    within: Deadline,
) -> Result<String, OcrError> {
    let shown = program.display();
    let broken = |error: io::Error| failed(format!("`{shown}` cannot be run: {error}"), "");
    let picture = nameless(input).map_err(broken)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(picture).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // Its threads wait for each other at full speed: on a host that is busy a look takes minutes instead of a second.
    command.env("OMP_THREAD_LIMIT", "1");
    die_with_us(&mut command);
    let child = command.spawn().map_err(broken)?;
    match collect(child, within).map_err(broken)? {
        None => {
            let problem = format!("`{shown}` takes longer than the {:?} that are left", within.limit());
            Err(failed(problem, "read a part of the screen, or choose another engine"))
        }
        Some((true, output, _)) => Ok(output),
        Some((false, _, words)) => Err(failed(format!("`{shown}` failed: {}", words.trim()), "")),
    }
}

/// A file without a name, of which nothing is left when innkeeper is killed.
fn nameless(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Has the kernel kill the program when the thread ends that starts it: that one waits for it in [`collect`].
#[expect(unsafe_code, reason = "what runs between fork and exec has no safe interface")]
fn die_with_us(command: &mut Command) {
    let bind = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: it makes one system call, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(bind) };
}

/// Whether the program succeeded, and what it printed; `None` when it took too long. Its group ends with it.
fn collect(mut child: Child, within: Deadline) -> io::Result<Option<(bool, String, String)>> {
    let group = Pid::from_child(&child);
    let (output, errors) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let mut status = None;
    while status.is_none() && !within.is_over() {
        status = child.try_wait()?;
        if status.is_none() {
            std::thread::sleep(Duration::from_millis(5).min(within.remaining()));
        }
    }
    // Who it has left running would hold its output open.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()?;
    let said = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    Ok(status.map(|status| (status.success(), said.0, said.1)))
}

fn read_all(stream: Option<impl io::Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = stream.map(|stream| stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
