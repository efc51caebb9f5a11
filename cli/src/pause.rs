//! `--pause-on-failure`: the machines of a failed test stay up until somebody has seen enough.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use anyhow::ensure;
use driver_core::event::Level;
use driver_core::{Door, Driver, DriverError, Node, TerminalSize};

use crate::signals::Signals;

/// Says why nobody could end a pause, if it is so.
pub(crate) fn check() -> anyhow::Result<()> {
    ensure!(
        io::stdin().is_terminal(),
        "--pause-on-failure needs somebody at the keyboard, and standard input is no terminal (leave it out)"
    );
    Ok(())
}

/// Says how to reach each machine that is up, and waits for Enter, or for a signal.
pub(crate) async fn pause(driver: &Arc<Driver>, signals: &mut Signals) {
    let up: Vec<_> = driver.all_nodes().into_iter().filter(|node| node.is_on()).collect();
    let journal = driver.journal();
    if up.is_empty() {
        return journal.log(Level::Info, None, "not paused: no machine is up");
    }
    let mut told = "paused: the machines are up until you press Enter. From another terminal:".to_owned();
    for node in &up {
        match ways(driver, node) {
            // Writing to a string cannot fail.
            Ok(ways) => drop(write!(told, "\n{}:{ways}", node.name())),
            Err(error) => journal.log(Level::Warning, Some(node.name()), error.chain()),
        }
    }
    journal.log(Level::Info, None, told);
    let enter = tokio::task::spawn_blocking(|| io::stdin().read_line(&mut String::new()));
    tokio::select! {
        _ = enter => {}
        _ = signals.next() => {}
    }
}

/// The commands that reach a machine, each in a line of its own.
fn ways(driver: &Driver, node: &Arc<Node>) -> Result<String, DriverError> {
    let size = rustix::termios::tcgetwinsize(io::stdin()).ok().filter(|size| size.ws_row > 0);
    let size = size.map(|size| TerminalSize { rows: size.ws_row, columns: size.ws_col }).unwrap_or_default();
    let shell = driver.open_door(node, Door::Shell(size))?;
    let console = driver.open_door(node, Door::Console)?;
    let mut ways = format!(
        "\n  shell:   innkeeper attach {}\n  console: innkeeper attach {}",
        shell.display(),
        console.display()
    );
    let screen = node.state_dir().join(backend_qemu::VNC_SOCKET);
    if screen.exists() {
        let _ = write!(ways, "\n  screen:  vncviewer {}", screen.display());
    }
    Ok(ways)
}
