//! An edge: its seat in the council, its steering and its ports. It is driven from outside: run
//! its tasks, move its links, have DNS answered from its steering. What comes in other lanes than
//! the council's and health's is taken off the link and put aside.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use council::{CouncilConfig, CouncilDriver, CouncilError, CouncilStatus, Settings, Timing};
use event_listener::Event;
use link::{Admission, Delivery, Lane, Plain, Port, PortError, Service};
use steering::{LinkWatch, Steering, SteeringOptions, SteeringStatus};
use store::Engine;
use types::{Deployment, Environment, Site, SiteId, SiteName, Span};

/// The tag of envelopes between sites that belong to no service. Regions use the same.
const SITE_SERVICE: Service = Service(0);

/// A task that runs as long as its edge.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an edge is told when it is opened.
pub struct EdgeConfig {
    /// The sites there are, this one among them.
    pub deployment: Deployment,
    /// This edge's site.
    pub site: SiteId,
    /// The deployment's largest round trip between sites, for the council's patience.
    pub largest_round_trip: Span,
    /// How it probes endpoints and finds places.
    pub steering: SteeringOptions,
}

/// Why an edge could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The site is no edge of the deployment.
    #[error("site {} is no edge of this deployment", .0.0)]
    NotAnEdge(SiteId),
    /// A port leads to a site that the deployment doesn't have.
    #[error("site {} is not in this deployment, but there is a port for it", .0.0)]
    UnknownPeer(SiteId),
    /// Its seat in the council can't be taken.
    #[error(transparent)]
    Council(#[from] CouncilError),
    /// Its steering can't be opened.
    #[error(transparent)]
    Steering(#[from] steering::OpenError),
}

/// One peer as this edge sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// The peer.
    pub site: SiteName,
    /// Is there a connection for the council?
    pub connected: bool,
    /// The measured round trip, while connected.
    pub round_trip: Option<Span>,
    /// Bytes that crossed to it, frames included.
    pub bytes_sent: u64,
}

/// How an edge is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EdgeStatus {
    /// Its name.
    pub site: SiteName,
    /// The council as it sees it.
    pub council: CouncilStatus,
    /// Its peers, in the order of their numbers.
    pub peers: Vec<PeerStatus>,
    /// What it answers from.
    pub steering: SteeringStatus,
    /// Envelopes that came in lanes an edge has no use for yet.
    pub put_aside: u64,
}

/// A running edge.
pub struct Edge<E: Engine> {
    site: Site,
    environment: Arc<dyn Environment>,
    council: Arc<CouncilDriver<E>>,
    steering: Arc<Steering<E>>,
    admission: Admission,
    peers: BTreeMap<SiteId, Peer>,
    put_aside: AtomicU64,
    failure: Mutex<Option<String>>,
    failed: Event,
}

struct Peer {
    site: Site,
    port: Arc<Port>,
}

