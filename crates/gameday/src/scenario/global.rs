//! Global clusters of a scenario: one PostgreSQL database in several Regions, of which one writes.
//! Plain values; making them and moving their writer is the runner's.

use serde::Serialize;
use types::{FaultTarget, Region, SiteName};

/// What keeps the orders, or rows, of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A table of items.
    Table,
    /// Buckets.
    Buckets,
    /// A global cluster of Aurora: made in its first Region, which is its first writer, with a
    /// cluster that follows in each of the others.
    GlobalCluster,
}

/// Another Region's cluster becomes the writer of a global cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct WriterMove {
    /// The global cluster's index among the scenario's tables.
    pub cluster: usize,
    /// Whose cluster is to be the writer; that Region is asked for it.
    pub to: Region,
    /// How.
    pub kind: MoveKind,
}

/// How the writer of a global cluster is moved: the two operations of RDS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// `SwitchoverGlobalCluster`: in order, with nothing lost.
    Switchover,
    /// `FailoverGlobalCluster`.
    Failover {
        /// May what the old writer alone has be lost? Without it the service switches over.
        allow_data_loss: bool,
    },
}

impl WriterMove {
    /// The site that is asked for it.
    pub(crate) fn asked(&self) -> FaultTarget {
        FaultTarget::Site(SiteName::Region(self.to))
    }

    /// What is done, as a line of a timeline.
    pub(super) fn describe(&self) -> String {
        let to = self.to;
        match self.kind {
            MoveKind::Switchover => format!("switch the global cluster over to {to}"),
            MoveKind::Failover {
                allow_data_loss: true,
            } => format!("fail the global cluster over to {to}, data loss allowed"),
            MoveKind::Failover {
                allow_data_loss: false,
            } => format!("fail the global cluster over to {to}"),
        }
    }
}
