//! Endpoints that may lead to several instances of a cluster: its reader endpoint and its custom
//! ones. Each session goes to one of those that may take it: to a reader that follows its head and
//! isn't far behind it, to the one with the fewest sessions among them; to the head where there is
//! none. What a session's server may do is judged as at that instance's own endpoint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use databases::model::{Cluster, ClusterId, EndpointId, ResourceId};
use databases::{CodecError, catalogue};
use runtime::{
    AnswerGate, Away, Backend, DatabaseEndpoint, EndpointDirectory, EndpointLimits, WriteForwarding,
};
use tokio::sync::OwnedSemaphorePermit;
use types::{ConfigurationView, Span};

use super::Around;
use super::door::{Behind, Doors};
use super::servers::lock;

/// A reader whose newest heartbeat is so much older than its head's is led to only if there is
/// nobody else: as old as a replica is that an alarm tells of.
const FAR_BEHIND: Span = Span::seconds(30);

/// PostgreSQL's `too_many_connections`.
const TOO_MANY: [u8; 5] = *b"53300";

/// PostgreSQL's `cannot_connect_now`.
const CANNOT_CONNECT_NOW: [u8; 5] = *b"57P03";

/// All of them in this process.
#[derive(Default)]
pub(super) struct Spreads {
    /// The endpoints of each instance that is kept.
    doors: Mutex<BTreeMap<ResourceId, Weak<Doors>>>,
    open: Mutex<BTreeMap<SocketAddr, Open>>,
}

/// One that is open, or should be.
struct Open {
    spread: Arc<Spread>,
    /// Why not, if it can't be listened on now.
    endpoint: Result<DatabaseEndpoint, String>,
}

/// Whom one leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Leads {
    cluster: ClusterId,
    /// The custom endpoint that it is; none: the cluster's reader endpoint.
    endpoint: Option<EndpointId>,
}

/// What is behind one.
struct Spread {
    around: Arc<Around>,
    leads: Leads,
    /// The sessions that go through it, as far as they haven't ended.
    sessions: Mutex<Vec<Weak<Session>>>,
    /// Counts sessions: among those that are alike each comes in turn.
    turn: AtomicUsize,
}

/// One session's server.
struct Session {
    id: ResourceId,
    behind: Arc<Behind>,
    _place: OwnedSemaphorePermit,
}

/// A session that goes nowhere.
struct Refused(Away);

impl Spreads {
    /// Those of an instance that is kept from now on.
    pub(super) fn add(&self, id: &ResourceId, doors: &Arc<Doors>) {
        let mut known = lock(&self.doors);
        known.retain(|_, doors| doors.strong_count() > 0);
        known.insert(id.clone(), Arc::downgrade(doors));
    }

    /// Listens where a cluster's rows say, if it doesn't yet, and nowhere else for that cluster.
    /// Gives why one of them can't be listened on.
    pub(super) fn open(&self, around: &Arc<Around>, cluster: &Cluster) -> Option<String> {
        // What is held is compared with what is newer than whatever opened it.
        let mut open = lock(&self.open);
        let view = around.region.regional_view();
        let wanted = match wanted(&*view, cluster) {
            Ok(wanted) => wanted,
            Err(cause) => {
                tracing::error!(%cause, "custom endpoints can't be read");
                return Some(format!("its custom endpoints can't be read: {cause}"));
            }
        };
        open.retain(|address, held| {
            let leads = &held.spread.leads;
            leads.cluster != cluster.resource_id || wanted.get(address) == Some(leads)
        });
        let mut trouble = None;
        for (address, leads) in wanted {
            let held = open.remove(&address);
            let held = held.filter(|held| held.spread.leads == leads);
            let held = match held {
                Some(held) if held.endpoint.is_ok() => held,
                held => Open::listen(around, (address, leads), held),
            };
            trouble = trouble.or(held.endpoint.as_ref().err().cloned());
            open.insert(address, held);
        }
        trouble
    }

