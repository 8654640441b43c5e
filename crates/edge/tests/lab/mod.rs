//! What steers two Regions and one edge, over real links, in one thread under virtual time.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use council::{CouncilConfig, CouncilDriver, Timing};
use edge::{Edge, EdgeConfig, Task};
use health::TargetPolicy;
use link::certificate::{CertificateAuthority, EnvironmentTime, Identity};
use link::{
    Action, Admission, ConnectionId, Lane, Link, LinkConfig, MAXIMUM_AGE, Plain, Port, Service,
    Windows, handshake,
};
use routing::Locator;
use steering::{Steering, SteeringOptions};
use store::MemoryEngine;
use types::{
    Deployment, Environment, Monotonic, Now, ProbeOrder, ProbeOutcome, Prober, Region, Site,
    SiteId, SiteName, Sleep, Span, Timestamp,
};

/// The wall clock at the start: any time that a certificate can bear.
const START: u64 = 1_700_000_000_000;

/// Polled over and over, it wakes nobody.
pub struct Clock(pub AtomicU64);

struct Until(Arc<Clock>, u64);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.0.load(Ordering::Relaxed) >= self.1 {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

pub struct World(pub Arc<Clock>);

impl Environment for World {
    fn now(&self) -> Now {
        let micros = self.0.0.load(Ordering::Relaxed);
        Now {
            wall: Timestamp(START + micros / 1000),
            monotonic: Monotonic(micros),
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(Until(self.0.clone(), at.0))
    }

    fn random(&self) -> u64 {
        0
    }
}

pub type Ports = BTreeMap<SiteId, Arc<Port>>;

/// Both ends of one link, and its connections by their ids at either end.
pub struct Wire {
    pub ends: [(Arc<Port>, usize); 2],
    pub connections: Vec<[ConnectionId; 2]>,
}

pub struct Lab {
    pub clock: Arc<Clock>,
    pub deployment: Deployment,
    pub identities: Vec<Identity>,
    pub wires: Vec<Wire>,
    pub regions: Vec<(Arc<CouncilDriver<MemoryEngine>>, Ports)>,
    pub steerings: Vec<Arc<Steering<MemoryEngine>>>,
    pub edge: Arc<Edge<MemoryEngine>>,
    pub tasks: Vec<Task>,
    /// How many of them are the edge's: the first.
    pub edge_tasks: usize,
    /// The edge's.
    pub engine: MemoryEngine,
    pub prober: Arc<Endpoints>,
}

/// Every endpoint there is: all of them answer, or none; but for some that never do.
#[derive(Default)]
pub struct Endpoints {
    pub answer: AtomicBool,
    pub refuses: Mutex<BTreeSet<IpAddr>>,
}

impl Prober for Endpoints {
    fn probe(&self, order: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>> {
        let refuses = self.refuses.lock().expect("no test panics with it");
        let answers = self.answer.load(Ordering::Relaxed);
        let outcome = match answers && !refuses.contains(&order.endpoint.ip()) {
            true => ProbeOutcome::Connected,
            false => ProbeOutcome::Refused,
        };
        Box::pin(async { outcome })
    }
}

/// Probes every 200 ms.
pub fn options(prober: &Arc<Endpoints>) -> SteeringOptions {
    SteeringOptions {
        health: health::Settings::new(Some(Span::milliseconds(200))).expect("a good interval"),
        targets: TargetPolicy::lab(),
        locator: Locator::new(None),
        addresses: BTreeMap::new(),
        prober: prober.clone(),
    }
}

pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it should be ready at once"),
    }
}

pub fn two_regions_and_an_edge() -> Deployment {
    let places: Vec<Region> = Region::all().take(2).collect();
    let mut sites = Vec::new();
    for (place, id) in places.iter().zip(1..) {
        sites.push(Site {
            id: SiteId(id),
            name: SiteName::Region(*place),
            place: *place,
        });
    }
    sites.push(Site {
        id: SiteId(3),
        name: SiteName::Edge(1),
        place: places[0],
    });
    Deployment { sites }
}

pub fn ports(deployment: &Deployment) -> (Vec<Wire>, Vec<Ports>) {
    let mut wires = Vec::new();
    let mut ports = vec![Ports::new(); deployment.sites.len()];
    for (one, local) in deployment.sites.iter().enumerate() {
        for (other, peer) in deployment.sites.iter().enumerate().skip(one + 1) {
            let mut ends = [(one, local, peer), (other, peer, local)].map(|(at, local, peer)| {
                let config = LinkConfig {
                    local: local.name,
                    peer: peer.name,
                    windows: Windows::STANDARD,
                    maximum_age: MAXIMUM_AGE,
                    seed: at as u64,
                };
                let port = Arc::new(Port::new(peer.name, Link::new(Monotonic(0), config)));
                ports[at].insert(peer.id, port.clone());
                (port, at)
            });
            if !ends[0].0.dials() {
                ends.swap(0, 1);
            }
            wires.push(Wire {
                ends,
                connections: Vec::new(),
            });
        }
    }
    (wires, ports)
}

pub fn lab() -> Lab {
    let deployment = two_regions_and_an_edge();
    let clock = Arc::new(Clock(AtomicU64::new(0)));
    let authority = CertificateAuthority::generate(Timestamp(START)).expect("an authority");
    let issue = |site: &Site| {
        authority
            .issue(site.name, Timestamp(START))
            .expect("a certificate")
    };
    let identities = deployment.sites.iter().map(issue).collect();
    let (wires, mut ports) = ports(&deployment);
    let environment = || Arc::new(World(clock.clone()));
    let prober = Arc::new(Endpoints::default());
    let config = EdgeConfig {
        deployment: deployment.clone(),
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&prober),
    };
    let engine = MemoryEngine::new();
    let edge_ports = ports.pop().expect("the edge's");
    let edge = now(Edge::open(
        engine.clone(),
        config,
        environment(),
        edge_ports,
    ))
    .expect("an edge");
    let mut tasks = edge.tasks();
    let edge_tasks = tasks.len();
    let (mut regions, mut steerings) = (Vec::new(), Vec::new());
    for (site, ports) in deployment.sites.clone().into_iter().zip(ports) {
        let config = CouncilConfig {
            site: site.id,
            deployment: deployment.clone(),
            timing: Timing::for_round_trip(Span::ZERO),
        };
        let engine = MemoryEngine::new();
        let driver = now(CouncilDriver::open(engine.clone(), config, environment()));
        let driver = driver.expect("a seat");
        let steering = now(Steering::open(
            engine,
            driver.clone(),
            (deployment.clone(), site.id),
            options(&prober),
            environment(),
            ports.clone(),
        ));
        let steering = steering.expect("a site of the deployment");
        tasks.extend(steering.tasks());
        steerings.push(steering);
        let (running, out, environment) = (driver.clone(), ports.clone(), environment());
        tasks.push(Box::pin(async move {
            let outgoing = |to: SiteId, payload: Bytes| {
                let port = &out[&to];
                let plain = Plain::new(port.peer(), Lane::Council, Service(0), "", payload);
                let plain = plain.expect("a council's message fits an envelope");
                // It may not be connected yet: the council repeats itself.
                let _ = port.send(environment.now().monotonic, &Admission::open(), plain);
            };
            running.run(outgoing).await.expect("the engine works");
        }));
        regions.push((driver, ports));
    }
    Lab {
        clock,
        deployment,
        identities,
        wires,
        regions,
        steerings,
        edge,
        tasks,
        edge_tasks,
        engine,
        prober,
    }
}

