//! That a Region decided a failover which nobody had asked for: the last one of a global cluster.
//! It is a row of the council's configuration beside the global cluster's, written with the move.

use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::arn::ClusterArn;
use crate::shapes;

/// The last failover of a global cluster that was decided unasked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The move's number.
    pub number: u64,
    /// The writer that was silent.
    pub from: ClusterArn,
    /// The member that the role goes to: its Region decided.
    pub to: ClusterArn,
    /// When.
    pub decided: Timestamp,
    /// For how long no renewal of the writer's lease had been seen then, in milliseconds.
    pub silent_milliseconds: u64,
    /// The number of that last renewal.
    pub renewal: u64,
    /// The members that have decided since then: if it came to nothing none decides again before
    /// the writer was heard.
    pub tried: Vec<ClusterArn>,
}

impl Decision {
    /// It, in words that a user reads.
    pub fn words(&self) -> String {
        format!(
            "Global failover to DB cluster {} in Region {} was decided by that Region at {}: no \
             renewal of the lease of Region {} was seen for {}.{} s (move {}).",
            self.to.identifier,
            self.to.region,
            shapes::time(self.decided),
            self.from.region,
            self.silent_milliseconds / 1000,
            self.silent_milliseconds % 1000 / 100,
            self.number,
        )
    }
}
