//! The endpoints that lead to one instance: its own and, of a cluster's head, the cluster's writer
//! endpoint. Those that may lead to several are in `spreads`. They are open as long as the instance
//! and its zone are up. Where each connection goes is asked of rows and of how the server stands,
//! at that moment. Sessions that may go on no longer are ended, and nothing that they were answered
//! after that is passed on. What can't be listened on is told, and tried again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use databases::model::{Instance, ResourceId};
use databases::plan::Wanted;
use databases::{Fence, Serving, catalogue, serving, serving_cluster, serving_reader};
use runtime::{
    AnswerGate, Away, Backend, DatabaseEndpoint, EndpointDirectory, EndpointLimits, WriteForwarding,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{Environment, Monotonic, Span};

use super::Around;
use super::forwarding::Forwards;
use super::passing::{FOREVER, Passing};
use super::servers::{Seen, lock};

/// PostgreSQL's `cannot_connect_now`.
const CANNOT_CONNECT_NOW: [u8; 5] = *b"57P03";

/// Between two looks whether sessions may go on, if nothing is heard.
const LOOK: Span = Span::seconds(1);

/// Connections of a server that clients don't get: PostgreSQL's three for superusers, and two of
/// our own, as RDS keeps (`rds.rds_superuser_reserved_connections`). At a standby we are no
/// superuser.
const RESERVED: usize = 5;

/// What an endpoint is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The instance.
    Instance,
    /// The writer of its cluster.
    Writer,
}

/// The endpoints of one instance.
pub(super) struct Doors {
    around: Arc<Around>,
    places: Mutex<Places>,
    instance: Door,
    writer: Door,
    /// Why one that may lead to several of its cluster's instances isn't open, if it should be.
    shared: Mutex<Option<String>>,
}

/// One of them.
struct Door {
    behind: Arc<Behind>,
    open: Mutex<Open>,
}

/// Places for the sessions of all endpoints of one server.
struct Places {
    count: usize,
    free: Arc<Semaphore>,
}

impl Places {
    fn new(count: usize) -> Places {
        let free = Arc::new(Semaphore::new(count));
        Places { count, free }
    }
}

/// What is open of one.
#[derive(Default)]
struct Open {
    endpoint: Option<(SocketAddr, DatabaseEndpoint)>,
    trouble: Option<String>,
}

impl Doors {
    /// Closed yet.
    pub(super) fn new(
        around: &Arc<Around>,
        (id, home): (&ResourceId, &ResourceId),
        seen: &Arc<Seen>,
    ) -> Arc<Doors> {
        let door = |kind| Door {
            behind: Arc::new(Behind {
                around: around.clone(),
                id: id.clone(),
                home: home.clone(),
                seen: seen.clone(),
                kind,
                passing: Passing::new(),
            }),
            open: Mutex::default(),
        };
        Arc::new(Doors {
            around: around.clone(),
            places: Mutex::new(Places::new(EndpointLimits::STANDARD.sessions)),
            instance: door(Kind::Instance),
            writer: door(Kind::Writer),
            shared: Mutex::default(),
        })
    }

    /// Listens for a home of an instance if it is the primary's, as [`Doors::open`] does; else
    /// nothing listens for it.
    pub(super) fn keep(&self, wanted: &Wanted) {
        match wanted.standby() {
            None => self.open(&wanted.instance),
            Some(_) => self.close(),
        }
    }

    /// Listens where the rows say, from when this returns; it speaks TLS with clients that ask for
    /// it, if the lab has a certificate.
    fn open(&self, instance: &Instance) {
        let free = lock(&self.places).free.clone();
        let address = (instance.address, instance.port).into();
        self.instance.open(address, &free);
        let Some(headship) = &instance.headship else {
            return;
        };
        let view = self.around.region.regional_view();
        match catalogue::cluster(&*view, &headship.cluster) {
            Ok(Some((_, cluster))) => {
                match cluster.head.as_ref() == Some(&instance.resource_id) {
                    true => {
                        let writer = (cluster.writer_address, cluster.port).into();
                        self.writer.open(writer, &free);
                    }
                    false => self.writer.close(),
                }
                let trouble = self.around.spreads.open(&self.around, &cluster);
                *lock(&self.shared) = trouble;
            }
            Ok(None) | Err(_) => self.writer.close(),
        }
    }

    /// What is behind its own endpoint, for who leads there from another; and a place for a session
    /// there, unless none is left.
    pub(super) fn lead_in(&self) -> Option<(Arc<Behind>, OwnedSemaphorePermit)> {
        let free = lock(&self.places).free.clone();
        let place = free.try_acquire_owned().ok()?;
        Some((self.instance.behind.clone(), place))
    }

