//! Machines that the script makes while it runs (compat.md 1.5): each of a start script or a command line of its own.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Driver, MachineConfig};
use crate::error::DriverError;
use crate::image::Image;
use crate::machine::Backend;
use crate::node::Node;
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

impl Driver {
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
