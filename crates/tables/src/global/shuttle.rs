//! Three Regions' tables in one test, and a shuttle between them that delays, loses and repeats,
//! with a checker of its own: per site and item the full set of writes that happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws::access::Owner;
use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};
use store::{Direction, Engine, Entry, KeyRange, LogPosition, MemoryEngine, Snapshot, Space};
use types::{
    AccountId, Deployment, Environment, Monotonic, Now, Region, Site, SiteId, SiteName, Sleep,
    Timestamp, Version,
};

use super::group::GroupId;
use super::ledger::ConflictId;
use super::message::Record;
use super::model::Random;
use crate::{
    AttributeValue, Change, ConflictFilter, Content, CopyProgress, Import, Item, Phase, PlantedBug,
    SERVICE_TAG, State, Tables, TablesConfig, decode_state, item_key,
};

pub(crate) const NAMES: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
pub(crate) const SITES: usize = NAMES.len();

/// Announcements that one envelope covers.
const ENVELOPE: usize = 8;

/// A clock that the test moves, off by a constant at each site.
pub(crate) struct TestClock {
    wall: AtomicU64,
    /// What each site's clock is ahead by, in milliseconds.
    offsets: [u64; SITES],
    random: Mutex<Random>,
}

impl TestClock {
    /// All wall clocks are set back by that many milliseconds.
    pub(crate) fn set_back(&self, milliseconds: u64) {
        self.wall.fetch_sub(milliseconds, Ordering::Relaxed);
    }
}

struct SiteClock {
    shared: Arc<TestClock>,
    offset: u64,
}

impl Environment for SiteClock {
    fn now(&self) -> Now {
        let wall = self.shared.wall.load(Ordering::Relaxed);
        Now {
            wall: Timestamp(wall + self.offset),
            monotonic: Monotonic(wall * 1000),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let mut random = self.shared.random.lock().unwrap();
        (random.below(1 << 31) as u64) << 31 | random.below(1 << 31) as u64
    }
}

/// An item's key without its table's number.
pub(crate) type Key = Bytes;
type History = BTreeSet<Version>;

/// What the checker knows of an item at a site.
#[derive(Default, Clone)]
struct Known {
    arrived: BTreeSet<Version>,
    before: History,
}

#[derive(Clone)]
struct Envelope {
    upto: LogPosition,
    records: Vec<Bytes>,
    /// The checker's: per item of it, what had happened before it was sent.
    before: BTreeMap<Key, History>,
}

pub(crate) struct Place {
    pub(crate) tables: Tables<MemoryEngine>,
    pub(crate) engine: MemoryEngine,
    flying: [Vec<Envelope>; SITES],
    delivered: [Vec<Envelope>; SITES],
    /// What each peer is known to have.
    acknowledged: [LogPosition; SITES],
    known: BTreeMap<Key, Known>,
}

pub(crate) struct World {
    pub(crate) places: Vec<Place>,
    pub(crate) clock: Arc<TestClock>,
    planted: Option<PlantedBug>,
    /// What a place sent before it lost its disk, and what no one has received yet.
    stray: Vec<(usize, usize, Envelope)>,
    /// No envelope gets through, by (from, to).
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// The checker's: each write and what had happened before it.
    pub(crate) writes: BTreeMap<(Key, Version), History>,
    pub(crate) beaten: BTreeSet<(Key, Version)>,
    pub(crate) parked: usize,
}

pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("the memory engine answers at once")
}

pub(crate) fn site(place: usize) -> SiteId {
    SiteId(place as u16 + 1)
}

impl World {
    pub(crate) fn new(seed: u64, planted: Option<PlantedBug>, offsets: [u64; SITES]) -> World {
        let clock = Arc::new(TestClock {
            wall: AtomicU64::new(1_800_000_000_000),
            offsets,
            random: Mutex::new(Random(!seed)),
        });
        let place = |number| {
            let engine = MemoryEngine::new();
            Place {
                tables: open(number, &engine, &clock, planted),
                engine,
                flying: Default::default(),
                delivered: Default::default(),
                acknowledged: Default::default(),
                known: BTreeMap::new(),
            }
        };
        World {
            places: (0..SITES).map(place).collect(),
            clock: clock.clone(),
            planted,
            stray: Vec::new(),
            cut: BTreeSet::new(),
            writes: BTreeMap::new(),
            beaten: BTreeSet::new(),
            parked: 0,
        }
    }

