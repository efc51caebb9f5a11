//! The cables of a machine: pulled out, plugged in again, and led outside.

use super::Node;
use crate::error::DriverError;
use crate::facet::Facet;

impl Node {
    /// Pulls the cables of the machine's cards on VLANs: the guest loses its carrier, and hears nothing any more.
    ///
    /// # Errors
    /// [`DriverError::LacksFacet`] by backends that cannot; [`DriverError::Usage`] when the machine is off.
    pub async fn block(&self) -> Result<(), DriverError> {
        self.set_link(false).await
    }

    /// Plugs the cables in again.
    ///
    /// # Errors
    /// As [`Node::block`].
    pub async fn unblock(&self) -> Result<(), DriverError> {
        self.set_link(true).await
    }

    async fn set_link(&self, up: bool) -> Result<(), DriverError> {
        let heading = if up { "plugging the network in" } else { "pulling the network's plug" };
        self.step(heading, async {
            let running = self.must_run("have its network's plug pulled")?;
            let network = running.machine.network().ok_or_else(|| self.lacks(Facet::Network))?;
            network.set_link(up, self.soon()).await
        })
        .await
    }

    /// Lets connections to a TCP port of the host's loopback through to a port of the guest, as long as the
    /// machine runs.
    ///
    /// # Errors
    /// As [`Node::block`]; [`DriverError::Control`] when the hypervisor cannot, such as for a port that is taken.
    pub async fn forward_port(&self, host_port: u16, guest_port: u16) -> Result<(), DriverError> {
        self.step(format!("forwarding port {host_port} of the host to port {guest_port}"), async {
            let running = self.must_run("have a port forwarded")?;
            let network = running.machine.network().ok_or_else(|| self.lacks(Facet::Network))?;
            network.forward_port(host_port, guest_port, self.soon()).await
        })
        .await
    }
}
