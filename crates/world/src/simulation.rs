//! One simulation from beginning to end: a global table of three Regions, clients in each, a
//! schedule of faults, a heal, and the checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use identity::RootKey;
use serde_json::json;
use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::{Monotonic, Region as Name, SiteId, Span, Version};

use crate::check::{Conflict, HeldState, Holdings, Violation, check};
use crate::faults::{Fault, schedule};
use crate::history::{History, Outcome, WriteId};
use crate::random::Random;
use crate::slow::SlowEngine;
use crate::workload::{Client, Habits, TABLE, make_writer, work};
use crate::world::{PlantedBug, World};

/// How long the table may take to have its replicas.
const SETUP: Span = Span::seconds(120);

/// How long clients and faults are at work.
const TURMOIL: Span = Span::seconds(20);

/// How long everything may take to arrive after the heal. Liveness is asserted then and not
/// before.
const HEALING: Span = Span::seconds(120);

/// Between looks.
const LOOK: Span = Span::milliseconds(250);

/// What a simulation found.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What must never be; empty if all is well.
    pub violations: Vec<Violation>,
    /// Didn't everything arrive in time after the heal?
    pub stuck: Option<String>,
    /// Everything that happened, condensed.
    pub trace: u64,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Rows of the ledger, all Regions together.
    pub conflicts: usize,
    /// The faults that were injected.
    pub faults: Vec<(Monotonic, Fault)>,
}

impl Report {
    /// Is everything as it must be?
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty() && self.stuck.is_none()
    }
}

/// Runs the simulation of a seed.
pub fn simulate(seed: u64, planted: Option<PlantedBug>) -> Report {
    let mut simulation = Simulation::new(seed, planted);
    let mut stuck = simulation.set_up().err();
    if stuck.is_none() {
        simulation.turmoil();
        stuck = simulation.heal().err();
    }
    simulation.report(stuck)
}

struct Simulation {
    seed: u64,
    world: World,
    /// What clients sign with, once there is a user for them.
    writer: Option<RootKey>,
    random: Random,
    history: Arc<Mutex<History>>,
    habits: Habits,
    versions: BTreeMap<(Name, Vec<u8>), Version>,
    went_back: Vec<Violation>,
    faults: Vec<(Monotonic, Fault)>,
}

