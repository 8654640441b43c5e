//! One Region on a memory engine, under a clock that moves when it is looked at: requests in,
//! answers out, each driven to its end with the Region's tasks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use aws::signature::{Credentials, Rules, SecretKey, Target, sign};
use bytes::Bytes;
use council::Settings;
use http::{Request, Response};
use identity::{RootKey, RootKeys, Sealer};
use objects::blob::MemoryBlobs;
use objects::notify::NoWebhooks;
use region::{
    BalancersOptions, Client, DatabasesOptions, ObjectsOptions, OpenError, Region, RegionConfig,
    RegionSecrets, Task,
};
use routing::Locator;
use steering::SteeringOptions;
use store::{Direction, Engine, KeyRange, MemoryEngine, Snapshot, Space};
use types::{
    AccountId, Deployment, Environment, Monotonic, Now, ProbeOrder, ProbeOutcome, Prober, Site,
    SiteId, SiteName, Sleep, Span, Timestamp,
};
use zeroize::Zeroizing;

use crate::requests::{Ask, Service, form};

/// Turns that something may take: far more than anything does.
const TURNS: usize = 100_000;

/// What the clock moves by in a turn.
const TURN: Span = Span::milliseconds(2);

/// A clock that the lab moves, and numbers that only look random.
#[derive(Default)]
struct Clock {
    now: Arc<AtomicU64>,
    drawn: AtomicU64,
}

impl Environment for Clock {
    fn now(&self) -> Now {
        let monotonic = Monotonic(self.now.load(Ordering::Relaxed));
        Now {
            wall: Timestamp(1_795_000_000_000 + monotonic.0 / 1000),
            monotonic,
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let now = self.now.clone();
        Box::pin(poll_fn(move |_| {
            match now.load(Ordering::Relaxed) >= at.0 {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }))
    }

    fn random(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        let mixed = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }
}

/// There is nothing to probe.
struct NoEndpoints;

impl Prober for NoEndpoints {
    fn probe(&self, _: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>> {
        Box::pin(async { ProbeOutcome::Refused })
    }
}

/// An access key.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Key {
    /// A long-lived one.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Key {
        Key {
            id: id.into(),
            secret: secret.into(),
            token: None,
        }
    }
}

/// Who signs a request.
pub enum Signed<'a> {
    Nobody,
    By(&'a Key),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// An error's code; empty of a success.
    pub fn code(&self) -> String {
        let json = serde_json::from_str::<serde_json::Value>(&self.text);
        let code = match &json {
            Ok(json) => json["__type"].as_str().unwrap_or_default().to_owned(),
            Err(_) => self.element("Code"),
        };
        match self.status < 300 {
            true => String::new(),
            false => code.rsplit('#').next().unwrap_or_default().to_owned(),
        }
    }

    /// An error's text.
    pub fn message(&self) -> String {
        match serde_json::from_str::<serde_json::Value>(&self.text) {
            Ok(json) => {
                let members = [&json["message"], &json["Message"]];
                let text = members.iter().find_map(|text| text.as_str());
                text.unwrap_or_default().to_owned()
            }
            Err(_) => self.element("Message"),
        }
    }

    /// The text of the first element of that name.
    pub fn element(&self, name: &str) -> String {
        let rest = self.text.split_once(&format!("<{name}>"));
        let text = rest.and_then(|(_, rest)| rest.split_once("</"));
        text.map_or_else(String::new, |(text, _)| text.replace("&quot;", "\""))
    }
}

/// Everything that operations may change.
#[derive(PartialEq)]
pub struct State(Vec<(Bytes, Bytes)>, u64);

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} entries, settings of revision {}",
            self.0.len(),
            self.1
        )
    }
}

/// A Region and its tasks.
pub struct Lab {
    region: Arc<Region<MemoryEngine>>,
    engine: MemoryEngine,
    clock: Arc<Clock>,
    tasks: RefCell<Vec<Task>>,
    root: Key,
    turns: Cell<u64>,
}

impl Lab {
    /// A Region that leads the council of itself, and has put its root key there.
    pub fn new() -> Lab {
        let opened = Lab::on(MemoryEngine::new(), 9);
        opened.unwrap_or_else(|error| panic!("a Region opens on an empty engine: {error}"))
    }

    /// The same on what an earlier one has left, with an operator's key of that byte.
    pub fn on(engine: MemoryEngine, operator: u8) -> Result<Lab, OpenError> {
        let clock = Arc::<Clock>::default();
        let root = RootKey::generate(&Zeroizing::new([7; identity::RANDOM_BYTES]));
        let secrets = RegionSecrets {
            root_keys: RootKeys::new(root.clone()),
            sealer: Arc::new(Sealer::new(&Zeroizing::new([operator; 32]))),
        };
        let opening = Region::open(
            engine.clone(),
            config(),
            steering(),
            clock.clone(),
            secrets,
            BTreeMap::new(),
        );
        let opened = pin!(opening).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(opened) = opened else {
            panic!("memory is read at once");
        };
        let region = opened?;
        let lab = Lab {
            tasks: RefCell::new(region.tasks()),
            region,
            engine,
            clock,
            root: Key::new(root.access_key_id(), root.secret().expose()),
            turns: Cell::new(0),
        };
        let has_keys =
            |settings: &Settings| settings.get(&RootKeys::setting(AccountId::LAB)).is_some();
        lab.turn_until(|lab| has_keys(&lab.region.council().settings()));
        lab.turn_until(|lab| lab.region.council().status().majority);
        lab.settle();
        Ok(lab)
    }

    /// Ends it; what is left is its engine.
    pub fn end(self) -> MemoryEngine {
        self.engine
    }

