//! Where the program begins, ahead of what Rust's runtime would do: that ignores SIGPIPE, and whether the
//! shell ignored it before (systemd's services do) would be forgotten.

#![expect(unsafe_code, reason = "`main` has to be exported, and signals have no safe interface")]

/// What the agent was started with and its commands must find again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherited {
    /// Whether SIGPIPE was ignored.
    pub(crate) pipe_ignored: bool,
}

/// The entry point that the C library calls.
// SAFETY: the C library calls `main` once, and nothing else has this name.
#[unsafe(no_mangle)]
extern "C" fn main(_count: std::ffi::c_int, _words: *const *const std::ffi::c_char) -> std::ffi::c_int {
    let inherited = Inherited { pipe_ignored: ignore_pipe() };
    say_when_killed();
    std::ffi::c_int::from(crate::run(inherited) != std::process::ExitCode::SUCCESS)
}

/// Ignores SIGPIPE, for a command may end before it has read its input. Says whether it was ignored already.
fn ignore_pipe() -> bool {
    // SAFETY: SIG_IGN runs no code of ours.
    let old = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    old == libc::SIG_IGN
}

/// Has the signals that ask for our end tell the driver, which waits for answers. What we start finds them as
/// they were: `exec` takes our functions off, and what was ignored stays ignored.
fn say_when_killed() {
    let handler = killed as extern "C" fn(std::ffi::c_int) as libc::sighandler_t;
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `killed` does nothing that a signal may not do.
        let old = unsafe { libc::signal(signal, handler) };
        if old == libc::SIG_IGN {
            // SAFETY: as it was.
            unsafe { libc::signal(signal, old) };
        }
    }
}

/// Tells it, and ends with the status of the signal.
extern "C" fn killed(signal: std::ffi::c_int) {
    for words in ["\n", agent_protocol::message::KILLED, "\n"] {
        // SAFETY: a signal handler may write. Whether it succeeds is nobody's concern any more.
        unsafe { libc::write(1, words.as_ptr().cast(), words.len()) };
    }
    // SAFETY: likewise.
    unsafe { libc::_exit(128 + signal) }
}

/// Sets SIGPIPE as it was. Safe between fork and exec.
pub(crate) fn restore_pipe(inherited: Inherited) {
    let action = if inherited.pipe_ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: neither SIG_IGN nor SIG_DFL runs code of ours.
    unsafe { libc::signal(libc::SIGPIPE, action) };
}

/// Has a program that is to take our place find SIGPIPE as it was: `exec` of std sets it to its default.
pub(crate) fn keep_pipe(command: &mut std::process::Command, inherited: Inherited) {
    let restore = move || {
        restore_pipe(inherited);
        Ok(())
    };
    // SAFETY: nothing but a call of signal, between no fork and exec.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, restore) };
}
