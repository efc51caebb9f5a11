//! What systemd says about its units, as it happens: over D-Bus, with the few messages that this takes.
//!
//! No D-Bus library: each of them is larger than the whole agent, and wants a loop of its own. No bus
//! either: the manager itself serves a socket, for as long as it runs, from the initrd on.

pub(crate) mod connection;
pub(crate) mod message;
pub(crate) mod unit;

use std::fs;
use std::path::PathBuf;

/// The socket of a manager: the system's, or the one of a user.
pub(crate) fn socket(user: Option<&str>) -> Result<PathBuf, String> {
    let Some(user) = user else { return Ok("/run/systemd/private".into()) };
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let mut users = users.lines().map(|line| line.split(':'));
    // The name, the password, the number.
    let number = users.find_map(|mut fields| (fields.next() == Some(user)).then(|| fields.nth(1))?);
    match number.and_then(|number| number.parse::<u32>().ok()) {
        Some(number) => Ok(format!("/run/user/{number}/systemd/private").into()),
        None => Err(format!("there is no user `{user}` in /etc/passwd")),
    }
}
