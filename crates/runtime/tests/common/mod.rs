//! Two sites joined by the link, over real sockets and TLS, for what streams between them carry.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use link::certificate::CertificateAuthority;
use link::{
    Admission, Lane, Link, LinkConfig, Plain, Port, Service, Shape, StreamExchange, Windows,
};
use runtime::{LinkPeer, Links, StreamDirectory, Streams, SystemEnvironment, TargetPlace, listen};
use tempfile::TempDir;
use tokio::task::JoinSet;
use types::{Environment, SiteId, Span};

pub const WAIT: Duration = Duration::from_secs(20);
pub const US: SiteId = SiteId(1);
pub const EU: SiteId = SiteId(2);

/// The service that streams are metered under here.
pub const SERVICE: Service = Service(5);

/// One end: its streams, and all that drives them.
pub struct End {
    pub port: Arc<Port>,
    environment: Arc<SystemEnvironment>,
    pub streams: Streams,
    /// Envelopes of changes that arrived.
    pub changes: Arc<AtomicUsize>,
    _links: Links,
    _tasks: JoinSet<()>,
}

/// Two ends, of which `eu` gives `us` what is in `given`.
pub struct Pair {
    pub us: End,
    pub eu: End,
    pub directory: TempDir,
}

/// What a site gives one of its peers.
pub struct Given {
    pub peer: SiteId,
    pub targets: BTreeMap<String, PathBuf>,
}

impl StreamDirectory for Given {
    fn target(&self, peer: SiteId, target: &str) -> Option<TargetPlace> {
        match peer == self.peer {
            true => self.targets.get(target).cloned().map(TargetPlace::Socket),
            false => None,
        }
    }
}

/// What a Region does for its streams.
async fn carry(
    port: Arc<Port>,
    exchange: Arc<StreamExchange>,
    environment: Arc<SystemEnvironment>,
    changes: Arc<AtomicUsize>,
) {
    loop {
        let bell = port.site_bell();
        exchange.follow(&port);
        while let Some(delivery) = port.next_delivery() {
            match delivery.lane {
                Lane::Stream => exchange.receive(delivery.payload),
                _ => {
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            }
            port.consumed(environment.now().monotonic, delivery.receipt);
        }
        bell.await;
    }
}

pub fn pair_aged(maximum_age: Span) -> Pair {
    let now = SystemEnvironment::new().now().wall;
    let authority = CertificateAuthority::generate(now).unwrap();
    let sites = ["us-east-1", "eu-west-1"].map(|site| site.parse().unwrap());
    let listeners = sites.map(|_| listen("127.0.0.1:0".parse().unwrap()).unwrap());
    let addresses: Vec<_> = listeners
        .iter()
        .map(|at| at.local_addr().unwrap())
        .collect();
    let ends = listeners.into_iter().enumerate().map(|(side, listener)| {
        let identity = authority.issue(sites[side], now).unwrap();
        let environment = Arc::new(SystemEnvironment::new());
        let config = LinkConfig {
            local: sites[side],
            peer: sites[1 - side],
            windows: Windows::STANDARD,
            maximum_age,
            seed: environment.random(),
        };
        let monotonic = environment.now().monotonic;
        let port = Arc::new(Port::new(config.peer, Link::new(monotonic, config)));
        let peer = LinkPeer {
            port: Arc::clone(&port),
            address: addresses[1 - side],
        };
        let links = Links::start(listener, &identity, vec![peer], environment.clone()).unwrap();
        let clocks: Arc<dyn Environment> = environment.clone();
        let exchange = Arc::new(StreamExchange::new(sites[1 - side], clocks));
        let changes = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(
            Arc::clone(&port),
            Arc::clone(&exchange),
            environment.clone(),
            Arc::clone(&changes),
        ));
        let (shipped, over) = (Arc::clone(&exchange), Arc::clone(&port));
        tasks.spawn(async move { shipped.ship(&over, &Admission::open(), SERVICE).await });
        let peer = if side == 0 { EU } else { US };
        End {
            port,
            environment,
            streams: Streams::start(BTreeMap::from([(peer, exchange)])),
            changes,
            _links: links,
            _tasks: tasks,
        }
    });
    let mut ends = ends;
    Pair {
        us: ends.next().unwrap(),
        eu: ends.next().unwrap(),
        directory: tempfile::tempdir().unwrap(),
    }
}

impl End {
    pub fn shape(&self, shape: Shape) {
        self.port.set_shape(self.environment.now().monotonic, shape);
    }

    pub async fn until(&self, condition: impl Fn(&End) -> bool) {
        let waiting = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT, waiting).await.expect("in time");
    }

    pub fn open(&self) -> u64 {
        self.streams
            .counts()
            .values()
            .map(|counts| counts.open)
            .sum()
    }

    pub fn send_change(&self) {
        let payload = Bytes::from_static(b"change");
        let to = self.port.peer();
        let plain = Plain::new(to, Lane::Changes, Service(1), "Orders", payload).unwrap();
        let now = self.environment.now().monotonic;
        self.port.send(now, &Admission::open(), plain).unwrap();
    }
}

impl Pair {
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn connected(&self) {
        let is_connected = |end: &End| end.port.is_connected(Lane::Stream);
        tokio::join!(self.us.until(is_connected), self.eu.until(is_connected));
        // What has to be told of it is told by a bell.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
