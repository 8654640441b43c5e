//! One Region: a share-nothing value made of its services, its place in the council and a port
//! for each peer. It is driven from outside: give it requests, run its tasks, move its links.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use aws::signature::Verifier;
use bytes::Bytes;
use council::{CouncilConfig, CouncilDriver, Timing};
use event_listener::Event;
use identity::{Bootstrap, RootKeys, Sealer};
use link::{Admission, Class, Delivery, Lane, Plain, Port, Service};
use steering::{LinkWatch, Steering, SteeringOptions};
use store::{Batch, Engine, LogPosition, Snapshot, Space};
use tables::{Tables, TablesConfig};
use types::{AccountId, Deployment, Environment, SiteId};

use crate::asking::{Asking, REGION_SERVICE};
use crate::error::OpenError;
use crate::message::{Answer, LogId, Message, Question, cursor_key, decode_cursor};
use crate::peer::Peer;
use crate::planted::PlantedBug;
use crate::probe::Probe;
use crate::receiver::Cursor;
use crate::route53::Nodes;
use crate::shipper::CursorNews;
use crate::standing::Standing;

/// The tag of tables in the change log and on envelopes.
pub(crate) const TABLES: u8 = 1;

/// The key in `Space::Meta` of the log's identity.
const LOG_KEY: &str = "region/log";

/// A task that runs as long as its Region.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a Region is told when it is opened.
#[derive(Clone)]
pub struct RegionConfig {
    /// The sites there are, this one among them.
    pub deployment: Deployment,
    /// This Region's site.
    pub site: SiteId,
    /// The first account, whose root keys are the operator's.
    pub account: AccountId,
    /// The deployment's largest round trip between sites, for the council's patience.
    pub largest_round_trip: types::Span,
    /// A planted bug: for the simulation only.
    pub planted: Option<PlantedBug>,
    /// A bug planted in tables: for the simulation only.
    pub planted_in_tables: Option<tables::PlantedBug>,
}

/// What a Region is given that is written down nowhere in its database.
#[derive(Clone, Debug)]
pub struct RegionSecrets {
    /// The first account's root keys: accepted until the configuration holds some.
    pub root_keys: RootKeys,
    /// Seals and opens the secrets at rest with the operator's key.
    pub sealer: Arc<Sealer>,
}

impl RegionConfig {
    fn tables(&self, region: types::Region, environment: &Arc<dyn Environment>) -> TablesConfig {
        TablesConfig {
            deployment: self.deployment.clone(),
            site: self.site,
            region,
            environment: environment.clone(),
            planted: self.planted_in_tables,
        }
    }

    fn seat(&self) -> CouncilConfig {
        CouncilConfig {
            site: self.site,
            deployment: self.deployment.clone(),
            timing: Timing::for_round_trip(self.largest_round_trip),
        }
    }
}

/// A running Region.
pub struct Region<E: Engine> {
    pub(crate) config: RegionConfig,
    pub(crate) name: types::Region,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) engine: E,
    pub(crate) log: LogId,
    pub(crate) tables: Arc<Tables<E>>,
    pub(crate) council: Arc<CouncilDriver<E>>,
    pub(crate) steering: Arc<Steering<E>>,
    pub(crate) routing: routing::Service,
    pub(crate) directory: identity::Service,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) standing: Arc<Standing>,
    pub(crate) verifier: Verifier,
    pub(crate) admission: Admission,
    pub(crate) asking: Arc<Asking>,
    pub(crate) peers: BTreeMap<SiteId, Arc<Peer>>,
    /// The log holds nothing at this position and below.
    pub(crate) trimmed: Mutex<LogPosition>,
    pub(crate) planted: Option<PlantedBug>,
    failure: Mutex<Option<String>>,
    failed: Event,
}

