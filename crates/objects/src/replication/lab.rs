//! Regions' objects in one test, and a courier between them that delays, repeats, cuts and loses;
//! Regions that lose their power. One seed is one run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use bytes::Bytes;
use store::MemoryEngine;
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected,
    ConfigurationView, Deployment, Environment, Monotonic, Now, Proposal, Region, Site, SiteId,
    SiteName, Sleep, Span, Timestamp,
};

use super::Outgoing;
use super::message::Message;
use crate::blob::MemoryBlobs;
use crate::content::{CustomerKey, Expected, Ingest, IngestOptions, SiteKey};
use crate::notify::{NoWebhooks, Origin};
use crate::rules::{
    DeleteMarkers, Destination, Filter, ReplicationConfiguration, Rule, SourceSelection, Status,
};
use crate::service::Asked;
use crate::{
    Bucket, BucketFacts, BucketName, BucketSettings, Cause, Creation, DeleteOptions, Deleted,
    Metadata, NewBucket, NewContent, NewObject, ObjectError, ObjectKey, ObjectVersion, Objects,
    ObjectsConfig, Peers, RoleRefusal, Roles, Unreachable, VersionId, Versioning, WriteConditions,
};

pub(super) const NAMES: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/crr";

/// SplitMix64 (Steele, Lea, Flood).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// A clock that the lab moves; its sleepers are looked at whenever they are polled.
struct Clock {
    wall: AtomicU64,
    random: Mutex<Random>,
}

struct Alarm(Arc<Clock>, Monotonic);

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.now_monotonic() >= self.1 {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Clock {
    fn now_monotonic(&self) -> Monotonic {
        Monotonic(self.wall.load(Ordering::Relaxed) * 1000)
    }
}

struct SiteClock(Arc<Clock>);

impl Environment for SiteClock {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(self.0.wall.load(Ordering::Relaxed)),
            monotonic: self.0.now_monotonic(),
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(Alarm(self.0.clone(), at))
    }

    fn random(&self) -> u64 {
        let mut random = self.0.random.lock().unwrap();
        (random.below(1 << 32) as u64) << 32 | random.below(1 << 32) as u64
    }
}

/// The global configuration: one map, the same everywhere at once.
#[derive(Default)]
struct Council(Mutex<View>);

#[derive(Clone, Default)]
struct View(u64, BTreeMap<String, (u64, Bytes)>);

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.0
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.1.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let found = self.1.range(prefix.to_owned()..);
        for (key, (revision, value)) in found.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }
}

impl Configuration for Council {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        Arc::new(self.0.lock().unwrap().clone())
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        let mut held = self.0.lock().unwrap();
        let stands = |edit: &ConfigurationEdit| match edit.expected {
            ConfigurationExpected::Any => true,
            ConfigurationExpected::Absent => !held.1.contains_key(&edit.key),
            ConfigurationExpected::Revision(revision) => {
                held.1.get(&edit.key).is_some_and(|(at, _)| *at == revision)
            }
        };
        if !edits.iter().all(stands) {
            return Box::pin(std::future::ready(Err(ConfigurationError::Conflict)));
        }
        held.0 += 1;
        let revision = held.0;
        for edit in edits {
            match edit.value {
                Some(value) => held.1.insert(edit.key, (revision, value)),
                None => held.1.remove(&edit.key),
            };
        }
        Box::pin(std::future::ready(Ok(revision)))
    }
}

/// What roles may not: actions, or `sts:AssumeRole`.
#[derive(Default)]
struct Denials(Mutex<BTreeSet<String>>);

struct LabRoles(Arc<Denials>);

struct LabRole(Arc<Denials>);

impl Roles for LabRoles {
    fn assume(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        let denied = self.0.0.lock().unwrap().contains("sts:AssumeRole");
        match denied || role != ROLE {
            true => Err(RoleRefusal("it doesn't trust S3".to_owned())),
            false => Ok(Box::new(LabRole(self.0.clone()))),
        }
    }
}

