//! How tables ask a peer Region whether it has a table of some name.

use std::sync::Arc;

use tables::{ExistingTable, GroupId, ProbeAnswer, ReplicaProbe, Unreachable};
use types::SiteId;

use crate::asking::Asking;
use crate::message::{Answer, Question};

/// Asks over the link.
pub(crate) struct Probe(pub Arc<Asking>);

impl ReplicaProbe for Probe {
    fn existing_table<'a>(&'a self, peer: SiteId, table: &'a str) -> ProbeAnswer<'a> {
        Box::pin(async move {
            let question = Question::TableExists {
                name: table.to_owned(),
            };
            let answer = self.0.ask(peer, question).await.map_err(|_| Unreachable)?;
            let Answer::TableExists { exists, group } = answer else {
                // Another answer than was asked for says nothing.
                return Err(Unreachable);
            };
            let group = (group != 0).then_some(GroupId(group));
            Ok(exists.then_some(ExistingTable { group }))
        })
    }
}
