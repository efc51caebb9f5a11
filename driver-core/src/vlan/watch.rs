//! Packets that a test waits for.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Packet, PacketWatch, PortStats, Vlan};
use crate::deadline::Deadline;
use crate::error::DriverError;

impl Vlan {
    /// Looks out, from now on, for the first packet that fits a filter (docs/networks.md).
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a filter that cannot be understood.
    pub fn expect_packet(self: &Arc<Self>, filter: &str) -> Result<ExpectedPacket, DriverError> {
        let watch = self.switch().watch(filter)?;
        let (vlan, filter, before) = (Arc::clone(self), filter.to_owned(), self.stats());
        Ok(ExpectedPacket { vlan, filter, watch, before })
    }

    /// Waits for the next packet that fits a filter.
    ///
    /// # Errors
    /// As [`Vlan::expect_packet`] and [`ExpectedPacket::seen`].
    pub async fn wait_for_packet(
        self: &Arc<Self>,
        filter: &str,
        timeout: Duration,
    ) -> Result<Packet, DriverError> {
        self.expect_packet(filter)?.seen(timeout).await
    }
}

/// A packet that somebody looks out for. Dropping it ends that.
#[derive(Debug)]
pub struct ExpectedPacket {
    vlan: Arc<Vlan>,
    filter: String,
    watch: Box<dyn PacketWatch>,
    /// What had passed when the watch began.
    before: Vec<PortStats>,
}

impl ExpectedPacket {
    /// Waits for the packet, unless it has come already.
    ///
    /// # Errors
    /// [`DriverError::Assertion`] when it does not come in time; says what passed instead.
    pub async fn seen(mut self, timeout: Duration) -> Result<Packet, DriverError> {
        let (journal, number) = (self.vlan.journal.clone(), self.vlan.number());
        let heading = format!("waiting for a packet on vlan {number}: {}", self.filter);
        journal
            .wait_step(None, heading, timeout, async {
                match self.watch.seen(Deadline::after(timeout)).await {
                    Some(packet) => Ok(packet),
                    None => Err(DriverError::assertion(format!(
                        "no packet on vlan {number} fitted `{}` within {timeout:?} ({})",
                        self.filter,
                        self.passed_instead()
                    ))),
                }
            })
            .await
    }

    fn passed_instead(&self) -> String {
        let earlier = |port: &str| {
            let before = self.before.iter().find(|before| before.port == port);
            before.map_or(0, |before| before.sent_frames)
        };
        let mut text = String::new();
        for port in self.vlan.stats() {
            let frames = port.sent_frames.saturating_sub(earlier(&port.port));
            if frames > 0 {
                let start = if text.is_empty() { "meanwhile passed" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(text, "{start} {frames} from {}", port.port);
            }
        }
        if text.is_empty() {
            return "nothing passed meanwhile".to_owned();
        }
        if let Some(packet) = self.watch.missed() {
            let _ = write!(text, "; the last one from {}: {}", packet.port, packet.summary);
        }
        text
    }
}