impl Authorizer for LabRole {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        ROLE
    }

    fn region(&self) -> &str {
        NAMES[0]
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let denied = self.0.0.lock().unwrap().contains(&*question.action);
        match denied {
            true => Err(Denied {
                message: format!("{} is denied", question.action),
            }),
            false => Ok(()),
        }
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

type Known = Arc<Mutex<BTreeMap<Region, Arc<Objects<MemoryEngine>>>>>;

/// Regions ask each other directly.
struct LabPeers(Known);

impl Peers for LabPeers {
    fn bucket(&self, region: Region, name: &BucketName) -> Asked<'_, Option<BucketFacts>> {
        let known = self.0.lock().unwrap();
        let answer = known.get(&region).map(|objects| objects.bucket_facts(name));
        Box::pin(std::future::ready(answer.ok_or(Unreachable)))
    }
}

type Sending = Pin<Box<dyn Future<Output = Outgoing> + Send>>;
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A Region.
struct Place {
    site: SiteId,
    engine: MemoryEngine,
    blobs: MemoryBlobs,
    objects: Arc<Objects<MemoryEngine>>,
    /// What waits for the next message to each site.
    sending: RefCell<BTreeMap<SiteId, Sending>>,
    /// Messages that came and aren't on a wire yet.
    sent: RefCell<Vec<(SiteId, Bytes)>>,
    work: RefCell<Vec<Work>>,
}

pub(super) struct Lab {
    pub(super) random: Random,
    clock: Arc<Clock>,
    council: Arc<Council>,
    denials: Arc<Denials>,
    known: Known,
    deployment: Deployment,
    places: Vec<Place>,
    wires: BTreeMap<(SiteId, SiteId), VecDeque<Bytes>>,
    cut: BTreeSet<(SiteId, SiteId)>,
    /// The checker's: the last task that was offered, by sender and line.
    offered: BTreeMap<(SiteId, String, String, String), u64>,
    /// Payload bytes of contents that were delivered.
    pub(super) carried: u64,
}

pub(super) fn site(place: usize) -> SiteId {
    SiteId(place as u16 + 1)
}

impl Lab {
    pub(super) fn new(seed: u64, places: usize) -> Lab {
        let clock = Arc::new(Clock {
            wall: AtomicU64::new(1_800_000_000_000),
            random: Mutex::new(Random(!seed)),
        });
        let sites = NAMES[..places].iter().enumerate().map(|(at, name)| Site {
            id: site(at),
            name: SiteName::Region(name.parse().unwrap()),
            place: name.parse().unwrap(),
        });
        let mut lab = Lab {
            random: Random(seed),
            clock,
            council: Arc::default(),
            denials: Arc::default(),
            known: Arc::default(),
            deployment: Deployment {
                sites: sites.collect(),
            },
            places: Vec::new(),
            wires: BTreeMap::new(),
            cut: BTreeSet::new(),
            offered: BTreeMap::new(),
            carried: 0,
        };
        for at in 0..places {
            let engine = MemoryEngine::simulated(store::SimulatedDisk::new()).unwrap();
            let place = lab.open(at, engine, MemoryBlobs::new());
            lab.places.push(place);
        }
        lab
    }

    fn open(&self, at: usize, engine: MemoryEngine, blobs: MemoryBlobs) -> Place {
        let region: Region = NAMES[at].parse().unwrap();
        let config = ObjectsConfig {
            deployment: self.deployment.clone(),
            site: site(at),
            region,
            environment: Arc::new(SiteClock(self.clock.clone())),
            configuration: self.council.clone(),
            blobs: Arc::new(blobs.clone()),
            key: SiteKey::new([at as u8; 32]),
            roles: Arc::new(LabRoles(self.denials.clone())),
            peers: Arc::new(LabPeers(self.known.clone())),
            webhooks: Arc::new(NoWebhooks),
        };
        let objects = Arc::new(settled(&engine, Objects::open(engine.clone(), config)).unwrap());
        self.known.lock().unwrap().insert(region, objects.clone());
        Place {
            site: site(at),
            engine,
            blobs,
            objects,
            sending: RefCell::default(),
            sent: RefCell::default(),
            work: RefCell::default(),
        }
    }

    pub(super) fn objects(&self, at: usize) -> Arc<Objects<MemoryEngine>> {
        self.places[at].objects.clone()
    }

    pub(super) fn engine(&self, at: usize) -> MemoryEngine {
        self.places[at].engine.clone()
    }

    pub(super) fn blobs(&self, at: usize) -> MemoryBlobs {
        self.places[at].blobs.clone()
    }