impl<E: Engine> Edge<E> {
    /// Opens an edge on its database. `ports` holds one for each other site.
    ///
    /// # Errors
    /// The site is no edge, a port leads nowhere, or what its disk holds can't be used.
    pub async fn open(
        engine: E,
        config: EdgeConfig,
        environment: Arc<dyn Environment>,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Result<Arc<Edge<E>>, OpenError> {
        let site = config
            .deployment
            .site(config.site)
            .filter(|site| site.name.region().is_none())
            .ok_or(OpenError::NotAnEdge(config.site))?;
        let mut peers = BTreeMap::new();
        for (id, port) in &ports {
            let (id, port) = (*id, port.clone());
            let site = config
                .deployment
                .site(id)
                .ok_or(OpenError::UnknownPeer(id))?;
            peers.insert(id, Peer { site, port });
        }
        let seat = CouncilConfig {
            site: config.site,
            deployment: config.deployment.clone(),
            timing: Timing::for_round_trip(config.largest_round_trip),
        };
        let council = CouncilDriver::open(engine.clone(), seat, environment.clone()).await?;
        let steering = Steering::open(
            engine,
            council.clone(),
            (config.deployment, config.site),
            config.steering,
            environment.clone(),
            ports,
        )
        .await?;
        Ok(Arc::new(Edge {
            site,
            environment,
            council,
            steering,
            admission: Admission::open(),
            peers,
            put_aside: AtomicU64::new(0),
            failure: Mutex::default(),
            failed: Event::new(),
        }))
    }

    /// The tasks that make the edge live: each is to be run at the same time as the others,
    /// until the process ends.
    pub fn tasks(self: &Arc<Self>) -> Vec<Task> {
        let mut tasks: Vec<Task> = vec![Box::pin(self.clone().run_council())];
        tasks.extend(self.steering.tasks());
        for id in self.peers.keys() {
            tasks.push(Box::pin(self.clone().listen(*id)));
        }
        tasks
    }

    /// This edge's name.
    pub fn name(&self) -> SiteName {
        self.site.name
    }

    /// Its seat in the council.
    pub fn council(&self) -> &Arc<CouncilDriver<E>> {
        &self.council
    }

    /// What it answers from: there at once when it is opened, with nobody else to be heard.
    pub fn steering(&self) -> &Arc<Steering<E>> {
        &self.steering
    }

    /// The global configuration as it last heard of it; it stays in force when nobody is heard.
    pub fn settings(&self) -> Arc<Settings> {
        self.council.settings()
    }

    /// How it is.
    pub fn status(&self) -> EdgeStatus {
        let peers = self.peers.values().map(|peer| PeerStatus {
            site: peer.site.name,
            connected: peer.port.is_connected(Lane::Council),
            round_trip: peer.port.round_trip(),
            bytes_sent: peer.port.traffic().framed_bytes(),
        });
        EdgeStatus {
            site: self.site.name,
            council: self.council.status(),
            peers: peers.collect(),
            steering: self.steering.status(),
            put_aside: self.put_aside.load(Ordering::Relaxed),
        }
    }

    /// Ends when the edge can't go on, with the reason: the process must end then.
    pub async fn failed(&self) -> String {
        loop {
            let failed = self.failed.listen();
            if let Some(reason) = self.failure().clone() {
                return reason;
            }
            failed.await;
        }
    }

    async fn run_council(self: Arc<Self>) {
        let edge = self.clone();
        let outgoing = move |to: SiteId, payload: Bytes| edge.send(to, payload);
        if let Err(error) = self.council.clone().run(outgoing).await {
            tracing::error!(edge = %self.site.name, %error, "this edge can't go on");
            self.failure()
                .get_or_insert(format!("the council: {error}"));
            self.failed.notify(usize::MAX);
        }
    }

    fn send(&self, to: SiteId, payload: Bytes) {
        let Some(peer) = self.peers.get(&to) else {
            return;
        };
        let now = self.environment.now().monotonic;
        let sent = Plain::new(peer.site.name, Lane::Council, SITE_SERVICE, "", payload)
            .map_err(PortError::from)
            .and_then(|plain| peer.port.send(now, &self.admission, plain));
        if let Err(error) = sent {
            // The council repeats what matters; a lost message is the link's contract.
            tracing::trace!(peer = %peer.site.name, %error, "a council message was not sent");
        }
    }

    /// Takes what arrives from one peer to where it belongs.
    async fn listen(self: Arc<Self>, peer: SiteId) {
        let Some(peer) = self.peers.get(&peer) else {
            return;
        };
        let mut health = LinkWatch::default();
        loop {
            let bell = peer.port.site_bell();
            if health.has_changed(&peer.port) {
                self.steering.look_at_links();
            }
            while let Some(delivery) = peer.port.next_delivery() {
                self.deliver(peer, delivery);
            }
            bell.await;
        }
    }

    fn deliver(&self, peer: &Peer, delivery: Delivery) {
        let Delivery {
            lane,
            service,
            payload,
            receipt,
            ..
        } = delivery;
        let is_taken = match lane {
            Lane::Council => {
                self.council.receive(peer.site.id, payload);
                true
            }
            Lane::Health => self.steering.receive(peer.site.id, service, payload),
            Lane::Request => self.steering.receive_log(peer.site.id, service, payload),
            _ => false,
        };
        if !is_taken {
            self.put_aside.fetch_add(1, Ordering::Relaxed);
        }
        peer.port
            .consumed(self.environment.now().monotonic, receipt);
    }

    /// A panic elsewhere while the lock was held leaves plain data: it is still good to read.
    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