    pub(crate) fn execute(&self, at: usize, operation: &str, body: Value) -> Result<Value, String> {
        let body = serde_json::to_vec(&body).unwrap();
        let owner = Owner::new(AccountId::LAB, NAMES[at]);
        ready(self.places[at].tables.execute(&owner, operation, &body))
            .map(|answer| serde_json::from_slice(&answer).unwrap())
            .map_err(|error| format!("{}: {}", error.code, error.message))
    }

    pub(crate) fn create_table(&self, at: usize, name: &str) {
        let table = json!({
            "TableName": name,
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "colour", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-colour",
                "KeySchema": [{"AttributeName": "colour", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.execute(at, "CreateTable", table).unwrap();
    }

    pub(crate) fn replica(
        &self,
        at: usize,
        name: &str,
        action: &str,
        of: usize,
    ) -> Result<Value, String> {
        let update = json!({"TableName": name,
            "ReplicaUpdates": [{action: {"RegionName": NAMES[of]}}]});
        self.execute(at, "UpdateTable", update)
    }

    pub(crate) fn describe(&self, at: usize, name: &str) -> Option<Value> {
        let described = self.execute(at, "DescribeTable", json!({"TableName": name}));
        described.ok().map(|mut answer| answer["Table"].take())
    }

    /// `TableStatus`, then each replica with its status.
    pub(crate) fn shape(&self, at: usize, name: &str) -> String {
        let Some(table) = self.describe(at, name) else {
            return "missing".to_owned();
        };
        let replicas = table["Replicas"].as_array().cloned().unwrap_or_default();
        let mut shape = table["TableStatus"].as_str().unwrap().to_owned();
        for replica in replicas {
            let text = |member: &str| replica[member].as_str().unwrap().to_owned();
            shape += &format!(" {}={}", text("RegionName"), text("ReplicaStatus"));
        }
        shape
    }

    /// A write, or a delete, if the table takes it there.
    pub(crate) fn write(&mut self, at: usize, name: &str, id: &str, value: Option<&str>) -> bool {
        let place = &mut self.places[at];
        let table = place.tables.catalogue().named(AccountId::LAB, name);
        let Some(table) = table.filter(|table| table.phase == Phase::Active) else {
            return false;
        };
        let id = AttributeValue::String(id.to_owned());
        let key = item_key(table.id.0, &id, None).unwrap();
        let item = value.map(|value| {
            Item::from([
                ("id".to_owned(), id),
                (
                    "colour".to_owned(),
                    AttributeValue::String(value.to_owned()),
                ),
            ])
        });
        let written = ready(place.tables.write_item(table.id, key.clone(), |_| Ok(item))).unwrap();
        if written.old.is_none() && written.new.is_none() {
            return true;
        }
        let state = state(&place.engine, &key);
        let key = Key::copy_from_slice(&key[8..]);
        let Some(dot) = state.map(|state| state.dot) else {
            // Nothing is left of an item that no other Region ever had.
            place.known.remove(&key);
            self.writes.retain(|(other, _), _| *other != key);
            return true;
        };
        let known = place.known.entry(key.clone()).or_default();
        self.writes.insert((key, dot), known.before.clone());
        known.before.insert(dot);
        known.arrived.insert(dot);
        true
    }

    /// Follows the log of one place for another, and sends what there is.
    pub(crate) fn send(&mut self, from: usize, to: usize) -> bool {
        let place = &mut self.places[from];
        let sent = place.flying[to].last().map(|envelope| envelope.upto);
        let after = sent.unwrap_or(place.acknowledged[to]);
        let snapshot = place.engine.snapshot();
        let mut range = KeyRange::all();
        range.start = std::ops::Bound::Excluded(after.key());
        let page = ready(snapshot.scan(Space::Log, range, Direction::Forward, ENVELOPE)).unwrap();
        let Some(last) = page.entries.last() else {
            return false;
        };
        let mut envelope = Envelope {
            upto: LogPosition::from_key(&last.key).unwrap(),
            records: Vec::new(),
            before: BTreeMap::new(),
        };
        let mut keys: Vec<Option<Bytes>> = Vec::new();
        for entry in &page.entries {
            let announcement = entry.value.strip_prefix(&[SERVICE_TAG]).unwrap();
            let export = ready(place.tables.export(&snapshot, site(to), announcement)).unwrap();
            let Some(export) = export else { continue };
            assert!(export.resource.ends_with("Orders"), "{}", export.resource);
            if let Some(key) = &export.key {
                // The later of two records with one key replaces the earlier.
                if let Some(index) = keys.iter().position(|other| other.as_ref() == Some(key)) {
                    keys.remove(index);
                    envelope.records.remove(index);
                }
                let key = key.slice(8..);
                let known = place.known.get(&key).cloned().unwrap_or_default();
                envelope.before.insert(key, known.before);
            }
            keys.push(export.key);
            envelope.records.push(export.bytes);
        }
        place.flying[to].push(envelope);
        true
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> bool {
        if self.cut.contains(&(from, to)) || self.places[from].flying[to].is_empty() {
            return false;
        }
        let envelope = self.places[from].flying[to].remove(0);
        if self.receive(from, to, &envelope) {
            self.places[from].acknowledged[to] = envelope.upto;
            self.places[from].delivered[to].push(envelope);
            true
        } else {
            self.places[from].flying[to].insert(0, envelope);
            false
        }
    }

    /// Imports an envelope, and its cursor with it.
    fn receive(&mut self, from: usize, to: usize, envelope: &Envelope) -> bool {
        let place = &mut self.places[to];
        match ready(place.tables.import(site(from), &envelope.records)).unwrap() {
            Import::Parked { .. } => {
                self.parked += 1;
                return false;
            }
            Import::Ready(import) => {
                let mut batch = import.batch;
                let cursor = envelope.upto.key();
                batch.put(Space::Meta, vec![b'c', from as u8], cursor);
                ready(place.engine.commit(batch)).unwrap();
                place.tables.imported(import.guard);
            }
        }
        if place
            .tables
            .catalogue()
            .named(AccountId::LAB, "Orders")
            .is_some()
        {
            self.judge(to, envelope);
        }
        true
    }

    fn judge(&mut self, to: usize, envelope: &Envelope) {
        for record in &envelope.records {
            let Ok(Record::Item { key, state, .. }) = Record::decode(record) else {
                continue;
            };
            let known = self.places[to].known.entry(key.clone()).or_default();
            let before = &envelope.before[&key];
            if let Some(current) = known.arrived.last().copied() {
                let seen = before.contains(&current) || known.before.contains(&state.dot);
                if !seen {
                    self.beaten.insert((key, current.min(state.dot)));
                }
            }
            known.arrived.insert(state.dot);
            known.before.extend(before);
        }
    }

    /// The connection breaks: what flew is lost.
    pub(crate) fn lose(&mut self, from: usize, to: usize) {
        self.places[from].flying[to].clear();
    }

    /// Something that was delivered once is delivered again.
    pub(crate) fn repeat(&mut self, from: usize, to: usize, random: &mut Random) {
        let delivered = self.places[from].delivered[to].len();
        if delivered > 0 {
            let envelope = self.places[from].delivered[to][random.below(delivered)].clone();
            self.receive(from, to, &envelope);
        }
    }

    /// The process dies and starts again.
    pub(crate) fn restart(&mut self, at: usize) {
        let engine = self.places[at].engine.clone();
        self.places[at].tables = open(at, &engine, &self.clock, self.planted);
        for to in 0..SITES {
            self.lose(at, to);
        }
        // Its connections end with the process.
        self.stray.retain(|(_, to, _)| *to != at);
    }

    /// The disk is lost: the process starts with an empty one, and peers begin at their logs'
    /// first positions. What it had sent may still arrive, late.
    pub(crate) fn wipe(&mut self, at: usize) {
        for to in 0..SITES {
            let flying = std::mem::take(&mut self.places[at].flying[to]);
            let flying = flying.into_iter().map(|envelope| (at, to, envelope));
            self.stray.extend(flying);
        }
        self.places[at].engine = MemoryEngine::new();
        self.places[at].known.clear();
        self.places[at].acknowledged = Default::default();
        self.places[at].delivered = Default::default();
        self.restart(at);
        for from in 0..SITES {
            self.lose(from, at);
            // A Region that knows nothing of a log takes it from its beginning or not at all.
            self.places[from].delivered[at].clear();
            self.places[from].acknowledged[at] = LogPosition(0);
        }
    }

    /// Something arrives that was sent before its sender lost its disk. Says whether anything was
    /// on its way.
    pub(crate) fn deliver_stray(&mut self) -> bool {
        if self.stray.is_empty() {
            return false;
        }
        let (from, to, envelope) = self.stray.remove(0);
        if !self.receive(from, to, &envelope) {
            self.stray.push((from, to, envelope));
        }
        true
    }

    pub(crate) fn background(&mut self, at: usize) -> CopyProgress {
        let place = &self.places[at];
        let acknowledged = place.acknowledged;
        let acknowledged = move |peer: SiteId| acknowledged[usize::from(peer.0) - 1];
        let progress = ready(place.tables.copy_step(&acknowledged)).unwrap();
        ready(place.tables.purge_step()).unwrap();
        progress
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        self.clock.wall.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Delivers everything that isn't cut off, until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for from in 0..SITES {
                moved |= self.background(from) == CopyProgress::Worked;
                for to in (0..SITES).filter(|to| *to != from) {
                    if !self.cut.contains(&(from, to)) {
                        moved |= self.send(from, to);
                        moved |= self.deliver(from, to);
                        moved |= !self.places[from].flying[to].is_empty();
                    }
                }
            }
            self.advance(10);
            if !moved {
                return;
            }
        }
        panic!("the Regions never come to rest");
    }

    /// Every item of the table at a place: key, state.
    pub(crate) fn items(&self, at: usize, name: &str) -> BTreeMap<Key, State> {
        let Some(table) = self.places[at]
            .tables
            .catalogue()
            .named(AccountId::LAB, name)
        else {
            return BTreeMap::new();
        };
        let prefix = crate::table_prefix(table.id.0);
        entries(&self.places[at].engine, Space::Items, &prefix)
            .into_iter()
            .map(|entry| (entry.key.slice(8..), decode_state(&entry.value).unwrap()))
            .collect()
    }

    /// The items of live state, by their `id`.
    pub(crate) fn values(&self, at: usize, name: &str) -> BTreeMap<String, String> {
        let text = |value: &AttributeValue| match value {
            AttributeValue::String(text) => text.clone(),
            _ => panic!("the test writes strings"),
        };
        self.items(at, name)
            .into_values()
            .filter_map(|state| match state.content {
                Content::Item(item) => Some((text(&item["id"]), text(&item["colour"]))),
                Content::Tombstone => None,
            })
            .collect()
    }

    /// Are all live replicas the same: item, version, tombstone, index entries?
    pub(crate) fn check_convergence(&self, name: &str) -> Result<(), String> {
        let mut first: Option<BTreeMap<Key, (Version, Content)>> = None;
        for (at, here) in NAMES.iter().enumerate() {
            let Some(table) = self.places[at]
                .tables
                .catalogue()
                .named(AccountId::LAB, name)
            else {
                continue;
            };
            let items = self.items(at, name);
            self.check_indexes(at, &table, &items)?;
            let items: BTreeMap<_, _> = items
                .into_iter()
                .map(|(key, state)| (key, (state.dot, state.content)))
                .collect();
            match &first {
                None => first = Some(items),
                Some(first) if *first == items => {}
                Some(first) => {
                    return Err(format!("{here} differs: {items:?}\nfrom {first:?}"));
                }
            }
        }
        Ok(())
    }

    fn check_indexes(
        &self,
        at: usize,
        table: &crate::Table,
        items: &BTreeMap<Key, State>,
    ) -> Result<(), String> {
        let prefix = crate::table_prefix(table.id.0);
        let there = entries(&self.places[at].engine, Space::Indexes, &prefix);
        let there: BTreeSet<Bytes> = there.into_iter().map(|entry| entry.key).collect();
        let wanted: BTreeSet<Bytes> = items
            .values()
            .filter_map(State::item)
            .filter_map(|item| crate::primary_key::entry_key(table, &table.indexes[0], item))
            .map(Bytes::from)
            .collect();
        if there == wanted {
            return Ok(());
        }
        Err(format!(
            "the index of {} is {there:?}, not {wanted:?}",
            NAMES[at]
        ))
    }

    /// Is the union of the ledgers what the checker saw beaten, and nothing else?
    pub(crate) fn check_ledger(&self, group: GroupId) -> Result<(), String> {
        let mut union = BTreeSet::new();
        for place in &self.places {
            let filter = ConflictFilter::default();
            let page = ready(place.tables.conflicts(&filter, None, 1000)).unwrap();
            assert!(page.next.is_none());
            assert_eq!(place.tables.ledger_size().rows, page.conflicts.len() as u64);
            for row in page.conflicts {
                if row.winner.dot <= row.loser.dot {
                    return Err(format!("{} beat {}", row.winner.dot, row.loser.dot));
                }
                union.insert(row.id);
            }
        }
        let beaten: BTreeSet<ConflictId> = self
            .beaten
            .iter()
            .map(|(key, dot)| ConflictId::of(group, key, *dot))
            .collect();
        if union != beaten {
            return Err(format!(
                "the ledgers have {} rows, beaten were {:?}",
                union.len(),
                self.beaten
            ));
        }
        Ok(())
    }

    /// Is every write the item's state, or seen by a later one, or in the ledger?
    pub(crate) fn check_nothing_lost(&self, name: &str) -> Result<(), String> {
        let items = self.items(0, name);
        for (key, dot) in self.writes.keys() {
            let stands = items.get(key).is_some_and(|state| state.dot == *dot);
            let mut later = self.writes.iter().filter(|((other, _), _)| other == key);
            let seen = later.any(|(_, before)| before.contains(dot));
            if !stands && !seen && !self.beaten.contains(&(key.clone(), *dot)) {
                return Err(format!("{dot} is lost"));
            }
        }
        Ok(())
    }

    pub(crate) fn group(&self, at: usize, name: &str) -> GroupId {
        let table = self.places[at]
            .tables
            .catalogue()
            .named(AccountId::LAB, name)
            .unwrap();
        table.group.as_ref().unwrap().id
    }
}

pub(crate) fn open(
    at: usize,
    engine: &MemoryEngine,
    clock: &Arc<TestClock>,
    planted: Option<PlantedBug>,
) -> Tables<MemoryEngine> {
    let region = |name: &str| name.parse::<Region>().unwrap();
    let sites = NAMES.iter().enumerate().map(|(number, name)| Site {
        id: site(number),
        name: SiteName::Region(region(name)),
        place: region(name),
    });
    let config = TablesConfig {
        deployment: Deployment {
            sites: sites.collect(),
        },
        site: site(at),
        region: region(NAMES[at]),
        environment: Arc::new(SiteClock {
            shared: clock.clone(),
            offset: clock.offsets[at],
        }),
        planted,
    };
    ready(Tables::open(engine.clone(), config)).unwrap()
}

fn state(engine: &MemoryEngine, key: &[u8]) -> Option<State> {
    let stored = ready(engine.snapshot().get(Space::Items, key)).unwrap();
    stored.map(|bytes| decode_state(&bytes).unwrap())
}

fn entries(engine: &MemoryEngine, space: Space, prefix: &[u8]) -> Vec<Entry> {
    let range = KeyRange::prefix(prefix);
    let page = ready(
        engine
            .snapshot()
            .scan(space, range, Direction::Forward, 100_000),
    )
    .unwrap();
    page.entries
}

/// The announcements of a log, decoded.
pub(crate) fn announcements(engine: &MemoryEngine) -> Vec<Change> {
    entries(engine, Space::Log, &[])
        .iter()
        .map(|entry| Change::decode(&entry.value[1..]).unwrap())
        .collect()
}
