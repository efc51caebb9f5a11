//! Machines that the script makes while it runs (compat.md 1.5): each of a start script or a command line of its own.
//! And the variables that it sets for start scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Driver, MachineConfig};
use crate::error::DriverError;
use crate::image::Image;
use crate::machine::Backend;
use crate::node::Node;
use crate::shell::quote;
use crate::spec::Boot;
use crate::vlan::{MacAddress, Nic, Plug};

/// What the script has made so far.
#[derive(Debug)]
pub(super) struct Created {
    backend: Option<(Arc<dyn Backend>, serde_json::Value)>,
    nodes: Mutex<Vec<(String, Arc<Node>)>>,
}

impl Created {
    pub(super) fn new(backend: Option<(Arc<dyn Backend>, serde_json::Value)>) -> Self {
        Self { backend, nodes: Mutex::default() }
    }

    pub(super) fn node(&self, key: &str) -> Option<Arc<Node>> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|(known, _)| known == key).map(|(_, node)| Arc::clone(node))
    }

    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().map(|(_, node)| Arc::clone(node)).collect()
    }
}

/// What start scripts are told by the driver in variables.
const TOLD: [&str; 4] = ["TMPDIR", "USE_TMPDIR", "SHARED_DIR", "NIX_EFI_VARS"];
const TOLD_OF_VLANS: &str = "QEMU_VDE_SOCKET_";

/// Variables that the script has set for start scripts; `None`: unset.
#[derive(Debug, Default)]
pub(crate) struct Environment(Mutex<BTreeMap<String, Option<String>>>);

impl Environment {
    /// The shell command with these variables.
    pub(crate) fn around(&self, command: &str) -> String {
        let mut text = String::new();
        for (name, value) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Writing to a string cannot fail.
            let _ = match value {
                Some(value) => write!(text, "export {name}={}; ", quote(value)),
                None => write!(text, "unset {name}; "),
            };
        }
        text + command
    }
}

/// Whether a variable can be handed to a start script by its shell, and is the script's to set.
fn is_free(name: &str) -> bool {
    let is_name =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(char::is_numeric);
    is_name && !name.is_empty() && !TOLD.contains(&name) && !name.starts_with(TOLD_OF_VLANS)
}

impl Driver {
    /// Has the start scripts of later launches find variables, or (`None`) not find them. What the driver itself tells
    /// them by variables stays as it is.
    pub fn set_environment(&self, changes: BTreeMap<String, Option<String>>) {
        let changes = changes.into_iter().filter(|(name, _)| is_free(name));
        self.context.environment.0.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
    }

    /// Makes a machine that is started by a shell command, such as a start script, and returns what [`Driver::node`]
    /// knows it by: its name, or more than that where another has the name already. It is ended with the run.
    /// `keep`: it finds the disks that a machine of its name has left.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a name that is no file name, or when nobody runs start scripts here;
    /// [`DriverError::File`] when its directory cannot be made.
    pub fn create_machine(&self, name: &str, command: &str, keep: bool) -> Result<String, DriverError> {
        let nobody = || DriverError::usage("no machines can be made here (nobody runs start scripts)");
        let (backend, options) = self.created.backend.clone().ok_or_else(nobody)?;
        if name.is_empty() || name == ".." || name.contains(['/', '\0']) {
            return Err(DriverError::usage(format!("a machine cannot be called `{name}`")));
        }
        let mut nodes = self.created.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let namesakes: Vec<_> = self
            .nodes
            .iter()
            .chain(nodes.iter().map(|(_, node)| node))
            .filter(|node| node.name() == name)
            .collect();
        let key = if namesakes.is_empty() { name.to_owned() } else { format!("{name}#{}", nodes.len() + 2) };
        // A directory in use is left alone: what runs in it would lose its disks.
        let folder = if namesakes.iter().any(|node| node.is_on()) { &key } else { name };
        let state_dir = self.states.make_or_keep(folder, keep, self.journal())?;
        let boot = Boot::StartScript { command: command.to_owned() };
        let image = Image { boot, memory_mib: None };
        let config = MachineConfig { options, ..MachineConfig::new(name, backend, image) };
        let shared_dir = self.states.shared_dir().to_owned();
        let node = Node::new(config, state_dir, shared_dir, self.outlets(), Arc::clone(&self.context));
        nodes.push((key.clone(), node));
        Ok(key)
    }

    /// Every VLAN, for a machine whose command may name any of them. None of the ports is its own.
    fn outlets(&self) -> Vec<Nic> {
        let nic = |vlan: &Arc<crate::vlan::Vlan>| {
            let vde = vlan.socket_dir().to_owned();
            let none = std::path::PathBuf::new;
            let plug = Plug { stream: none(), dgram: none(), dgram_peer: none(), vde, vhost_user: none() };
            Nic { vlan: vlan.number(), mac: MacAddress([0; 6]), plug }
        };
        self.vlans.iter().map(nic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, is_free};

    #[test]
    fn variables_are_set_for_the_shell() {
        let environment = Environment::default();
        assert_eq!(environment.around("run-x-vm"), "run-x-vm");
        let set = [("A".to_owned(), Some("it's $x".to_owned())), ("B".to_owned(), None)];
        environment.0.lock().unwrap().extend(set);
        assert_eq!(environment.around("run-x-vm"), "export A='it'\"'\"'s $x'; unset B; run-x-vm");
    }

    #[test]
    fn what_the_driver_tells_and_what_is_no_name_is_left_alone() {
        for (name, free) in [("NIX_DISK_IMAGE", true), ("_x1", true), ("QEMU_OPTS", true), ("TMPDIR", false)]
        {
            assert_eq!(is_free(name), free, "{name}");
        }
        for name in ["QEMU_VDE_SOCKET_1", "", "1x", "A;reboot", "A B"] {
            assert!(!is_free(name), "{name}");
        }
    }
}