    /// Carries something out at a place, where everything else goes on meanwhile.
    pub(super) fn at<T>(
        &self,
        at: usize,
        work: impl AsyncFnOnce(&Objects<MemoryEngine>) -> T,
    ) -> T {
        let place = &self.places[at];
        let objects = place.objects.clone();
        let mut future = std::pin::pin!(async move { work(&objects).await });
        for _ in 0..100_000 {
            if let Some(value) = poll(future.as_mut()) {
                return value;
            }
            place.engine.sync();
            place.go_on();
            self.poll_senders(place);
        }
        panic!("it doesn't end");
    }

    /// Carries something out at a place that needs the others.
    pub(super) fn meanwhile<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &mut self,
        at: usize,
        work: impl FnOnce(Arc<Objects<MemoryEngine>>) -> F,
    ) -> T {
        let mut future = Box::pin(work(self.objects(at)));
        for _ in 0..100_000 {
            if let Some(value) = poll(future.as_mut()) {
                return value;
            }
            self.step();
        }
        panic!("it doesn't end");
    }

    /// Polls what waits for messages of a place to the others (and to itself).
    fn poll_senders(&self, place: &Place) {
        let mut sending = place.sending.borrow_mut();
        for (peer, _) in self.deployment.regions() {
            let objects = place.objects.clone();
            let next = sending
                .entry(peer)
                .or_insert_with(|| Box::pin(async move { objects.next_message(peer).await }));
            if let Some(message) = poll(next.as_mut()) {
                sending.remove(&peer);
                place.sent.borrow_mut().push((peer, message.payload));
            }
        }
    }

    /// What waits for messages of a place goes on a little, and is dropped wherever it is.
    pub(super) fn give_up_sending(&self, at: usize) {
        let place = &self.places[at];
        self.poll_senders(place);
        place.sending.borrow_mut().clear();
    }

    pub(super) fn advance(&self, span: Span) {
        self.clock.wall.fetch_add(span.0 / 1000, Ordering::Relaxed);
    }

    pub(super) fn deny(&self, action: &str) {
        self.denials.0.lock().unwrap().insert(action.to_owned());
    }

    pub(super) fn allow_all(&self) {
        self.denials.0.lock().unwrap().clear();
    }

    pub(super) fn make_bucket(&self, at: usize, name: &str) -> Bucket {
        let settings = BucketSettings {
            versioning: Versioning::Enabled,
            ..BucketSettings::new(false)
        };
        let new = NewBucket {
            name: name.parse().unwrap(),
            owner: AccountId::LAB,
            settings,
        };
        self.at(at, async |objects| {
            objects.create_bucket(new).await.unwrap()
        })
    }

    pub(super) fn bucket(&self, at: usize, name: &str) -> Bucket {
        self.objects(at).bucket(&name.parse().unwrap()).unwrap()
    }

    pub(super) fn change(
        &self,
        at: usize,
        name: &str,
        change: impl Fn(&mut BucketSettings) + Clone,
    ) {
        let bucket = self.bucket(at, name);
        self.at(at, async |objects| {
            let changed = objects.change_settings(&bucket, |settings| {
                change(settings);
                Ok(())
            });
            changed.await.unwrap();
        });
    }

    /// Has a bucket replicate by those rules, checked as a request's are.
    pub(super) fn replicate(&self, at: usize, name: &str, rules: Vec<Rule>) {
        let bucket = self.bucket(at, name);
        let configuration = ReplicationConfiguration {
            role: ROLE.to_owned(),
            rules,
        };
        let checked = self.at(at, async |objects| {
            objects
                .check_replication(&bucket, configuration)
                .await
                .unwrap()
        });
        self.change(at, name, move |settings| {
            settings.replication = Some(checked.clone())
        });
    }

    pub(super) fn put(&self, at: usize, name: &str, key: &str, bytes: &[u8]) -> Arc<ObjectVersion> {
        self.put_tagged(at, name, key, bytes, &[])
    }

    pub(super) fn put_tagged(
        &self,
        at: usize,
        name: &str,
        key: &str,
        bytes: &[u8],
        tags: &[(&str, &str)],
    ) -> Arc<ObjectVersion> {
        let bucket = self.bucket(at, name);
        let key = key.parse().unwrap();
        self.at(at, async |objects| {
            put(objects, &bucket, &key, (bytes, None), tags)
                .await
                .unwrap()
        })
    }

    pub(super) fn put_encrypted(
        &self,
        at: usize,
        name: &str,
        key: &str,
        bytes: &[u8],
        customer: Option<CustomerKey>,
    ) -> Arc<ObjectVersion> {
        let bucket = self.bucket(at, name);
        let key = key.parse().unwrap();
        let content = (bytes, customer);
        self.at(at, async |objects| {
            put(objects, &bucket, &key, content, &[]).await.unwrap()
        })
    }

    pub(super) fn delete(
        &self,
        at: usize,
        name: &str,
        key: &str,
        id: Option<VersionId>,
    ) -> Deleted {
        let bucket = self.bucket(at, name);
        let key = key.parse().unwrap();
        let options = DeleteOptions {
            owner: AccountId::LAB,
            bypass_governance: false,
            if_match: None,
            cause: request(),
        };
        self.at(at, async |objects| {
            objects.delete(&bucket, &key, id, &options).await.unwrap()
        })
    }

    /// The version, wherever it is.
    pub(super) fn find(
        &self,
        at: usize,
        name: &str,
        key: &str,
        id: Option<VersionId>,
    ) -> Option<Arc<ObjectVersion>> {
        let bucket = self.bucket(at, name);
        let key = key.parse().unwrap();
        self.at(at, async |objects| {
            objects.find_any(&bucket, &key, id).await.unwrap()
        })
    }

    pub(super) fn read(
        &self,
        at: usize,
        name: &str,
        key: &str,
        version: &ObjectVersion,
    ) -> Result<Vec<u8>, ObjectError> {
        self.read_with(at, name, key, version, None)
    }

    pub(super) fn read_with(
        &self,
        at: usize,
        name: &str,
        key: &str,
        version: &ObjectVersion,
        customer: Option<&CustomerKey>,
    ) -> Result<Vec<u8>, ObjectError> {
        let bucket = self.bucket(at, name);
        let key: ObjectKey = key.parse().unwrap();
        let size = version.object().unwrap().size;
        self.at(at, async |objects| {
            let id = bucket.entry.id;
            let mut reader = objects.read(id, &key, version, 0..size, customer).await?;
            let mut read = Vec::new();
            while let Some(bytes) = reader.next().await {
                read.extend_from_slice(&bytes?);
            }
            Ok(read)
        })
    }

    pub(super) fn set_cut(&mut self, one: usize, two: usize, cut: bool) {
        let (one, two) = (site(one), site(two));
        for pair in [(one, two), (two, one)] {
            match cut {
                true => self.cut.insert(pair),
                false => self.cut.remove(&pair),
            };
        }
        self.lose(one, two);
    }

    /// The link between two is a new one: what was on it is lost.
    fn lose(&mut self, one: SiteId, two: SiteId) {
        for (from, to) in [(one, two), (two, one)] {
            self.wires.remove(&(from, to));
            let place = &self.places[usize::from(from.0) - 1];
            place.objects.link_restarted(to);
        }
    }

    /// A place loses its power, and starts again.
    pub(super) fn crash(&mut self, at: usize) {
        let seed = self.random.below(1 << 30) as u64;
        let place = &mut self.places[at];
        place.sending.borrow_mut().clear();
        place.sent.borrow_mut().clear();
        place.work.borrow_mut().clear();
        let disk = place.engine.crash(seed);
        place.blobs.crash();
        let (blobs, own) = (place.blobs.clone(), place.site);
        let engine = MemoryEngine::simulated(disk).unwrap();
        self.places[at] = self.open(at, engine, blobs);
        self.wires.remove(&(own, own));
        for other in 0..self.places.len() {
            if other != at {
                self.lose(own, site(other));
            }
        }
    }

    /// Something happens somewhere.
    pub(super) fn step(&mut self) {
        let at = self.random.below(self.places.len());
        match self.random.below(6) {
            0 => self.advance(Span::milliseconds(5)),
            1 | 2 => self.send(at),
            3 | 4 => self.deliver(at),
            _ => self.work(at),
        }
    }

    /// Messages of a place go on their wires.
    fn send(&mut self, at: usize) {
        let place = &self.places[at];
        self.poll_senders(place);
        let own = place.site;
        for (peer, payload) in place.sent.take() {
            if let Ok(Message::Offer(offer)) = Message::decode(payload.clone()) {
                let line = (own, offer.source, offer.key, offer.destination);
                let last = self.offered.entry(line).or_default();
                assert!(offer.task >= *last, "tasks of a key are offered in order");
                *last = offer.task;
            }
            if !self.cut.contains(&(own, peer)) {
                self.wires
                    .entry((own, peer))
                    .or_default()
                    .push_back(payload);
            }
        }
    }

    /// Delivers the first message on one of the wires to a place, sometimes twice.
    fn deliver(&mut self, at: usize) {
        let to = site(at);
        let from = site(self.random.below(self.places.len()));
        let Some(wire) = self.wires.get_mut(&(from, to)) else {
            return;
        };
        let Some(payload) = wire.pop_front() else {
            return;
        };
        if self.random.one_in(16) {
            wire.push_back(payload.clone());
        }
        if let Ok(Message::Content { bytes, .. }) = Message::decode(payload.clone()) {
            self.carried += bytes.len() as u64;
        }
        let place = &self.places[at];
        let work = place.objects.receive(from, payload).unwrap();
        place.work.borrow_mut().push(Box::pin(work));
    }

    /// A place's disk syncs, and what it works at goes on.
    fn work(&mut self, at: usize) {
        let sync = self.random.one_in(2);
        let place = &self.places[at];
        if sync {
            place.engine.sync();
        }
        place.go_on();
    }

    /// Lets everything run until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for round in 0..200_000 {
            self.step();
            if round % 64 == 0 && self.is_quiet() {
                return;
            }
            if round % 4096 == 4095 {
                self.advance(Span::seconds(31));
            }
        }
        let figures: Vec<_> = self
            .places
            .iter()
            .map(|place| place.objects.replication_figures())
            .collect();
        panic!("it doesn't come to rest: {figures:?}");
    }

    fn is_quiet(&self) -> bool {
        let idle = |place: &Place| {
            let figures = place.objects.replication_figures();
            place.work.borrow().is_empty()
                && figures.iter().all(|rule| rule.pending_operations == 0)
        };
        self.wires.values().all(VecDeque::is_empty) && self.places.iter().all(idle)
    }
}