impl Lab {
    pub fn now(&self) -> Monotonic {
        Monotonic(self.clock.0.load(Ordering::Relaxed))
    }

    pub fn run(&mut self, span: Span) {
        let end = self.now() + span;
        while self.now() < end {
            self.clock.0.fetch_add(5_000, Ordering::Relaxed);
            for at in 0..self.wires.len() {
                self.dial(at);
                self.pump(at);
            }
            for ((driver, ports), steering) in self.regions.iter().zip(&self.steerings) {
                steering.look_at_links();
                for (peer, port) in ports {
                    while let Some(delivery) = port.next_delivery() {
                        if delivery.lane == Lane::Council {
                            driver.receive(*peer, delivery.payload);
                        } else {
                            steering.receive(*peer, delivery.service, delivery.payload);
                        }
                        port.consumed(self.now(), delivery.receipt);
                    }
                }
            }
            let mut context = Context::from_waker(Waker::noop());
            for task in &mut self.tasks {
                assert!(
                    task.as_mut().poll(&mut context).is_pending(),
                    "a task ended"
                );
            }
        }
    }

    fn dial(&mut self, at: usize) {
        let now = self.now();
        let wire = &mut self.wires[at];
        let [(client, one), (server, other)] = &wire.ends;
        while let Some(action) = client.next_action(now) {
            let Action::Dial(class) = action else {
                continue;
            };
            let environment: Arc<dyn Environment> = Arc::new(World(self.clock.clone()));
            let time = || Arc::new(EnvironmentTime(environment.clone()));
            let dialling = self.identities[*one]
                .client_config(class, time())
                .expect("usable");
            let accepting = self.identities[*other]
                .server_config(time())
                .expect("usable");
            let (dialled, accepted) =
                handshake::in_memory(&dialling, client.peer(), &accepting).expect("a handshake");
            let ids = [
                client.connected(now, dialled),
                server.connected(now, accepted),
            ];
            wire.connections
                .push(ids.map(|id| id.expect("nothing is cut")));
        }
        while server.next_action(now).is_some() {}
    }

    fn pump(&mut self, at: usize) {
        let now = self.now();
        let wire = &self.wires[at];
        for ids in &wire.connections {
            for (from, to) in [(0, 1), (1, 0)] {
                while let Some(bytes) = wire.ends[from].0.transmit(now, ids[from]) {
                    let received = wire.ends[to].0.received(now, ids[to], &bytes);
                    received.expect("both ends speak the protocol");
                }
            }
        }
    }
}