impl<E: Engine> Region<E> {
    /// Opens a Region on its database. `ports` holds one for each other site; `options` says how it
    /// probes endpoints and finds places.
    ///
    /// # Errors
    /// What the database holds can't be read, was sealed with another operator's key, or the site
    /// isn't a Region of the deployment.
    pub async fn open(
        engine: E,
        config: RegionConfig,
        options: SteeringOptions,
        environment: Arc<dyn Environment>,
        secrets: RegionSecrets,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Result<Arc<Region<E>>, OpenError> {
        let name = config
            .deployment
            .region_of(config.site)
            .ok_or(OpenError::NotARegion)?;
        let log = log_identity(&engine, environment.as_ref()).await?;
        let snapshot = engine.snapshot();
        let admission = Admission::open();
        let asking = Arc::new(Asking::new(
            environment.clone(),
            admission.clone(),
            ports.clone(),
        ));
        let tables = config.tables(name, &environment);
        let tables = Tables::open(engine.clone(), tables).await?;
        tables.set_replica_probe(Arc::new(Probe(asking.clone())));
        let seat = config.seat();
        let council = CouncilDriver::open(engine.clone(), seat, environment.clone()).await?;
        let targets = options.targets.clone();
        let steering = Steering::open(
            engine.clone(),
            council.clone(),
            (config.deployment.clone(), config.site),
            options,
            environment.clone(),
            ports.clone(),
        )
        .await?;
        let routing = routing::Service::new(routing::ServiceConfig {
            environment: environment.clone(),
            configuration: council.clone(),
            nodes: Arc::new(Nodes(steering.clone())),
            targets: crate::route53::targets(targets),
        });
        let RegionSecrets { root_keys, sealer } = secrets;
        let bootstrap = Bootstrap {
            account: config.account,
            root_keys,
        };
        let identity = crate::settings::last_known(&council, &sealer, &bootstrap)?;
        let standing = Arc::new(Standing::new(identity, environment.now().monotonic));
        let directory = identity::Service::new(identity::ServiceConfig {
            environment: environment.clone(),
            configuration: council.clone(),
            sealer: sealer.clone(),
            identity: {
                let standing = standing.clone();
                Arc::new(move || standing.identity())
            },
        });
        let peers = open_peers(&snapshot, &config.deployment, &ports, log).await?;
        let trimmed = crate::housekeeping::oldest(&snapshot, engine.log_head()).await?;
        Ok(Arc::new(Region {
            name,
            log,
            tables: Arc::new(tables),
            council,
            steering,
            routing,
            directory,
            sealer,
            bootstrap,
            standing,
            verifier: Verifier::new(),
            admission,
            asking,
            peers,
            trimmed: Mutex::new(trimmed),
            planted: config.planted,
            failure: Mutex::default(),
            failed: Event::new(),
            config,
            environment,
            engine,
        }))
    }

    /// The tasks that make the Region live: each is to be run at the same time as the others,
    /// until the process ends.
    pub fn tasks(self: &Arc<Self>) -> Vec<Task> {
        let mut tasks: Vec<Task> = vec![
            Box::pin(self.clone().run_council()),
            Box::pin(self.clone().heartbeat()),
            Box::pin(self.clone().keep_identity()),
            Box::pin(self.clone().copy_tables()),
            Box::pin(self.clone().purge_tables()),
            Box::pin(self.clone().measure_tables()),
            Box::pin(self.clone().trim_log()),
        ];
        tasks.extend(self.steering.tasks());
        for peer in self.peers.values() {
            tasks.push(Box::pin(self.clone().listen(peer.clone())));
            if peer.is_region() {
                tasks.push(Box::pin(self.clone().ship(peer.clone())));
                tasks.push(Box::pin(self.clone().apply(peer.clone())));
            }
        }
        tasks
    }

    /// This Region's name.
    pub fn name(&self) -> types::Region {
        self.name
    }

    /// Its tables.
    pub fn tables(&self) -> &Arc<Tables<E>> {
        &self.tables
    }

    /// Its place in the council.
    pub fn council(&self) -> &Arc<CouncilDriver<E>> {
        &self.council
    }

    /// Its routing state, its health checks, and what it knows of the edges.
    pub fn steering(&self) -> &Arc<Steering<E>> {
        &self.steering
    }

    /// Ends when the Region can't go on, with the reason: the process must end then, since what
    /// it would answer can no longer be trusted.
    pub async fn failed(&self) -> String {
        loop {
            let failed = self.failed.listen();
            if let Some(reason) = self.failure.lock().expect("nothing panics inside").clone() {
                return reason;
            }
            failed.await;
        }
    }

    /// Declares that the Region can't go on.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(region = %self.name, reason, "this Region can't go on");
        self.failure
            .lock()
            .expect("nothing panics inside")
            .get_or_insert(reason);
        self.failed.notify(usize::MAX);
    }