impl Simulation {
    fn new(seed: u64, planted: Option<PlantedBug>) -> Simulation {
        let mut random = Random::new(seed ^ 0xca05_e4a7);
        let habits = Habits {
            keys: [1, 3, 5, 400][random.below(4) as usize],
            pause: [60, 250, 1_000][random.below(3) as usize],
            on_the_stroke: random.one_in(4),
        };
        Simulation {
            seed,
            world: World::new(seed, planted),
            writer: None,
            random,
            history: Arc::default(),
            habits,
            versions: BTreeMap::new(),
            went_back: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Makes the table, its replicas and a user who writes to it, in a world without faults.
    fn set_up(&mut self) -> Result<(), String> {
        let client = self.client(SiteId(1)).ok_or("the first Region is down")?;
        let done = Arc::new(Mutex::new(None));
        let finished = done.clone();
        self.world.spawn(SiteId(1), async move {
            make_table(&client).await;
            let writer = make_writer(&client).await;
            *finished.lock().expect("nothing panics inside") = Some(writer);
        });
        let end = self.world.now() + SETUP;
        while self.writer.is_none() || !self.world.agree_on_settings() {
            if self.world.now() >= end {
                return Err("the table did not get its replicas, or its user".to_owned());
            }
            self.world.run(self.world.now() + LOOK);
            self.writer = done.lock().expect("nothing panics inside").clone();
        }
        Ok(())
    }

    /// Clients and faults at work.
    fn turmoil(&mut self) {
        let begin = self.world.now();
        let end = begin + TURMOIL;
        let sites = self.world.sites();
        for site in &sites {
            self.employ(*site);
        }
        let mut faults = schedule(&mut self.random, &sites, begin, end);
        self.faults.clone_from(&faults);
        faults.push((end, Fault::Break(SiteId(1), SiteId(2))));
        for (at, fault) in faults {
            while self.world.now() < at {
                self.world.run((self.world.now() + LOOK).min(at));
                self.watch_versions();
            }
            self.world.inject(fault);
            if let Fault::Restart(site) = fault {
                self.employ(site);
            }
        }
    }

    /// Two clients of a Region that is up; they die with it.
    fn employ(&mut self, site: SiteId) {
        for _ in 0..2 {
            let random = self.random.split();
            if let Some(client) = self.client(site) {
                let history = self.history.clone();
                let end = TURMOIL;
                let begin = self.world.now();
                self.world.spawn(
                    site,
                    work(client, history, self.habits, random, begin + end),
                );
            }
        }
    }

    fn client(&self, site: SiteId) -> Option<Client> {
        let region = self
            .world
            .regions()
            .into_iter()
            .find(|r| self.world.site_of(r) == site)?;
        let environment = self.world.environment(site);
        Some(Client {
            region,
            environment,
            key: self.writer.as_ref().unwrap_or(self.world.key()).clone(),
        })
    }

    /// Ends every fault and waits until every Region has applied all that the others hold.
    fn heal(&mut self) -> Result<(), String> {
        self.world.heal();
        let end = self.world.now() + HEALING;
        // Clients finish what they began, then the links fall silent.
        self.world.run(self.world.now() + TURMOIL);
        loop {
            self.world.run(self.world.now() + LOOK);
            self.watch_versions();
            let behind: Vec<String> = self
                .world
                .regions()
                .iter()
                .flat_map(|region| region.lag())
                .filter(|lag| lag.backlog != Some(0))
                .map(|lag| format!("{lag:?}"))
                .collect();
            if behind.is_empty() {
                return Ok(());
            }
            if self.world.now() >= end {
                return Err(behind.join("; "));
            }
        }
    }

    /// Within a Region an item's version never goes back.
    fn watch_versions(&mut self) {
        for region in self.world.regions() {
            for (key, state) in self.states(&region) {
                let at = (region.name(), key.clone());
                let before = self.versions.insert(at, state.dot);
                if before.is_some_and(|before| before > state.dot) {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    self.went_back.push(Violation::WentBack {
                        region: region.name(),
                        key,
                    });
                }
            }
        }
    }

    /// Every state a Region holds, by its key without the number of its table.
    fn states(&self, region: &region::Region<SlowEngine>) -> Vec<(Vec<u8>, tables::State)> {
        let site = self.world.site_of(region);
        let Some(engine) = self.world.engine(site) else {
            return Vec::new();
        };
        let snapshot = engine.snapshot();
        let scan = snapshot.scan(
            Space::Items,
            KeyRange::all(),
            Direction::Forward,
            usize::MAX,
        );
        let page = scan
            .now_or_never()
            .expect("memory never waits")
            .expect("memory reads");
        let states = page.entries.into_iter().map(|entry| {
            let state = tables::decode_state(&entry.value).expect("a stored state reads back");
            (entry.key[8..].to_vec(), state)
        });
        states.collect()
    }

    fn holdings(&self) -> BTreeMap<Name, Holdings> {
        let regions = self.world.regions();
        let held = regions.iter().map(|region| {
            let states = self.states(region).into_iter().map(|(key, state)| {
                let write = match &state.content {
                    tables::Content::Item(item) => write_of(item),
                    tables::Content::Tombstone => None,
                };
                let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
                (
                    key,
                    HeldState {
                        version: state.dot.to_string(),
                        write,
                    },
                )
            });
            let conflicts = ledger_of(region).into_iter().map(conflict).collect();
            (
                region.name(),
                Holdings {
                    states: states.collect(),
                    conflicts,
                },
            )
        });
        held.collect()
    }

    fn report(self, stuck: Option<String>) -> Report {
        let holdings = self.holdings();
        let history = self.history.lock().expect("nothing panics inside");
        let mut violations = self.went_back.clone();
        if stuck.is_none() {
            violations.extend(check(&history, &holdings));
        }
        let done = history
            .writes()
            .iter()
            .filter(|write| write.outcome == Outcome::Done);
        Report {
            seed: self.seed,
            violations,
            stuck,
            trace: self.world.trace(),
            acknowledged: done.count(),
            conflicts: holdings.values().map(|held| held.conflicts.len()).sum(),
            faults: self.faults,
        }
    }
}

/// Every row of a Region's ledger.
fn ledger_of(region: &region::Region<SlowEngine>) -> Vec<tables::ConflictRecord> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let filter = tables::ConflictFilter::default();
        let page = region
            .tables()
            .conflicts(&filter, after, 1_000)
            .now_or_never();
        let page = page.expect("memory never waits").expect("memory reads");
        rows.extend(page.conflicts);
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

fn conflict(row: tables::ConflictRecord) -> (String, Conflict) {
    let written = |state: &tables::State| match &state.content {
        tables::Content::Item(item) => write_of(item),
        tables::Content::Tombstone => None,
    };
    let conflict = Conflict {
        key: format!("{:?}", row.encoded_key),
        winner_version: row.winner.dot.to_string(),
        loser_version: row.loser.dot.to_string(),
        winner: written(&row.winner),
        loser: written(&row.loser),
    };
    (row.id.to_string(), conflict)
}

fn write_of(item: &tables::Item) -> Option<WriteId> {
    match item.get("w") {
        Some(tables::AttributeValue::Number(number)) => number.to_string().parse().ok(),
        _ => None,
    }
}

async fn make_table(client: &Client) {
    let table = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    until_done(client, "CreateTable", table).await;
    for region in &crate::deployment::REGIONS[1..] {
        let update = json!({
            "TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": region}}],
        });
        until_done(client, "UpdateTable", update).await;
    }
    loop {
        let described = client
            .call("DescribeTable", json!({"TableName": TABLE}))
            .await;
        let replicas = described.map(|answer| answer["Table"]["Replicas"].clone());
        let replicas = replicas
            .ok()
            .and_then(|replicas| replicas.as_array().cloned());
        let active = replicas
            .iter()
            .flatten()
            .filter(|r| r["ReplicaStatus"] == "ACTIVE")
            .count();
        if active == crate::deployment::REGIONS.len() - 1 {
            return;
        }
        client.rest(LOOK).await;
    }
}

async fn until_done(client: &Client, operation: &str, body: serde_json::Value) {
    while client.call(operation, body.clone()).await.is_err() {
        client.rest(LOOK).await;
    }
}