    /// Closes those that no row says any more; their sessions end.
    pub(super) fn close_what_is_gone(&self, around: &Around) {
        let view = around.region.regional_view();
        let read = catalogue::clusters(&*view).and_then(|rows| {
            let mut all = BTreeMap::new();
            for (_, cluster) in rows {
                if cluster.instances().next().is_some() {
                    all.extend(wanted(&*view, &cluster)?);
                }
            }
            Ok(all)
        });
        match read {
            Ok(wanted) => lock(&self.open)
                .retain(|address, held| wanted.get(address) == Some(&held.spread.leads)),
            Err(cause) => tracing::error!(%cause, "clusters can't be read"),
        }
    }

    /// Ends the sessions that lead to that instance. Others that came through the same endpoint end
    /// with them: they may come again at once.
    pub(super) fn end_sessions_of(&self, id: &ResourceId) {
        for held in lock(&self.open).values() {
            if held.spread.count(id) > 0
                && let Ok(endpoint) = &held.endpoint
            {
                endpoint.end_connections();
            }
        }
    }

    /// Sessions that lead to that instance.
    pub(super) fn sessions_of(&self, id: &ResourceId) -> u64 {
        let open = lock(&self.open);
        open.values().map(|held| held.spread.count(id)).sum()
    }

    fn doors_of(&self, id: &ResourceId) -> Option<Arc<Doors>> {
        lock(&self.doors).get(id)?.upgrade()
    }
}

impl Open {
    /// Listens there, or tells why not; once for each cause, however often it is tried.
    fn listen(
        around: &Arc<Around>,
        (address, leads): (SocketAddr, Leads),
        before: Option<Open>,
    ) -> Open {
        let spread = Spread::of(around, leads);
        let limits = EndpointLimits::STANDARD;
        let listening = around.tls_at(address).and_then(|tls| {
            Ok(DatabaseEndpoint::listen(
                address,
                tls,
                spread.clone(),
                limits,
            )?)
        });
        let endpoint = listening.map_err(|cause| {
            let trouble = format!("its cluster's endpoint {address} can't be listened on: {cause}");
            let known = before.and_then(|before| before.endpoint.err());
            if known.as_ref() != Some(&trouble) {
                tracing::warn!(%address, %cause, "an endpoint isn't open");
            }
            trouble
        });
        Open { spread, endpoint }
    }
}

/// Where a cluster's endpoints that lead to several instances are, and whom each leads to.
fn wanted(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<BTreeMap<SocketAddr, Leads>, CodecError> {
    let leads = |endpoint| Leads {
        cluster: cluster.resource_id.clone(),
        endpoint,
    };
    let reader = (cluster.reader_address, cluster.port).into();
    let mut all = BTreeMap::from([(reader, leads(None))]);
    for (_, endpoint) in catalogue::endpoints_of(view, cluster)? {
        let address = (endpoint.address, cluster.port).into();
        all.insert(address, leads(Some(endpoint.resource_id)));
    }
    Ok(all)
}

/// How fit an instance is to take a session; the least is the fittest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fitness {
    /// A reader that follows, and isn't far behind.
    Follows,
    /// The head.
    Head,
    /// A reader that can be read, however old what it has is.
    Old,
}

/// One that may take a session.
struct Candidate {
    id: ResourceId,
    doors: Arc<Doors>,
    fitness: Fitness,
    sessions: u64,
}

impl Spread {
    fn of(around: &Arc<Around>, leads: Leads) -> Arc<Spread> {
        Arc::new(Spread {
            around: around.clone(),
            leads,
            sessions: Mutex::default(),
            turn: AtomicUsize::new(0),
        })
    }

    fn count(&self, id: &ResourceId) -> u64 {
        let sessions = lock(&self.sessions);
        let live = sessions.iter().filter_map(Weak::upgrade);
        live.filter(|session| session.id == *id).count() as u64
    }

    /// Those that may take a session, the fittest first.
    fn candidates(&self) -> Vec<Candidate> {
        let view = self.around.region.regional_view();
        let mut found = self.listed(&*view).unwrap_or_else(|cause| {
            tracing::error!(%cause, "nobody can tell where an endpoint leads");
            Vec::new()
        });
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = found.len().max(1);
        found.rotate_left(turn % count);
        found.sort_by_key(|candidate| (candidate.fitness, candidate.sessions));
        found
    }

