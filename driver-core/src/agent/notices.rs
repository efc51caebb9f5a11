//! What the agent says of something that it watches.

use agent_protocol::ToGuest;
use agent_protocol::message::{End, Notice, RequestId};
use tokio::sync::{mpsc, watch};

use super::actor::{Answer, Order};
use super::broken;
use crate::deadline::Deadline;
use crate::error::DriverError;

/// A watch under way. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Notices {
    machine: String,
    id: RequestId,
    within: Deadline,
    orders: mpsc::UnboundedSender<Order>,
    latest: watch::Receiver<Option<Answer>>,
}

/// The next that there is to know of something that is watched.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is so now.
    Notice(Notice),
    /// The guest cannot watch it, and why.
    Nothing(String),
    /// The time is over.
    Late,
}

impl Notices {
    pub(super) fn new(
        machine: String,
        id: RequestId,
        within: Deadline,
        orders: mpsc::UnboundedSender<Order>,
        latest: watch::Receiver<Option<Answer>>,
    ) -> Self {
        Self { machine, id, within, orders, latest }
    }

    /// Waits for what has not been said yet: first how it is, then how it is after each change. What was
    /// replaced before anybody asked is not said.
    ///
    /// # Errors
    /// [`DriverError::Shell`] when the agent is gone.
    pub(crate) async fn next(&mut self) -> Result<Told, DriverError> {
        let changed = tokio::time::timeout_at(self.within.instant(), self.latest.changed());
        match changed.await {
            Err(_) => return Ok(Told::Late),
            Ok(Err(_)) => return Err(broken(&self.machine, "is gone", None)),
            Ok(Ok(())) => {}
        }
        match &*self.latest.borrow_and_update() {
            Some(Answer::Noticed(notice)) => Ok(Told::Notice(notice.clone())),
            Some(Answer::Ended(Ok(End::Failed { reason }))) => Ok(Told::Nothing(reason.clone())),
            Some(Answer::Ended(Err(problem))) => Err(broken(&self.machine, problem, None)),
            _ => Ok(Told::Nothing("the agent ended the watch".to_owned())),
        }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        // An agent that is gone, or that has ended the watch, does not mind.
        let _ = self.orders.send(Order { message: ToGuest::Cancel { id: self.id }, answers: None });
    }
}
