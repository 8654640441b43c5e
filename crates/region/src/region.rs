//! One Region: a share-nothing value made of its services, its place in the council and a port
//! for each peer. It is driven from outside: give it requests, run its tasks, move its links.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use aws::signature::Verifier;
use bytes::Bytes;
use council::CouncilDriver;
use event_listener::Event;
use identity::{Bootstrap, Sealer};
use link::{Admission, Class, Delivery, Lane, Plain, Service, StreamExchange};
use objects::Objects;
use objects::notify::EventTeller;
use s3::S3Service;
use steering::{LinkWatch, Steering};
use store::{Engine, LogPosition};
use tables::{TableName, Tables};
use types::{Environment, SiteId};

use crate::asking::{Asking, REGION_SERVICE};
use crate::flow_logs::{LogDelivery, WORKERS};
use crate::message::{Answer, LogId, Message, Question};
use crate::open::{Own, RegionConfig};
use crate::peer::Peer;
use crate::planted::PlantedBug;
use crate::shipper::CursorNews;
use crate::standing::Standing;

/// The tag of tables in the change log and on envelopes.
pub(crate) const TABLES: u8 = 1;

/// The tag of objects on envelopes.
pub(crate) const OBJECTS: u8 = 2;

/// The tag of databases on envelopes.
pub(crate) const DATABASES: u8 = 6;

/// A task that runs as long as its Region.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running Region.
pub struct Region<E: Engine> {
    pub(crate) config: RegionConfig,
    pub(crate) name: types::Region,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) engine: E,
    pub(crate) log: LogId,
    pub(crate) tables: Arc<Tables<E>>,
    pub(crate) objects: Arc<Objects<E>>,
    pub(crate) s3: S3Service<E>,
    pub(crate) events: EventTeller<E>,
    pub(crate) council: Arc<CouncilDriver<E>>,
    pub(crate) steering: Arc<Steering<E>>,
    /// What is its own alone.
    pub(crate) own: Own<E>,
    pub(crate) routing: routing::Service,
    pub(crate) accelerators: accelerator::Service,
    pub(crate) log_delivery: Arc<LogDelivery<E>>,
    pub(crate) directory: identity::Service,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) standing: Arc<Standing>,
    /// The Regions that signatures for STS may name here.
    pub(crate) session_scopes: Vec<types::Region>,
    pub(crate) verifier: Verifier,
    pub(crate) admission: Admission,
    pub(crate) asking: Arc<Asking>,
    pub(crate) peers: BTreeMap<SiteId, Arc<Peer>>,
    /// The log holds nothing at this position and below.
    pub(crate) trimmed: Mutex<LogPosition>,
    pub(crate) planted: Option<PlantedBug>,
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) failed: Event,
}

impl<E: Engine> Region<E> {
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
            Box::pin(self.objects.clone().replicate_locally()),
            Box::pin(self.clone().tell_events()),
            Box::pin(self.clone().watch_replication()),
            Box::pin(self.clone().keep_lifecycles()),
            Box::pin(self.clone().sweep_contents()),
            Box::pin(self.clone().scrub_contents()),
            Box::pin(self.clone().follow_balancers()),
            Box::pin(self.clone().check_targets()),
            Box::pin(self.clone().tell_balancers()),
            Box::pin(self.clone().answer_databases()),
            Box::pin(self.clone().say_farewells()),
        ];
        tasks.extend(self.steering.tasks());
        for _ in 0..WORKERS {
            tasks.push(Box::pin(self.clone().deliver_flow_logs()));
        }
        for peer in self.peers.values() {
            tasks.push(Box::pin(self.clone().listen(peer.clone())));
            if peer.is_region() {
                tasks.push(Box::pin(self.clone().ship(peer.clone())));
                tasks.push(Box::pin(self.clone().apply(peer.clone())));
                tasks.push(Box::pin(self.clone().ship_objects(peer.clone())));
                tasks.push(Box::pin(self.clone().receive_objects(peer.clone())));
                tasks.push(Box::pin(self.clone().ship_streams(peer.clone())));
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

    /// Its objects.
    pub fn objects(&self) -> &Arc<Objects<E>> {
        &self.objects
    }

    /// Its place in the council.
    pub fn council(&self) -> &Arc<CouncilDriver<E>> {
        &self.council
    }

    /// Its routing state, its health checks, and what it knows of the edges.
    pub fn steering(&self) -> &Arc<Steering<E>> {
        &self.steering
    }

    /// Its streams with each other Region: what drives local connections opens and takes them.
    pub fn peer_streams(&self) -> BTreeMap<SiteId, Arc<StreamExchange>> {
        let regions = self.peers.iter().filter(|(_, peer)| peer.is_region());
        let streams = regions.map(|(site, peer)| (*site, peer.streams.clone()));
        streams.collect()
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
        let mut bulk_generation = None;
        let mut health = LinkWatch::default();
        loop {
            let bell = peer.port.site_bell();
            if health.has_changed(&peer.port) {
                self.steering.look_at_links();
            }
            peer.streams.follow(&peer.port);
            let current = peer.port.generation(Class::Data);
            if peer.port.is_connected(Lane::Changes) && generation != Some(current) {
                generation = Some(current);
                self.reconnected(&peer);
            }
            let current = peer.port.generation(Class::Bulk);
            if peer.port.is_connected(Lane::Objects) && bulk_generation != Some(current) {
                bulk_generation = Some(current);
                self.objects.link_restarted(peer.site.id);
            }
            while let Some(delivery) = peer.port.next_delivery() {
                self.deliver(&peer, delivery);
            }
            bell.await;
        }
    }

    /// Sends what streams have to say to a peer, as the link takes it.
    async fn ship_streams(self: Arc<Self>, peer: Arc<Peer>) {
        let shipped = peer
            .streams
            .ship(&peer.port, &self.admission, Service(DATABASES));
        shipped.await;
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
        if lane == Lane::Objects && service == Service(OBJECTS) && peer.is_region() {
            peer.objects.push(payload, receipt);
            return;
        }
        if lane == Lane::Stream && service == Service(DATABASES) && peer.is_region() {
            peer.streams.receive(payload);
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
        if lane == Lane::Request
            && self
                .steering
                .receive_log(peer.site.id, service, payload.clone())
        {
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
                self.asking.answered(peer.site.id, *number, answer.clone());
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
        let (service, resource, answer) = match question {
            Question::TableExists { name } => {
                let Ok(table) = name.parse::<TableName>();
                let existing = self.tables.probe_replica(name);
                let group = existing
                    .and_then(|table| table.group)
                    .map_or(0, |group| group.0);
                let answer = Answer::TableExists {
                    exists: existing.is_some(),
                    group,
                };
                (TABLES, table.resource().to_owned(), answer)
            }
            Question::Bucket { name } => {
                let answer = Answer::Bucket(self.objects.bucket_facts(name));
                (OBJECTS, name.to_string(), answer)
            }
            // Answered later: something may have to be written down first.
            Question::Database(question) => {
                return self.take_database_question(peer.site.id, number, question);
            }
        };
        let payload = Message::Answer { number, answer }.encode();
        let service = Service(service);
        let plain = Plain::new(peer.site.name, Lane::Request, service, resource, payload)
            .expect("an answer is short");
        let now = self.environment.now().monotonic;
        if let Err(error) = peer.port.send(now, &self.admission, plain) {
            tracing::debug!(peer = %peer.site.name, %error, "an answer was not sent");
        }
    }
}
