//! The program in the guest. The driver writes it through the guest's shell and starts it in the shell's
//! place with `exec`; from then on standard input and output, the guest's console port, carry
//! `agent-protocol`. It runs commands as that shell would, several at once.
//!
//! One thread, one loop over `poll` ([`server`]): between two events the guest's CPU is free. It writes
//! nothing to the port but frames, and needs no file: its own it removes when it starts.

#![no_main]

mod bash;
mod card;
mod console;
mod direct;
mod entry;
mod kept;
mod lane;
mod look;
mod output;
mod plain;
mod port;
mod priority;
mod proc;
mod process;
mod request;
mod server;
mod spawn;
mod systemd;
mod warm;
mod watch;

use std::process::ExitCode;

use entry::Inherited;

/// What the command line asks for. Without arguments the agent serves.
fn run(inherited: Inherited) -> ExitCode {
    let asked = std::env::args_os().nth(1).unwrap_or_default();
    if asked == look::ARGUMENT {
        return look::look(inherited).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if asked == "--version" {
        // Asked before the agent takes the shell's place: after it there is none to go back to.
        let usable = process::supported();
        let line = match &usable {
            Ok(()) => format!("innkeeper agent {}\n", agent_protocol::VERSION),
            Err(error) => format!("the kernel has no pidfd_open ({error})\n"),
        };
        let written = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
        return if usable.is_ok() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match serve(inherited) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(&format!("innkeeper agent: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(inherited: Inherited) -> std::io::Result<()> {
    // A test that looks into this folder must find what it would find without us.
    if let Ok(own) = std::fs::read_link("/proc/self/exe") {
        // Nothing is lost if that fails: the file is in memory.
        let _ = std::fs::remove_file(own);
    }
    let port = port::Port::open()?;
    server::Server::new(port, inherited)?.serve()
}