    /// May a connection to its own endpoint go to its server now?
    pub(super) fn is_open(&self) -> bool {
        let now = self.around.environment.now().monotonic;
        self.instance.behind.judge(now).serving == Serving::Open
    }

    /// The socket of its server.
    pub(super) fn socket(&self) -> std::path::PathBuf {
        self.instance.behind.seen.socket()
    }

    /// A server was started that takes so many connections: clients get what it keeps for nobody.
    /// They are to open anew if that is another number, when no session is left.
    pub(super) fn admit(&self, max_connections: usize) {
        let count = max_connections.saturating_sub(RESERVED).max(1);
        let mut places = lock(&self.places);
        if places.count != count {
            *places = Places::new(count);
            drop(places);
            self.close();
        }
    }

    /// Nothing listens there any more, and connections end.
    pub(super) fn close(&self) {
        self.all().into_iter().for_each(Door::close);
        *lock(&self.shared) = None;
    }

    /// Ends every session; new ones go where they may by then.
    pub(super) fn end_sessions(&self) {
        self.all().into_iter().for_each(Door::end_sessions);
        self.around.spreads.end_sessions_of(self.id());
    }

    /// Sessions that are open, also those that come through endpoints of its cluster.
    pub(super) fn connections(&self) -> u64 {
        let own: u64 = self.all().into_iter().map(Door::connections).sum();
        own + self.around.spreads.sessions_of(self.id())
    }

    fn id(&self) -> &ResourceId {
        &self.instance.behind.id
    }

    /// Why one of them isn't open, if it should be.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut troubles = self
            .all()
            .into_iter()
            .filter_map(|door| lock(&door.open).trouble.clone());
        troubles.next().or_else(|| lock(&self.shared).clone())
    }

    /// Ends the sessions of a cluster's head that may go on no longer, when the lease has run out
    /// or the role is taken away, until this is dropped.
    pub(super) async fn guard(self: Arc<Doors>, seen: Arc<Seen>) {
        let environment = self.around.environment.clone();
        let mut news = self.around.leases.news();
        let mut shown = seen.shown.subscribe();
        loop {
            news.borrow_and_update();
            shown.borrow_and_update();
            let now = environment.now().monotonic;
            let untils = self
                .all()
                .into_iter()
                .filter_map(|door| door.end_what_may_not_go_on(now));
            let next = untils.fold(now + LOOK, Monotonic::min);
            tokio::select! {
                () = environment.sleep_until(next) => {}
                _ = news.changed() => {}
                _ = shown.changed() => {}
            }
        }
    }

    fn all(&self) -> [&Door; 2] {
        [&self.instance, &self.writer]
    }
}

impl Door {
    fn open(&self, address: SocketAddr, free: &Arc<Semaphore>) {
        let mut open = lock(&self.open);
        if open.endpoint.as_ref().is_some_and(|(at, _)| *at == address) {
            return;
        }
        open.endpoint = None;
        let limits = EndpointLimits::STANDARD;
        let listening = self.behind.around.tls_at(address).and_then(|tls| {
            let (behind, free) = (self.behind.clone(), free.clone());
            Ok(DatabaseEndpoint::listen_with(
                address, tls, behind, limits, free,
            )?)
        });
        match listening {
            Ok(endpoint) => {
                open.endpoint = Some((address, endpoint));
                open.trouble = None;
            }
            Err(cause) => {
                let trouble = format!("its endpoint can't be listened on: {cause}");
                if open.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(%address, %cause, "a database's endpoint isn't open");
                }
                open.trouble = Some(trouble);
            }
        }
    }

    fn close(&self) {
        *lock(&self.open) = Open::default();
    }

    fn end_sessions(&self) {
        self.behind.passing.end();
        if let Some((_, endpoint)) = &lock(&self.open).endpoint {
            endpoint.end_connections();
        }
    }

    fn connections(&self) -> u64 {
        let open = lock(&self.open);
        let endpoint = open.endpoint.as_ref();
        endpoint.map_or(0, |(_, endpoint)| endpoint.counts().open)
    }

    /// Ends its sessions if they may not go on; else until when they may, if that is known.
    fn end_what_may_not_go_on(&self, now: Monotonic) -> Option<Monotonic> {
        let verdict = self.behind.judge(now);
        if !verdict.is_guarded {
            return None;
        }
        match verdict.serving {
            Serving::Open => Some(verdict.until).filter(|until| *until > now),
            Serving::Away { .. } => {
                if self.connections() > 0 {
                    tracing::info!(instance = %self.behind.id, kind = ?self.behind.kind,
                        "the sessions of a database's endpoint end");
                }
                self.end_sessions();
                if self.behind.kind == Kind::Instance {
                    let spreads = &self.behind.around.spreads;
                    spreads.end_sessions_of(&self.behind.id);
                }
                None
            }
        }
    }
}

