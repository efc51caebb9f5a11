//! Network cards on VLANs: how QEMU is plugged in, and the facet that pulls the plugs.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use driver_core::vlan::Nic;
use driver_core::{Deadline, DriverError, Monitor as _, Network};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::command::Arguments;
use crate::config::{Options, VlanPort};
use crate::machine::QemuMachine;
use crate::{NAME, programs};

/// What QEMU calls the second card of a start script, which is its first on a VLAN (compat.md 1.5).
pub(crate) const START_SCRIPT_CARD: &str = "virtio-net-pci.1";

/// The name of the card that has this number, from one.
pub(crate) fn name(number: usize) -> String {
    format!("vlan{number}")
}

/// The best that each QEMU program has, asked once.
#[derive(Debug, Default)]
pub(crate) struct Ports(Mutex<HashMap<PathBuf, VlanPort>>);

impl Ports {
    /// How a machine is plugged in that was described with these options.
    pub(crate) async fn choose(&self, options: &Options) -> Result<VlanPort, DriverError> {
        if options.vlan_port != VlanPort::Auto {
            return Ok(options.vlan_port);
        }
        let program = programs::find(&options.binary)?;
        let mut known = self.0.lock().await;
        if let Some(port) = known.get(&program) {
            return Ok(*port);
        }
        let host = |problem: String, way_out: &str| DriverError::Host {
            backend: NAME.to_owned(),
            problem,
            way_out: way_out.to_owned(),
        };
        let shown = program.display();
        let said = backend_kit::programs::output(
            Command::new(&program).args(["-machine", "none", "-netdev", "help"]),
        )
        .await
        .map_err(|error| host(format!("`{shown}` does not say what networks it knows: {error}"), ""))?;
        let text = String::from_utf8_lossy(&said.stdout);
        let knows = |word: &str| text.lines().any(|line| line.trim() == word);
        let port = if knows("stream") {
            VlanPort::Stream
        } else if knows("vde") {
            VlanPort::Vde
        } else {
            let problem =
                format!("`{shown}` cannot be plugged into VLANs: it has neither `-netdev stream` nor `vde`");
            return Err(host(problem, "take QEMU 7.2 or later"));
        };
        known.insert(program, port);
        Ok(port)
    }
}

/// The cards of a machine, plugged in by `port`.
pub(crate) fn add_cards(arguments: &mut Arguments, nics: &[Nic], port: VlanPort) {
    for (nic, number) in nics.iter().zip(1..) {
        let (id, plug) = (name(number), &nic.plug);
        match port {
            VlanPort::Auto | VlanPort::Stream => {
                let before = format!("stream,id={id},server=off,addr.type=unix,addr.path=");
                arguments.path("-netdev", &before, &plug.stream, "");
            }
            VlanPort::Dgram => {
                let before = format!("dgram,id={id},local.type=unix,remote.type=unix,local.path=");
                let mut remote = OsString::from(",remote.path=");
                remote.push(crate::command::escape(plug.dgram.as_os_str()));
                arguments.path("-netdev", &before, &plug.dgram_peer, remote);
            }
            VlanPort::Vde => {
                arguments.path("-netdev", &format!("vde,id={id},sock="), &plug.vde, "");
            }
            VlanPort::VhostUser => {
                arguments
                    .path("-chardev", &format!("socket,id={id}-port,path="), &plug.vhost_user, "")
                    .option("-netdev", format!("vhost-user,id={id},chardev={id}-port"));
            }
        }
        // As the card that leads outside: without a boot ROM.
        arguments.option("-device", format!("virtio-net-pci,netdev={id},mac={},romfile=", nic.mac));
    }
}

/// The variables by which a start script finds the VLANs.
pub(crate) fn variables(nics: &[Nic]) -> impl Iterator<Item = (String, &Path)> {
    nics.iter().map(|nic| (format!("QEMU_VDE_SOCKET_{}", nic.vlan), nic.plug.vde.as_path()))
}

#[async_trait]
impl Network for QemuMachine {
    async fn set_link(&self, up: bool, within: Deadline) -> Result<(), DriverError> {
        if self.cards().is_empty() {
            let name = driver_core::Machine::name(self);
            return Err(DriverError::usage(format!("machine `{name}` has no network card on a VLAN")));
        }
        let operation = if up { "plug its network in" } else { "pull its network's plug" };
        for name in self.cards() {
            let command = qapi_qmp::set_link { name: name.clone(), up };
            self.execute(command, operation, within).await?;
        }
        Ok(())
    }

    async fn forward_port(&self, host: u16, guest: u16, within: Deadline) -> Result<(), DriverError> {
        let said = self.command(&format!("hostfwd_add tcp:127.0.0.1:{host}-:{guest}"), within).await?;
        match said.trim() {
            "" => Ok(()),
            // The monitor has no other way to fail than to say something.
            said => Err(DriverError::Control {
                machine: driver_core::Machine::name(self).to_owned(),
                operation: format!("forward port {host} of the host"),
                source: said.into(),
            }),
        }
    }
}
