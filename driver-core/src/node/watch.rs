//! Waits for what the guest tells by itself. Where it cannot, the caller looks by a command.

use agent_protocol::message::{Notice, Watch};

use super::Node;
use crate::agent::Told;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;

impl Node {
    /// Waits until `judge` makes something of what the guest tells about `watch`. `None` when it tells
    /// nothing (it has no agent, the agent cannot watch this or is gone) or the time is over: then a look
    /// by a command decides. Boots the machine if it is off.
    pub(super) async fn noticed<T>(
        &self,
        watch: Watch,
        deadline: Deadline,
        mut judge: impl FnMut(Notice) -> Result<Option<T>, DriverError>,
    ) -> Result<Option<T>, DriverError> {
        let running = self.connected().await?;
        let channel = running.line.channel();
        let Channel::Agent(agent) = &*channel else { return Ok(None) };
        let during = format!("watching {watch:?}");
        let told = async {
            let mut notices = agent.watch(watch, deadline)?;
            loop {
                match notices.next().await? {
                    Told::Notice(notice) => {
                        if let Some(found) = judge(notice)? {
                            return Ok(Some(found));
                        }
                    }
                    Told::Nothing(reason) => {
                        tracing::debug!(machine = self.name(), reason, "no notices");
                        return Ok(None);
                    }
                    Told::Late => return Ok(None),
                }
            }
        };
        match self.while_it_runs(&running, || during.clone(), told).await {
            // The guest may have rebooted, and come back with what is waited for.
            Err(DriverError::Shell { problem, .. }) => {
                tracing::debug!(machine = self.name(), problem, "no notices any more");
                Ok(None)
            }
            other => other,
        }
    }
}
