//! That a cluster was made a writer without a majority of the sites: by `AllowDataLoss`, in its own
//! Region alone. It is a part of its cluster's row, since nobody else can be told. The row of the
//! global cluster, which the council alone changes, goes on naming another writer meanwhile.

use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{GlobalCluster, Move, MoveKind, ResourceId};
use crate::arn::ClusterArn;

/// Numbers from there on are of forced failovers; those of moves, handovers and epochs are less.
const FIRST: u64 = 1 << 40;

/// A forced failover that isn't settled yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forced {
    /// What tells it from any other of its cluster, and from moves: 2^40 at least.
    pub number: u64,
    /// The head that takes over.
    pub head: ResourceId,
    /// The epoch that the row of the global cluster was in, as it was last heard.
    pub epoch: u64,
    /// How many moves that row had had.
    pub moves: u64,
    /// The revision of the council's configuration in which that was read: an older one says
    /// nothing of it.
    pub revision: u64,
    /// Who writes by that row.
    pub from: ClusterArn,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Whose account asked for it, and as whom.
    pub by: String,
    /// Has the one who asked for it taken it back? Then it loses, whatever the council says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_taken_back: bool,
    /// How often the lease of the old writer's Region had been renewed, as it was last heard. Rows
    /// of an earlier build don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewals: Option<u64>,
    /// Does it lose without anybody's asking: the old writer went on with the majority, or the head
    /// has failed?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gives_way: bool,
}

/// What the council's row says of a forced failover. Rows never go back, so once it is over it
/// stays over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForcedStanding<'a> {
    /// Nothing that is as new as what it was judged by: nobody serves by that.
    Unknown,
    /// Nothing has changed: it goes on. Once a majority is heard it is asked for there, or gives
    /// way, if the old writer went on.
    Alone,
    /// The council carries it out as the failover that it is.
    Settling(&'a Move),
    /// It has become the council's writer, or others have moved on without it.
    Over,
}

impl Forced {
    /// The number of a cluster's `count`th one.
    pub(crate) fn number(count: u64) -> u64 {
        FIRST + count
    }

    /// Is that the number of a forced failover?
    pub fn is_number(number: u64) -> bool {
        number >= FIRST
    }

    /// Is it taken back by naming that cluster? The writer that it was to replace, unless it is
    /// lost already.
    pub(crate) fn can_be_taken_back(&self, to: &ClusterArn) -> bool {
        self.from == *to && !self.is_taken_back && !self.gives_way
    }

    /// How it stands, by the row of its global cluster in the council's configuration of that
    /// revision. `own`: its cluster.
    pub fn standing<'a>(
        &self,
        own: &ClusterArn,
        (revision, row): (u64, &'a GlobalCluster),
    ) -> ForcedStanding<'a> {
        if revision < self.revision {
            return ForcedStanding::Unknown;
        }
        let is_lost = self.is_taken_back || self.gives_way;
        // Of one without a head, which is being deleted then, nobody takes over. It may name a
        // reader that was to be the head.
        let has_head = row.member(own).is_some_and(|member| member.head.is_some());
        if is_lost || row.epoch != self.epoch || !has_head {
            return ForcedStanding::Over;
        }
        let is_next = |moving: &&Move| {
            moving.number == self.moves + 1
                && moving.kind == MoveKind::Failover
                && moving.to == *own
                && moving.from == self.from
        };
        match &row.moving {
            None if row.moves == self.moves && row.writer.as_ref() == Some(&self.from) => {
                ForcedStanding::Alone
            }
            moving => match moving.as_ref().filter(is_next) {
                Some(moving) => ForcedStanding::Settling(moving),
                None => ForcedStanding::Over,
            },
        }
    }

    /// It, in words that a user reads. `own`: its cluster.
    pub fn words(&self, own: &ClusterArn) -> String {
        format!(
            "DB cluster {} in Region {} was made a writer by force, without a majority of the \
             sites: DB cluster {} in Region {} may write as well. What one of the two loses is \
             listed once a majority is heard.",
            own.identifier, own.region, self.from.identifier, self.from.region
        )
    }
}