    async fn run_council(self: Arc<Self>) {
        let region = self.clone();
        let outgoing = move |to: SiteId, payload: Bytes| region.send_council(to, payload);
        if let Err(error) = self.council.clone().run(outgoing).await {
            self.fail(format!("the council: {error}"));
        }
    }

    fn send_council(&self, to: SiteId, payload: Bytes) {
        let Some(peer) = self.peers.get(&to) else {
            return;
        };
        let now = self.environment.now().monotonic;
        let plain = Plain::new(peer.site.name, Lane::Council, REGION_SERVICE, "", payload);
        let sent = plain
            .map_err(link::PortError::from)
            .and_then(|plain| peer.port.send(now, &self.admission, plain));
        if let Err(error) = sent {
            // Raft repeats what matters; a lost message is the link's contract.
            tracing::trace!(peer = %peer.site.name, %error, "a council message was not sent");
        }
    }

    /// Takes what arrives from one peer to where it belongs.
    async fn listen(self: Arc<Self>, peer: Arc<Peer>) {
        let mut generation = None;
        let mut health = LinkWatch::default();
        loop {
            let bell = peer.port.site_bell();
            if health.has_changed(&peer.port) {
                self.steering.look_at_links();
            }
            let current = peer.port.generation(Class::Data);
            if peer.port.is_connected(Lane::Changes) && generation != Some(current) {
                generation = Some(current);
                self.reconnected(&peer);
            }
            while let Some(delivery) = peer.port.next_delivery() {
                self.deliver(&peer, delivery);
            }
            bell.await;
        }
    }

    fn reconnected(&self, peer: &Peer) {
        if peer.is_region() {
            peer.shipper
                .lock()
                .expect("nothing panics inside")
                .reconnected();
            self.say_cursor(peer, false);
            peer.ring();
        }
    }

    fn deliver(&self, peer: &Peer, delivery: Delivery) {
        let now = self.environment.now();
        let Delivery {
            lane,
            service,
            payload,
            receipt,
            ..
        } = delivery;
        if lane == Lane::Council {
            self.council.receive(peer.site.id, payload);
            peer.port.consumed(now.monotonic, receipt);
            return;
        }
        if lane == Lane::Health && service != REGION_SERVICE {
            if !self.steering.receive(peer.site.id, service, payload) {
                tracing::warn!(peer = %peer.site.name, service = service.0, "no such service");
            }
            peer.port.consumed(now.monotonic, receipt);
            return;
        }
        match Message::decode(payload) {
            Ok(message @ (Message::Changes { .. } | Message::Restart { .. }))
                if lane == Lane::Changes && peer.is_region() =>
            {
                let mut inbox = peer.inbox.lock().expect("nothing panics inside");
                inbox.push_back((message, receipt));
                drop(inbox);
                peer.ring();
                return;
            }
            Ok(message) if self.take(peer, lane, &message) => {}
            Ok(message) => {
                tracing::warn!(peer = %peer.site.name, %lane, ?message, "not for this lane or site");
                peer.measures
                    .lock()
                    .expect("nothing panics inside")
                    .refused_messages += 1;
            }
            Err(error) => {
                tracing::warn!(peer = %peer.site.name, %lane, %error, "a message was refused");
                peer.measures
                    .lock()
                    .expect("nothing panics inside")
                    .refused_messages += 1;
            }
        }
        peer.port.consumed(now.monotonic, receipt);
    }

    /// Handles a message that needs no waiting; false if it has no business in that lane.
    fn take(&self, peer: &Peer, lane: Lane, message: &Message) -> bool {
        match (lane, message) {
            (
                Lane::Changes,
                Message::Cursor {
                    log,
                    applied,
                    rewind,
                },
            ) if peer.is_region() => {
                self.take_cursor(peer, *log, *applied, *rewind);
            }
            (Lane::Health, Message::Heartbeat { wall }) => {
                let ours = self.environment.now().wall;
                let transit = peer.port.round_trip().unwrap_or_default().0 / 2000;
                let offset = (wall.0 + transit).cast_signed() - ours.0.cast_signed();
                let mut measures = peer.measures.lock().expect("nothing panics inside");
                measures.clock_offset = Some(offset);
            }
            (Lane::Request, Message::Question { number, question }) => {
                self.answer(peer, *number, question);
            }
            (Lane::Request, Message::Answer { number, answer }) => {
                self.asking.answered(*number, answer.clone());
            }
            _ => return false,
        }
        true
    }

