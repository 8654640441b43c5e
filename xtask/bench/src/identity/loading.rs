//! A hundred thousand users with a key each, put into a stopped lab: its sites' council takes its
//! seats in this process, over their own databases, and decides on them in large changes. Through
//! IAM's API, a request for each user and each key, the same settings would come about much slower.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use council::{Change, CouncilConfig, CouncilDriver, Expected, Timing};
use futures_util::future::{Either, select, select_all};
use identity::model::{AccessKey, ManagedPolicy, Policies, PolicyVersion, User};
use identity::{NONCE_BYTES, OPERATOR_KEY_BYTES, Purpose, Sealer, entries};
use runtime::SystemEnvironment;
use serde_json::json;
use store::{EmbeddedEngine, EmbeddedOptions, Engine};
use types::{AccountId, ByteSize, Deployment, Environment, SiteId, Span};
use zeroize::Zeroizing;

use super::policy_arn;
use crate::items::Numbers;

/// Users of one change: two settings each, below what a change may hold.
const BATCH: usize = 400;

/// How long the sites may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The managed policy that all have.
const SHARED: &str = "bench-shared";

type Driver = CouncilDriver<EmbeddedEngine>;
type Drivers = Arc<Mutex<BTreeMap<SiteId, Arc<Driver>>>>;

/// What became of it.
pub struct Loaded {
    /// How many settings there are.
    pub settings: usize,
    /// What they count towards the settings' limit.
    pub size: ByteSize,
    /// From the first change to the last one being known to every site.
    pub took: Duration,
    /// The time that each change took, in milliseconds.
    pub changes: Vec<f64>,
}

/// The name of a loaded user.
pub fn name(number: usize) -> String {
    format!("user-{number:06}")
}

/// The key of a loaded user.
pub fn key(number: usize) -> (String, String) {
    (access_key_id(number), secret(number))
}

/// A user as the configuration has it.
pub fn user(name: &str, number: usize, policies: Policies, key: &str) -> User {
    User {
        name: name.to_owned(),
        id: format!("AIDA{}", base32(number, 17)),
        path: "/".to_owned(),
        created: 1_800_000_000_000,
        policies,
        boundary: None,
        groups: [].into(),
        keys: vec![key.to_owned()],
        tags: BTreeMap::new(),
    }
}

/// Puts so many users with a key each into the stopped lab in that directory.
pub fn load(data: &Path, principals: usize) -> Result<Loaded> {
    let sealer = Sealer::new(&operator_key(data)?);
    runtime::run(0, async {
        let drivers = take_seats(data).await?;
        let all: Vec<Arc<Driver>> = lock(&drivers).values().cloned().collect();
        let loading = Box::pin(load_into(&all, principals, &sealer));
        let loaded = match select(Box::pin(run(&drivers)), loading).await {
            Either::Left((stopped, _)) => Err(stopped),
            Either::Right((loaded, _)) => loaded,
        };
        // They hold one another: without this no database would be closed.
        lock(&drivers).clear();
        loaded
    })?
}

async fn load_into(all: &[Arc<Driver>], principals: usize, sealer: &Sealer) -> Result<Loaded> {
    let leader = leader(all).await?;
    let started = Instant::now();
    let mut changes = Vec::new();
    let mut revision = propose(&leader, shared_policy()).await?;
    for first in (0..principals).step_by(BATCH) {
        let mut change = Change::new();
        for number in first..(first + BATCH).min(principals) {
            change = put_user(change, number, sealer);
        }
        let began = Instant::now();
        revision = propose(&leader, change).await?;
        changes.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for driver in all {
        let known = runtime::within(PATIENCE, driver.settings_after(revision - 1)).await;
        known.context("a site doesn't learn what was decided")?;
    }
    let settings = leader.settings();
    Ok(Loaded {
        settings: settings.count(),
        size: settings.size(),
        took: started.elapsed(),
        changes,
    })
}

async fn propose(leader: &Driver, change: Change) -> Result<u64> {
    Ok(leader.propose(change).await?)
}

/// Every site's seat, over its own database, and messages between them without delay.
async fn take_seats(data: &Path) -> Result<Drivers> {
    let mut engines = BTreeMap::new();
    for entry in std::fs::read_dir(data)? {
        let store = entry?.path().join("store");
        if store.is_dir() {
            let site = store.parent().and_then(Path::file_name);
            let site = site.context("a site's directory has a name")?;
            let engine = EmbeddedEngine::open(&store, EmbeddedOptions::modest())?;
            engines.insert(site.to_string_lossy().into_owned(), engine);
        }
    }
    let first = engines.values().next().context("the lab has sites")?;
    let saved = council::load(&first.snapshot()).await?;
    let deployment: Deployment = saved.settings().deployment().context("it has begun")?;
    let drivers = Drivers::default();
    for site in &deployment.sites {
        let engine = engines.remove(&site.name.to_string());
        let config = CouncilConfig {
            site: site.id,
            deployment: deployment.clone(),
            timing: Timing::for_round_trip(Span::ZERO),
        };
        let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new());
        let engine = engine.with_context(|| format!("{} has a database", site.name))?;
        let driver = CouncilDriver::open(engine, config, environment).await?;
        lock(&drivers).insert(site.id, driver);
    }
    Ok(drivers)
}

