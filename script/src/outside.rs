//! What scripts of the NixOS driver read and change behind the verbs: machines that they make, the processes and the
//! directories of machines, the lines of their consoles one by one, variables of start scripts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use driver_core::event::Event;
use driver_core::verbs::{self, Verb};
use driver_core::{Door, Driver, Node, TerminalSize};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::wire::Refusal;

/// The methods of this module.
pub(crate) const METHODS: &[&str] = &[
    "machine",
    "set_machine",
    "console_line",
    "create_machine",
    "set_environment",
    "show_consoles",
    "open_door",
];

#[derive(Deserialize)]
struct About {
    machine: String,
}

#[derive(Deserialize)]
struct SetMachine {
    machine: String,
    /// Where the next launch runs.
    state_dir: Option<PathBuf>,
    /// `false`: the shell is lost.
    connected: Option<bool>,
    /// Whether a reboot restarts the next launch.
    allow_reboot: Option<bool>,
}

#[derive(Deserialize)]
struct ConsoleLine {
    machine: String,
    wait_s: f64,
}

#[derive(Deserialize)]
struct CreateMachine {
    name: String,
    command: String,
    #[serde(default)]
    keep: bool,
}

#[derive(Deserialize)]
struct SetEnvironment {
    /// By name; null: unset.
    variables: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct ShowConsoles {
    shown: bool,
}

#[derive(Deserialize)]
struct OpenDoor {
    machine: String,
    door: DoorKind,
    rows: Option<u16>,
    columns: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DoorKind {
    Shell,
    Console,
}

/// A machine as clients are told of it. `key` is what it is called by.
pub(crate) fn describe(driver: &Driver, node: &Node, key: &str) -> Value {
    json!({
        "name": node.name(),
        "key": key,
        "state_dir": node.state_dir(),
        "out_dir": driver.out_dir(),
        "tmp_dir": driver.state_base(),
        "shared_dir": driver.shared_dir(),
        "cannot": refusals(node),
    })
}

/// What to say of the verbs that the machine's backend cannot do, by their names.
fn refusals(node: &Node) -> BTreeMap<&'static str, String> {
    let refused = |verb: &'static Verb| Some((verb.name, node.refusal(verb)?.to_string()));
    verbs::table().filter_map(refused).collect()
}

/// Answers one of [`METHODS`].
pub(crate) async fn answer(driver: &Arc<Driver>, method: &str, params: Value) -> Result<Value, Refusal> {
    match method {
        "machine" => {
            let About { machine } = read(params)?;
            let node = find(driver, &machine)?;
            let (is_on, is_up) = (node.is_on(), node.is_up());
            let lines = node.console_lines_left();
            Ok(json!({ "pid": node.process_id(), "on": is_on, "up": is_up, "console_lines": lines }))
        }
        "set_machine" => {
            let SetMachine { machine, state_dir, connected, allow_reboot } = read(params)?;
            let node = find(driver, &machine)?;
            if let Some(dir) = state_dir {
                node.set_state_dir(dir);
            }
            if connected == Some(false) {
                node.disconnect().await;
            }
            if let Some(allow) = allow_reboot {
                node.set_allow_reboot(allow);
            }
            Ok(Value::Null)
        }
        "console_line" => {
            let ConsoleLine { machine, wait_s } = read(params)?;
            let node = find(driver, &machine)?;
            let wait = Duration::try_from_secs_f64(wait_s.max(0.0)).unwrap_or(Duration::MAX);
            tokio::select! {
                line = node.take_console_line(wait) => Ok(json!(line)),
                reason = driver.cancelled() => Err(driver_core::DriverError::Cancelled { reason }.into()),
            }
        }
        "create_machine" => {
            let CreateMachine { name, command, keep } = read(params)?;
            let key = driver.create_machine(&name, &command, keep)?;
            Ok(describe(driver, find(driver, &key)?.as_ref(), &key))
        }
        "set_environment" => {
            let SetEnvironment { variables } = read(params)?;
            driver.set_environment(variables);
            Ok(Value::Null)
        }
        "show_consoles" => {
            let ShowConsoles { shown } = read(params)?;
            driver.journal().emit(None, Event::ConsolesShown { shown });
            Ok(Value::Null)
        }
        "open_door" => {
            let OpenDoor { machine, door, rows, columns } = read(params)?;
            let usual = TerminalSize::default();
            let size =
                TerminalSize { rows: rows.unwrap_or(usual.rows), columns: columns.unwrap_or(usual.columns) };
            let door = match door {
                DoorKind::Shell => Door::Shell(size),
                DoorKind::Console => Door::Console,
            };
            Ok(json!(driver.open_door(&find(driver, &machine)?, door)?))
        }
        unknown => Err(Refusal::no_method(unknown)),
    }
}

fn find(driver: &Driver, name: &str) -> Result<Arc<Node>, Refusal> {
    driver.node(name).ok_or_else(|| Refusal::usage(format!("there is no machine `{name}`")))
}

fn read<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    T::deserialize(params).map_err(|error| Refusal::usage(error.to_string()))
}