    /// The Region.
    pub fn region(&self) -> &Region<MemoryEngine> {
        &self.region
    }

    /// Lets that much time pass.
    pub fn pass(&self, span: Span) {
        self.clock.now.fetch_add(span.0, Ordering::Relaxed);
        self.settle();
    }

    /// Drives something to its end, with the Region's tasks.
    pub fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut outcome = None;
        self.turn_until(|_| {
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(ended) = polled {
                outcome = Some(ended);
            }
            outcome.is_some()
        });
        outcome.expect("it came to its end")
    }

    /// A moment passes: every task gets on.
    fn turn(&self) {
        self.turns.set(self.turns.get() + 1);
        self.clock.now.fetch_add(TURN.0, Ordering::Relaxed);
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
    }

    fn turn_until(&self, mut is_done: impl FnMut(&Lab) -> bool) {
        for _ in 0..TURNS {
            if is_done(self) {
                return;
            }
            self.turn();
        }
        panic!("it never comes to its end");
    }

    /// Until what was decided is in effect.
    pub fn settle(&self) {
        for _ in 0..20 {
            self.turn();
        }
    }

    /// Everything that operations may change: tables with what is in them, and the settings.
    pub fn state(&self) -> State {
        let snapshot = self.engine.snapshot();
        let spaces = [Space::Items, Space::Indexes, Space::Log, Space::Conflicts];
        let ranges = spaces.map(|space| (space, KeyRange::all()));
        let tables = (Space::Meta, KeyRange::prefix(b"tables/"));
        let mut found = Vec::new();
        for (space, range) in ranges.into_iter().chain([tables]) {
            let scan = snapshot.scan(space, range, Direction::Forward, 10_000);
            let scanned = pin!(scan).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(page)) = scanned else {
                panic!("memory is read at once");
            };
            found.extend(
                page.entries
                    .into_iter()
                    .map(|entry| (entry.key, entry.value)),
            );
        }
        State(found, self.region.council().settings().revision())
    }

    /// Sends what asks for a row.
    pub fn send(&self, ask: &Ask, signed: &Signed<'_>) -> Answer {
        let (mut parts, ()) = ask.request().into_parts();
        let body = Bytes::from(ask.body.clone());
        if let Signed::By(key) = signed {
            let secret = SecretKey::new(key.secret.clone());
            let credentials = Credentials {
                access_key_id: &key.id,
                secret: &secret,
                session_token: key.token.as_deref(),
            };
            let target = Target {
                service: ask.service.name(),
                region: self.region.name(),
                rules: match ask.service {
                    Service::DynamoDb => Rules::JSON,
                    Service::Route53 => Rules::REST,
                    Service::Iam | Service::Sts | Service::LoadBalancing => Rules::QUERY,
                },
            };
            let now = self.clock.now().wall;
            sign(&mut parts, &body, &credentials, &target, now).expect("it can be signed");
        }
        let client = Client {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
        };
        let request = Request::from_parts(parts, body);
        let response: Response<Bytes> = self.drive(self.region.handle(client, request));
        Answer {
            status: response.status().as_u16(),
            text: String::from_utf8_lossy(response.body()).into_owned(),
        }
    }

    /// What the root asks for, which must succeed.
    pub fn ok(&self, ask: &Ask) -> Answer {
        let answer = self.send(ask, &Signed::By(&self.root));
        assert!(answer.status < 300, "{}: {answer:?}", ask.action);
        self.settle();
        answer
    }

    /// A user with that policy, and a key of theirs.
    pub fn user(&self, name: &str, policy: Option<&str>) -> Key {
        self.ok(&form("iam", "CreateUser", &[("UserName", name)]));
        if let Some(policy) = policy {
            self.allow(name, policy);
        }
        let made = self.ok(&form("iam", "CreateAccessKey", &[("UserName", name)]));
        Key::new(made.element("AccessKeyId"), made.element("SecretAccessKey"))
    }

    /// Gives a user that policy in place of the one before.
    pub fn allow(&self, name: &str, policy: &str) {
        let policy = [
            ("UserName", name),
            ("PolicyName", "walk"),
            ("PolicyDocument", policy),
        ];
        self.ok(&form("iam", "PutUserPolicy", &policy));
    }

    /// Switches a user's key off.
    pub fn deactivate(&self, name: &str, key: &Key) {
        let status = [
            ("UserName", name),
            ("AccessKeyId", key.id.as_str()),
            ("Status", "Inactive"),
        ];
        self.ok(&form("iam", "UpdateAccessKey", &status));
    }
}

fn config() -> RegionConfig {
    let region: types::Region = "us-east-1".parse().expect("it is one");
    let site = Site {
        id: SiteId(1),
        name: SiteName::Region(region),
        place: region,
    };
    RegionConfig {
        deployment: Deployment { sites: vec![site] },
        site: SiteId(1),
        account: AccountId::LAB,
        accelerator_pools: Err("nobody carries flows here".to_owned()),
        balancers: BalancersOptions::none("nobody carries requests here"),
        databases: DatabasesOptions::none("no server runs here"),
        largest_round_trip: Span::milliseconds(1),
        objects: ObjectsOptions {
            blobs: Arc::new(MemoryBlobs::new()),
            webhooks: Arc::new(NoWebhooks),
        },
        planted: None,
        planted_in_tables: None,
    }
}

fn steering() -> SteeringOptions {
    SteeringOptions {
        health: health::Settings::new(None).expect("the service's own intervals"),
        targets: health::TargetPolicy::lab(),
        locator: Locator::new(None),
        addresses: BTreeMap::new(),
        prober: Arc::new(NoEndpoints),
    }
}
