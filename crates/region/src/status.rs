//! What a Region says of itself, for `causeway status` and `causeway lag`.

use serde::{Deserialize, Serialize};
use store::Engine;
use types::{Region as Name, SiteName};

use crate::lag::{Lag, Latency};
use crate::objects::ObjectsStatus;
use crate::region::Region;
use crate::standing::IdentityStatus;

/// Names of tables in a status, at most.
const MAX_NAMES: usize = 1_000;

/// A Region's state at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The Region.
    pub region: Name,
    /// Its tables by name; those of other accounts than the first with their account before it.
    pub tables: Vec<String>,
    /// The council as it sees it.
    pub council: CouncilView,
    /// Who may call.
    pub identity: IdentityStatus,
    /// Its peers.
    pub peers: Vec<PeerStatus>,
    /// The newest position of its change log.
    pub log_head: u64,
    /// Positions the log still holds.
    pub log_length: u64,
    /// Writes that lost, in its ledger.
    pub conflicts: u64,
    /// Its objects.
    pub objects: ObjectsStatus,
}

/// The council as one site sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CouncilView {
    /// `leader`, `follower`, `candidate` or `listener`.
    pub role: String,
    /// The leader's site.
    pub leader: Option<SiteName>,
    /// The election term.
    pub term: u64,
    /// The settings' revision.
    pub revision: u64,
    /// Can changes be decided?
    pub majority: bool,
}

/// One peer as this Region sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The peer.
    pub site: SiteName,
    /// Is there a connection?
    pub connected: bool,
    /// The measured round trip in milliseconds.
    pub round_trip_milliseconds: Option<f64>,
    /// Its wall clock less ours in milliseconds.
    pub clock_offset_milliseconds: Option<i64>,
    /// Why replication from it stands still, if it does.
    pub trouble: Option<String>,
    /// Bytes that crossed to it, frames included.
    pub bytes_sent: u64,
    /// Messages and changes from it that made no sense, and were refused.
    pub refused_messages: u64,
}

impl<E: Engine> Region<E> {
    /// The Region's state now.
    pub fn status(&self) -> Status {
        let head = self.engine.log_head();
        let names = self.tables.catalogue().all_names(MAX_NAMES);
        let trimmed = *self.trimmed.lock().expect("nothing panics inside");
        Status {
            region: self.name,
            tables: names.iter().map(ToString::to_string).collect(),
            council: council_view(&self.council.status(), &self.config.deployment),
            identity: self.identity_status(),
            peers: self.peers.values().map(|peer| peer_status(peer)).collect(),
            log_head: head.0,
            log_length: head.0.saturating_sub(trimmed.0),
            conflicts: self.tables.ledger_size().rows,
            objects: self.objects_status(),
        }
    }

    /// How late each peer Region is with this Region's changes.
    pub fn lag(&self) -> Vec<Lag> {
        let wall = self.environment.now().wall;
        let head = self.engine.log_head().0;
        let regions = self
            .peers
            .values()
            .filter_map(|peer| Some((peer, peer.site.name.region()?)));
        regions
            .map(|(peer, to)| {
                let applied = peer
                    .shipper
                    .lock()
                    .expect("nothing panics inside")
                    .acknowledged();
                let measures = peer.measures.lock().expect("nothing panics inside");
                Lag {
                    from: self.name,
                    to,
                    connected: peer.port.is_connected(link::Lane::Changes),
                    backlog: applied.map(|applied| head.saturating_sub(applied.0)),
                    oldest_milliseconds: measures.oldest_age(wall),
                    head,
                    applied: applied.map(|applied| applied.0),
                    round_trip_milliseconds: peer
                        .port
                        .round_trip()
                        .map(types::Span::as_milliseconds),
                }
            })
            .collect()
    }

    /// How long each peer Region's changes took to get here.
    pub fn latencies(&self) -> Vec<Latency> {
        let regions = self
            .peers
            .values()
            .filter_map(|peer| Some((peer, peer.site.name.region()?)));
        regions
            .map(|(peer, from)| {
                let measures = peer.measures.lock().expect("nothing panics inside");
                Latency {
                    from,
                    to: self.name,
                    median_milliseconds: measures.latency(0.5),
                    p99_milliseconds: measures.latency(0.99),
                    applied: measures.records_applied,
                    parked_until: measures.parked_until,
                    trouble: measures.trouble.clone(),
                    clock_offset_milliseconds: measures.clock_offset,
                }
            })
            .collect()
    }

    /// What has crossed from this Region to each peer.
    pub fn traffic(&self) -> Vec<link::Traffic> {
        self.peers
            .values()
            .map(|peer| peer.port.traffic())
            .collect()
    }
}

/// A council's status in words that a report can print.
pub fn council_view(
    status: &council::CouncilStatus,
    deployment: &types::Deployment,
) -> CouncilView {
    let leader = status.leader.and_then(|leader| deployment.site(leader));
    CouncilView {
        role: format!("{:?}", status.role).to_lowercase(),
        leader: leader.map(|site| site.name),
        term: status.term,
        revision: status.revision,
        majority: status.majority,
    }
}

fn peer_status(peer: &crate::peer::Peer) -> PeerStatus {
    let measures = peer.measures.lock().expect("nothing panics inside");
    PeerStatus {
        site: peer.site.name,
        connected: peer.port.is_connected(link::Lane::Council),
        round_trip_milliseconds: peer.port.round_trip().map(types::Span::as_milliseconds),
        clock_offset_milliseconds: measures.clock_offset,
        trouble: measures.trouble.clone(),
        bytes_sent: peer.port.traffic().framed_bytes(),
        refused_messages: measures.refused_messages,
    }
}