    fn take_cursor(&self, peer: &Peer, log: Option<LogId>, applied: LogPosition, rewind: bool) {
        let oldest = *self.trimmed.lock().expect("nothing panics inside");
        let news = {
            let mut shipper = peer.shipper.lock().expect("nothing panics inside");
            shipper.cursor(log, applied, rewind, oldest, self.engine.log_head())
        };
        if let CursorNews::Resynchronize { at } = news {
            self.restart(peer, at);
        }
        if log == Some(self.log) {
            peer.measures
                .lock()
                .expect("nothing panics inside")
                .acknowledged(applied);
        }
        peer.ring();
    }

    /// The peer stands before what the log still holds: it begins anew there, and every table it
    /// shares is copied to it.
    fn restart(&self, peer: &Peer, at: LogPosition) {
        tracing::warn!(peer = %peer.site.name, position = at.0, "the peer needs a new copy");
        peer.resynchronize
            .store(true, std::sync::atomic::Ordering::Release);
        let payload = Message::Restart { log: self.log, at }.encode();
        let plain = Plain::new(peer.site.name, Lane::Changes, REGION_SERVICE, "", payload)
            .expect("a restart is short");
        let now = self.environment.now().monotonic;
        if let Err(error) = peer.port.send(now, &self.admission, plain) {
            tracing::debug!(peer = %peer.site.name, %error, "the restart is said again later");
            peer.shipper
                .lock()
                .expect("nothing panics inside")
                .reconnected();
        }
    }

    fn answer(&self, peer: &Peer, number: u64, question: &Question) {
        let Question::TableExists { name } = question;
        let existing = self.tables.probe_replica(name);
        let group = existing
            .and_then(|table| table.group)
            .map_or(0, |group| group.0);
        let answer = Answer::TableExists {
            exists: existing.is_some(),
            group,
        };
        let payload = Message::Answer { number, answer }.encode();
        let plain = Plain::new(
            peer.site.name,
            Lane::Request,
            Service(TABLES),
            name.clone(),
            payload,
        )
        .expect("an answer is short");
        let now = self.environment.now().monotonic;
        if let Err(error) = peer.port.send(now, &self.admission, plain) {
            tracing::debug!(peer = %peer.site.name, %error, "an answer was not sent");
        }
    }
}

/// A peer behind each port, as far as its changes were applied here.
async fn open_peers<S: Snapshot>(
    snapshot: &S,
    deployment: &Deployment,
    ports: &BTreeMap<SiteId, Arc<Port>>,
    log: LogId,
) -> Result<BTreeMap<SiteId, Arc<Peer>>, OpenError> {
    let mut peers = BTreeMap::new();
    for (site, port) in ports {
        let site = deployment
            .site(*site)
            .ok_or(OpenError::UnknownPeer(*site))?;
        let cursor = match snapshot.get(Space::Meta, &cursor_key(site.id)).await? {
            Some(bytes) => {
                let (log, applied) = decode_cursor(bytes)?;
                Cursor {
                    log: Some(log),
                    applied,
                }
            }
            None => Cursor::default(),
        };
        peers.insert(
            site.id,
            Arc::new(Peer::new(site, port.clone(), log, cursor)),
        );
    }
    Ok(peers)
}

/// The identity of this database's log; drawn when it has none yet.
async fn log_identity<E: Engine>(
    engine: &E,
    environment: &dyn Environment,
) -> Result<LogId, OpenError> {
    if let Some(bytes) = engine
        .snapshot()
        .get(Space::Meta, LOG_KEY.as_bytes())
        .await?
    {
        let bytes = bytes
            .as_ref()
            .try_into()
            .map_err(|_| OpenError::LogIdentity)?;
        return Ok(LogId(u64::from_be_bytes(bytes)));
    }
    let log = LogId(environment.random());
    let mut batch = Batch::new();
    batch.put(
        Space::Meta,
        LOG_KEY,
        Bytes::copy_from_slice(&log.0.to_be_bytes()),
    );
    engine.commit(batch).await?;
    Ok(log)
}
