//! What is told of a replica's replication, or of that of a cluster's head that follows: events of
//! the instance. They are told by whoever sees it, after it was seen: a process that dies between
//! the two tells nothing, and one that sees it again tells it again. It changes nothing else.

use types::ConfigurationView;

use crate::catalogue;
use crate::events::{self, Category, Telling};
use crate::model::ResourceId;
use crate::service::Service;

/// What is told, in RDS's words (RDS-EVENT-0045 and RDS-EVENT-0046) with the reason behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicationNews {
    /// Its source has no more of what it needs.
    Behind,
    /// It holds what its source hasn't, since that failed over to a standby that had less.
    Parted,
    /// It is given up, and copied anew.
    Reseeding,
    /// It was copied anew, and follows.
    Resumed,
    /// What it alone held doesn't fit its tail: its data are kept aside, and it is copied anew.
    SetAside,
}

impl ReplicationNews {
    fn text(self) -> &'static str {
        match self {
            ReplicationNews::Behind => {
                "Replication has stopped: write-ahead log that it needs has already been removed \
                 from its source."
            }
            ReplicationNews::Parted => {
                "Replication has stopped: it received more than the standby had that its source \
                 has failed over to."
            }
            ReplicationNews::Reseeding => {
                "Its source has given leave to copy it anew. Until that is done it can't be read."
            }
            ReplicationNews::SetAside => {
                "Not all that it alone held could be listed: its data are kept aside whole, and it \
                 is copied anew. \"causeway databases lost\" says where they are, and what isn't \
                 listed."
            }
            ReplicationNews::Resumed => "Replication for the Read Replica resumed.",
        }
    }
}

impl Service {
    /// Tells it of an instance. What can't be told is said in the log: nothing hangs on it.
    pub async fn tell_of_replication(&self, id: &ResourceId, news: ReplicationNews) {
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let Some((_, instance)) = catalogue::instance(view, id)? else {
                return Ok((Vec::new(), ()));
            };
            let told = Telling::of_instance(&instance, Category::ReadReplica, news.text());
            Ok((events::edits(view, now, vec![told]), ()))
        });
        if let Err(cause) = made.await {
            tracing::warn!(instance = %id, %cause, "an event of its replication isn't written");
        }
    }
}