    /// Those that it may lead to, and that may take a session.
    fn listed(&self, view: &dyn ConfigurationView) -> Result<Vec<Candidate>, CodecError> {
        let mut found = Vec::new();
        let Some((_, cluster)) = catalogue::cluster(view, &self.leads.cluster)? else {
            return Ok(found);
        };
        let custom = match &self.leads.endpoint {
            None => None,
            Some(id) => {
                let all = catalogue::endpoints_of(view, &cluster)?;
                let own = all
                    .into_iter()
                    .find(|(_, endpoint)| endpoint.resource_id == *id);
                let Some((_, own)) = own else {
                    return Ok(found);
                };
                Some(own)
            }
        };
        let head = cluster.head.as_ref();
        for id in cluster.instances() {
            let is_head = head == Some(id);
            let name = catalogue::instance(view, id)?.map(|(_, it)| it.arn.identifier);
            let leads = match (&custom, &name) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(custom), Some(name)) => custom.leads_to(name, is_head),
            };
            let doors = self.around.spreads.doors_of(id).filter(|_| leads);
            let Some(doors) = doors.filter(|doors| doors.is_open()) else {
                continue;
            };
            found.push(Candidate {
                id: id.clone(),
                fitness: match () {
                    // To a custom endpoint's head as to any other of its instances.
                    () if is_head && custom.is_none() => Fitness::Head,
                    () if is_head || self.is_near(id, head) => Fitness::Follows,
                    () => Fitness::Old,
                },
                sessions: doors.connections(),
                doors,
            });
        }
        Ok(found)
    }

    /// Does a reader follow, and isn't it far behind its head? Both heartbeats are by one clock.
    fn is_near(&self, id: &ResourceId, head: Option<&ResourceId>) -> bool {
        let servers = &self.around.servers;
        let look = |id: &ResourceId| servers.find(id).and_then(|seen| seen.state().look.clone());
        let Some(own) = look(id) else { return false };
        let heads = head
            .and_then(look)
            .and_then(|look| look.observation.heartbeat);
        let behind = heads.map_or(0, |heads| {
            let replayed = own.observation.heartbeat;
            replayed.map_or(u64::MAX, |replayed| heads.0.saturating_sub(replayed.0))
        });
        own.observation.receiving && behind <= FAR_BEHIND.0 / 1000
    }
}

impl EndpointDirectory for Spread {
    /// Each session has a server of its own: [`EndpointDirectory::of_session`].
    fn backend(&self) -> Backend {
        Backend::Away(Away {
            sqlstate: CANNOT_CONNECT_NOW,
            message: "the cluster has no instance that could take this session".to_owned(),
        })
    }

    fn of_session(&self) -> Option<Arc<dyn EndpointDirectory>> {
        let candidates = self.candidates();
        let is_full = !candidates.is_empty();
        for Candidate { id, doors, .. } in candidates {
            let Some((behind, place)) = doors.lead_in() else {
                continue;
            };
            let session = Arc::new(Session {
                id,
                behind,
                _place: place,
            });
            let mut sessions = lock(&self.sessions);
            sessions.retain(|session| session.strong_count() > 0);
            sessions.push(Arc::downgrade(&session));
            return Some(session);
        }
        is_full.then(|| {
            let refused: Arc<dyn EndpointDirectory> = Arc::new(Refused(Away {
                sqlstate: TOO_MANY,
                message: "sorry, too many clients already".to_owned(),
            }));
            refused
        })
    }

    fn cancels(&self) -> Vec<PathBuf> {
        let candidates = self.candidates();
        candidates.iter().map(|it| it.doors.socket()).collect()
    }
}

impl EndpointDirectory for Session {
    fn forwarding(&self) -> Option<Arc<dyn WriteForwarding>> {
        self.behind.forwarding()
    }

    fn backend(&self) -> Backend {
        self.behind.backend()
    }

    fn may_answer(&self) -> bool {
        self.behind.may_answer()
    }

    fn gate(&self) -> Option<&AnswerGate> {
        self.behind.gate()
    }
}

impl EndpointDirectory for Refused {
    fn backend(&self) -> Backend {
        Backend::Away(self.0.clone())
    }
}
