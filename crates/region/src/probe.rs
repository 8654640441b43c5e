//! How tables ask a peer Region whether it has a table of some name.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tables::{ReplicaProbe, Unreachable};
use types::SiteId;

use crate::asking::Asking;
use crate::message::{Answer, Question};

pub(crate) struct Probe(pub Arc<Asking>);

impl ReplicaProbe for Probe {
    fn table_exists(&self, peer: SiteId, name: String) -> BoxFuture<'static, Result<bool, Unreachable>> {
        let asking = self.0.clone();
        Box::pin(async move {
            let answer = asking.ask(peer, Question::TableExists { name }).await;
            let Answer::TableExists { exists } = answer.map_err(|_| Unreachable)?;
            Ok(exists)
        })
    }
}