/// What is behind an endpoint.
pub(super) struct Behind {
    around: Arc<Around>,
    id: ResourceId,
    /// The home whose server it is.
    home: ResourceId,
    seen: Arc<Seen>,
    kind: Kind,
    /// Until when what its server answers may be passed on without asking again.
    passing: Passing,
}

/// Where connections go, and for how long.
struct Verdict {
    serving: Serving,
    /// If it is open: until when, unless something changes.
    until: Monotonic,
    /// Is it of a cluster's head, whose sessions are ended when they may go on no longer?
    is_guarded: bool,
}

impl Behind {
    /// Where connections may go at that time.
    fn judge(&self, now: Monotonic) -> Verdict {
        let view = self.around.region.regional_view();
        let until = FOREVER;
        let shut = |is_guarded| Verdict {
            serving: Serving::Away {
                sqlstate: CANNOT_CONNECT_NOW,
                message: "the database system is shutting down",
            },
            until,
            is_guarded,
        };
        let instance = match catalogue::instance(&*view, &self.id) {
            Ok(Some((_, instance))) if *instance.home() == self.home => instance,
            Ok(None) => return shut(false),
            // Its other home is the primary's now; or it may be a head's.
            Ok(Some(_)) | Err(_) => return shut(true),
        };
        let standing = self.seen.state().standing.clone();
        let Some(headship) = &instance.headship else {
            return Verdict {
                serving: serving(&instance, Some(&standing)),
                until,
                is_guarded: false,
            };
        };
        let Ok(Some((_, cluster))) = catalogue::cluster(&*view, &headship.cluster) else {
            return shut(true);
        };
        if cluster.has_reader(&self.id) && self.kind == Kind::Instance {
            return Verdict {
                serving: serving_reader(&instance, Some(&standing)),
                until,
                is_guarded: false,
            };
        }
        if cluster.head.as_ref() != Some(&self.id) {
            return shut(true);
        }
        // First the lease: the configuration is at least as new as its renewal then.
        let lease = self.around.leases.lease();
        let global = self.around.region.global_view();
        let fence = Fence {
            view: &*global,
            lease: &lease,
            now,
        };
        let head = Some((&instance, Some(&standing)));
        let served = match serving_cluster(&cluster, head, fence) {
            Ok(served) => served,
            Err(cause) => {
                tracing::error!(instance = %self.id, %cause, "a cluster can't be served");
                return shut(true);
            }
        };
        // A server whose cluster's writer endpoint is shut takes no writes.
        let member = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id);
        let is_member = !matches!(member, Ok(None)) && !served.is_forced;
        let by_lease = served.writer == Serving::Open && is_member;
        Verdict {
            serving: match self.kind {
                Kind::Writer => served.writer,
                Kind::Instance => served.reader,
            },
            until: match lease.until().filter(|_| by_lease) {
                Some(until) => until,
                None => until,
            },
            is_guarded: true,
        }
    }
}

impl EndpointDirectory for Behind {
    fn forwarding(&self) -> Option<Arc<dyn WriteForwarding>> {
        match self.kind {
            Kind::Instance => Forwards::of(&self.around, &self.id, &self.seen),
            Kind::Writer => None,
        }
    }

    fn gate(&self) -> Option<&AnswerGate> {
        Some(self.seen.followers.gate())
    }

    fn backend(&self) -> Backend {
        let now = self.around.environment.now().monotonic;
        match self.judge(now).serving {
            Serving::Open => Backend::Server {
                socket: self.seen.socket(),
            },
            Serving::Away { sqlstate, message } => Backend::Away(Away {
                sqlstate,
                message: message.to_owned(),
            }),
        }
    }

    fn may_answer(&self) -> bool {
        let now = self.around.environment.now().monotonic;
        let known = self.passing.known();
        if known.lasts(now) {
            return true;
        }
        let verdict = self.judge(now);
        // A server says why it ends a session of an instance that is no cluster's.
        let is_open = verdict.serving == Serving::Open || !verdict.is_guarded;
        // Never for long: who waits to take over waits longer than this. And not over what was
        // decided meanwhile.
        let until = match verdict.is_guarded {
            true => verdict.until.min(now + LOOK),
            false => verdict.until,
        };
        is_open && (self.passing.extend(known, until) || !verdict.is_guarded)
    }
}
