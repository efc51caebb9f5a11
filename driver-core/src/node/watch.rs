//! Waits for what the guest tells by itself. Where it cannot, the caller looks by a command.

use std::ops::ControlFlow;
use std::time::Duration;

use agent_protocol::message::{Notice, Watch};

use super::Node;
use crate::agent::Told;
use crate::channel::Channel;
use crate::deadline::Deadline;
use crate::error::DriverError;
use crate::wait::within;

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
        let judge = |notice| Ok(judge(notice)?.map_or(ControlFlow::Continue(None), ControlFlow::Break));
        self.noticed_in_time(watch, deadline, judge).await
    }

    /// [`Node::noticed`] with a `judge` that can say after what time it wants to judge the same again, if
    /// nothing has changed by then.
    pub(super) async fn noticed_in_time<T>(
        &self,
        watch: Watch,
        deadline: Deadline,
        mut judge: impl FnMut(Notice) -> Result<ControlFlow<T, Option<Duration>>, DriverError>,
    ) -> Result<Option<T>, DriverError> {
        let running = self.connected().await?;
        let channel = running.line.channel();
        let Channel::Agent(agent) = &*channel else { return Ok(None) };
        let during = named(&watch);
        let told = async {
            let mut notices = agent.watch(watch, deadline)?;
            let (mut latest, mut pause) = (None, Duration::MAX);
            loop {
                match within(Deadline::after(pause), notices.next()).await.transpose()? {
                    Some(Told::Notice(notice)) => latest = Some(notice),
                    Some(Told::Nothing(reason)) => {
                        tracing::debug!(machine = self.name(), reason, "no notices");
                        return Ok(None);
                    }
                    Some(Told::Late) => return Ok(None),
                    None => {}
                }
                let Some(notice) = latest.clone() else { continue };
                match judge(notice)? {
                    ControlFlow::Break(found) => return Ok(Some(found)),
                    ControlFlow::Continue(again) => pause = again.unwrap_or(Duration::MAX),
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

/// What is being done while it is watched, for messages.
fn named(watch: &Watch) -> String {
    let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    match watch {
        Watch::File { path: file } => format!("watching `{}`", path(file)),
        Watch::Port { address, port } => format!("watching TCP port {port} on {address}"),
        Watch::UnixSocket { path: socket, .. } => format!("watching the socket `{}`", path(socket)),
        Watch::Process { pid } => format!("watching process {pid}"),
        Watch::Unit { name, .. } => format!("watching unit {name}"),
        Watch::Terminal { number: Some(number) } => format!("watching terminal {number}"),
        Watch::Terminal { number: None } => "watching the terminal in the foreground".to_owned(),
    }
}