impl Place {
    /// What it works at goes on.
    fn go_on(&self) {
        let mut work = self.work.borrow_mut();
        work.retain_mut(|work| poll(work.as_mut()).is_none());
    }
}

pub(super) fn request() -> Cause {
    Cause::Request(Origin {
        principal: "Anonymous".to_owned(),
        source_address: "127.0.0.1".to_owned(),
        request_id: String::new(),
        host_id: String::new(),
    })
}

async fn put(
    objects: &Objects<MemoryEngine>,
    bucket: &Bucket,
    key: &ObjectKey,
    (bytes, customer_key): (&[u8], Option<CustomerKey>),
    tags: &[(&str, &str)],
) -> Result<Arc<ObjectVersion>, ObjectError> {
    let options = IngestOptions {
        length: None,
        limit: 1 << 40,
        expected: Expected::default(),
        customer_key,
    };
    let mut ingest = Ingest::new(objects.contents(), options);
    ingest.push(Bytes::copy_from_slice(bytes)).await?;
    let ingested = ingest.finish(Vec::new()).await?;
    let tags = tags
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    let new = NewObject {
        owner: AccountId::LAB,
        content: NewContent::Whole(ingested),
        metadata: Metadata::default(),
        storage_class: "STANDARD".to_owned(),
        tags: tags.collect(),
        acl: None,
        retention: None,
        legal_hold: false,
        conditions: WriteConditions::default(),
        how: Creation::Put,
        cause: request(),
    };
    objects.put(bucket, key, new).await
}

/// A rule for everything, delete markers and changes of replicas too.
pub(super) fn rule(id: &str, priority: i32, destination: &str) -> Rule {
    Rule {
        id: Some(id.to_owned()),
        priority: Some(priority),
        prefix: None,
        filter: Some(Filter::All),
        status: Status::Enabled,
        source_selection: Some(SourceSelection {
            kms_objects: None,
            replica_modifications: Some(Status::Enabled),
        }),
        existing_objects: None,
        delete_markers: Some(DeleteMarkers {
            status: Some(Status::Enabled),
        }),
        destination: Destination {
            bucket: format!("arn:aws:s3:::{destination}"),
            ..Destination::default()
        },
    }
}

fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Polls to the end, syncing a disk in between.
fn settled<T>(engine: &MemoryEngine, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..100_000 {
        if let Some(value) = poll(future.as_mut()) {
            return value;
        }
        engine.sync();
    }
    panic!("it doesn't end");
}
