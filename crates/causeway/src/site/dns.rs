//! DNS over a site's steering: answers for the servers' threads, and what the operator asks
//! about them. Everything is decided by `routing`; each query sees one snapshot.

use std::sync::Arc;

use routing::{Inquiry, Name, RecordKind, SmallRandom};
use runtime::{DnsQuery, Responder, Transport};
use serde_json::{Value, json};
use steering::{Steering, SteeringStatus};
use store::EmbeddedEngine;

use crate::protocol::ExplainQuestion;

/// Answers queries from what the site's steering serves.
pub(super) struct Answers {
    steering: Arc<Steering<EmbeddedEngine>>,
    seed: u64,
}

impl Answers {
    /// Answers of that steering; `seed` makes the threads' choices differ from other processes'.
    pub(super) fn of(steering: &Arc<Steering<EmbeddedEngine>>, seed: u64) -> Answers {
        Answers {
            steering: Arc::clone(steering),
            seed,
        }
    }
}

impl Responder for Answers {
    type State = SmallRandom;

    fn state(&self, thread: usize) -> SmallRandom {
        SmallRandom::new(self.seed.wrapping_add(thread as u64))
    }

    fn respond(
        &self,
        random: &mut SmallRandom,
        query: &DnsQuery<'_>,
        reply: &mut [u8],
    ) -> Option<usize> {
        let is_tcp = query.transport == Transport::Tcp;
        let packet = (query.packet, query.source, is_tcp);
        self.steering.node().reply(packet, random, reply)
    }
}

/// What a site's steering says of itself.
pub(super) fn status(status: &SteeringStatus) -> Value {
    let health = status.health.iter();
    let health = health.map(|(check, healthy)| json!({ "check": check, "healthy": healthy }));
    json!({
        "revision": status.revision,
        "zones": status.zones,
        "records": status.records,
        "health": health.collect::<Vec<_>>(),
    })
}

/// Every step of the answer to that question: as an object, and as lines for people.
pub(super) fn explain(
    steering: &Steering<EmbeddedEngine>,
    question: &ExplainQuestion,
) -> Result<Value, String> {
    let name = Name::parse(&question.name).map_err(|cause| cause.to_string())?;
    let kind = question.kind.to_ascii_uppercase();
    let kind: RecordKind = kind.parse().map_err(|_| {
        format!("'{kind}' is no type of record that is built: A, AAAA, CNAME, MX, NS, PTR, …")
    })?;
    let explanation = steering.explain(&Inquiry {
        name,
        kind,
        source: question.client,
        subnet: None,
    });
    let lines = explanation.lines();
    Ok(json!({ "explanation": explanation, "lines": lines }))
}