/// Runs the council at every site, until it stops at one.
async fn run(drivers: &Drivers) -> anyhow::Error {
    let seats: Vec<(SiteId, Arc<Driver>)> = lock(drivers)
        .iter()
        .map(|(site, driver)| (*site, Arc::clone(driver)))
        .collect();
    let runs = seats.into_iter().map(|(site, driver)| {
        let peers = Arc::clone(drivers);
        let outgoing = move |to: SiteId, bytes: Bytes| {
            let peer = lock(&peers).get(&to).cloned();
            if let Some(peer) = peer {
                peer.receive(site, bytes);
            }
        };
        Box::pin(driver.run(outgoing))
    });
    let (ended, ..) = select_all(runs).await;
    match ended {
        Err(error) => error.into(),
        Ok(()) => anyhow!("the council has stopped at a site"),
    }
}

async fn leader(drivers: &[Arc<Driver>]) -> Result<Arc<Driver>> {
    let environment = SystemEnvironment::new();
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let leads = |driver: &&Arc<Driver>| {
            let status = driver.status();
            status.role == council::Role::Leader && status.majority
        };
        if let Some(leader) = drivers.iter().find(leads) {
            return Ok(Arc::clone(leader));
        }
        let soon = environment.now().monotonic + Span::milliseconds(50);
        environment.sleep_until(soon).await;
    }
    bail!("the sites elect no leader")
}

fn shared_policy() -> Change {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["dynamodb:ListTables", "dynamodb:DescribeTable"],
            "Resource": "*",
        }],
    });
    let version = PolicyVersion {
        document: document.to_string().into(),
        created: 1,
    };
    let policy = ManagedPolicy {
        name: SHARED.to_owned(),
        id: format!("ANPA{}", base32(0, 17)),
        path: "/".to_owned(),
        created: 1,
        updated: 1,
        description: None,
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        next_version: 2,
        tags: BTreeMap::new(),
    };
    let key = entries::key::<ManagedPolicy>(AccountId::LAB, SHARED);
    Change::new().put(key, Expected::Absent, entries::encode(&policy))
}

fn put_user(change: Change, number: usize, sealer: &Sealer) -> Change {
    let (id, secret) = key(number);
    let name = name(number);
    let policies = Policies {
        attached: vec![policy_arn(SHARED)],
        inline: BTreeMap::new(),
    };
    let user = user(&name, number, policies, &id);
    let mut nonce = [0; NONCE_BYTES];
    runtime::fill_random(&mut nonce);
    let sealed = sealer.seal(Purpose::AccessKey, &id, secret.as_bytes(), &nonce);
    let access_key = AccessKey {
        account: AccountId::LAB.to_string(),
        user: name.clone(),
        created: 1_800_000_000_000,
        active: true,
        sealed: STANDARD.encode(sealed),
    };
    let user_key = entries::key::<User>(AccountId::LAB, &name);
    change
        .put(user_key, Expected::Absent, entries::encode(&user))
        .put(
            entries::access_key_key(&id),
            Expected::Absent,
            entries::encode(&access_key),
        )
}

/// The key that the lab made beside its directory.
fn operator_key(data: &Path) -> Result<Zeroizing<[u8; OPERATOR_KEY_BYTES]>> {
    let digits = Zeroizing::new(std::fs::read_to_string(data.with_extension("key"))?);
    let mut key = Zeroizing::new([0; OPERATOR_KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.trim().as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
    }
    Ok(key)
}

fn access_key_id(number: usize) -> String {
    format!("AKIA{}", base32(number, 16))
}

fn secret(number: usize) -> String {
    Numbers::new(1 + number as u64).text(40)
}

/// A number in so many digits of base 32.
fn base32(mut number: usize, length: usize) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = vec![b'A'; length];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[number % 32];
        number /= 32;
    }
    text.into_iter().map(char::from).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_a_batch_fits_a_change() {
        assert_eq!(access_key_id(0), format!("AKIA{}", "A".repeat(16)));
        assert_eq!(access_key_id(33), format!("AKIA{}BB", "A".repeat(14)));
        assert_ne!(secret(1), secret(2));
        let sealer = Sealer::new(&Zeroizing::new([1; OPERATOR_KEY_BYTES]));
        let change = (0..BATCH).fold(Change::new(), |change, number| {
            put_user(change, number, &sealer)
        });
        assert!(change.edits.len() <= council::MAX_EDITS);
        let size = change
            .edits
            .iter()
            .map(|edit| edit.key.len() + edit.value.as_ref().map_or(0, Bytes::len) + 32);
        assert!(size.sum::<usize>() <= council::MAX_CHANGE.as_usize());
    }
}
