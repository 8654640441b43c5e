//! Two Regions' seats and one edge over real links, in one thread under virtual time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use council::{Change, CouncilConfig, CouncilDriver, Expected, Role, Timing};
use edge::{Edge, EdgeConfig, OpenError, Task};
use link::certificate::{CertificateAuthority, EnvironmentTime, Identity};
use link::{
    Action, Admission, ConnectionId, Lane, Link, LinkConfig, MAXIMUM_AGE, Plain, Port, Service,
    Windows, handshake,
};
use store::MemoryEngine;
use types::{
    Deployment, Environment, Monotonic, Now, Region, Site, SiteId, SiteName, Sleep, Span, Timestamp,
};

/// The wall clock at the start: any time that a certificate can bear.
const START: u64 = 1_700_000_000_000;

/// Polled over and over, it wakes nobody.
struct Clock(AtomicU64);

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

struct World(Arc<Clock>);

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

type Ports = BTreeMap<SiteId, Arc<Port>>;

/// Both ends of one link, and its connections by their ids at either end.
struct Wire {
    ends: [(Arc<Port>, usize); 2],
    connections: Vec<[ConnectionId; 2]>,
}

struct Lab {
    clock: Arc<Clock>,
    deployment: Deployment,
    identities: Vec<Identity>,
    wires: Vec<Wire>,
    regions: Vec<(Arc<CouncilDriver<MemoryEngine>>, Ports)>,
    edge: Arc<Edge<MemoryEngine>>,
    tasks: Vec<Task>,
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it should be ready at once"),
    }
}

fn two_regions_and_an_edge() -> Deployment {
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

fn ports(deployment: &Deployment) -> (Vec<Wire>, Vec<Ports>) {
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

fn lab() -> Lab {
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
    let config = EdgeConfig {
        deployment: deployment.clone(),
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
    };
    let engine = MemoryEngine::new();
    let edge_ports = ports.pop().expect("the edge's");
    let edge = now(Edge::open(engine, config, environment(), edge_ports)).expect("an edge");
    let mut tasks = edge.tasks();
    let mut regions = Vec::new();
    for (site, ports) in deployment.sites.clone().into_iter().zip(ports) {
        let config = CouncilConfig {
            site: site.id,
            deployment: deployment.clone(),
            timing: Timing::for_round_trip(Span::ZERO),
        };
        let driver = now(CouncilDriver::open(
            MemoryEngine::new(),
            config,
            environment(),
        ));
        let driver = driver.expect("a seat");
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
        edge,
        tasks,
    }
}

impl Lab {
    fn now(&self) -> Monotonic {
        Monotonic(self.clock.0.load(Ordering::Relaxed))
    }

    fn run(&mut self, span: Span) {
        let end = self.now() + span;
        while self.now() < end {
            self.clock.0.fetch_add(5_000, Ordering::Relaxed);
            for at in 0..self.wires.len() {
                self.dial(at);
                self.pump(at);
            }
            for (driver, ports) in &self.regions {
                for (peer, port) in ports {
                    while let Some(delivery) = port.next_delivery() {
                        driver.receive(*peer, delivery.payload);
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

#[test]
fn an_edge_votes_and_holds_the_configuration() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    let status = lab.edge.status();
    assert_eq!(status.council.voters, vec![SiteId(1), SiteId(2), SiteId(3)]);
    assert!(status.council.majority);
    assert!(
        status
            .peers
            .iter()
            .all(|peer| peer.connected && peer.bytes_sent > 0)
    );
    assert_eq!(
        lab.edge.settings().deployment(),
        Some(lab.deployment.clone())
    );
    let council = lab.edge.council().clone();
    let proposal = async move {
        let change = Change::new().put("test/x", Expected::Absent, "x");
        council.propose(change).await.expect("a majority");
        std::future::pending().await
    };
    lab.tasks.push(Box::pin(proposal));
    lab.run(Span::seconds(2));
    for settings in [lab.edge.settings(), lab.regions[0].0.settings()] {
        assert!(settings.get("test/x").is_some());
    }
}

#[test]
fn other_lanes_are_put_aside() {
    let mut lab = lab();
    lab.run(Span::seconds(1));
    let (_, ports) = &lab.regions[0];
    let port = &ports[&SiteId(3)];
    let payload = Bytes::from_static(b"a heartbeat");
    let plain = Plain::new(port.peer(), Lane::Health, Service(0), "", payload).expect("short");
    port.send(lab.now(), &Admission::open(), plain)
        .expect("connected");
    lab.run(Span::seconds(1));
    assert_eq!(lab.edge.status().put_aside, 1);
    assert_ne!(lab.edge.status().council.role, Role::Listener);
}

#[test]
fn a_region_is_no_edge() {
    let config = EdgeConfig {
        deployment: two_regions_and_an_edge(),
        site: SiteId(1),
        largest_round_trip: Span::ZERO,
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(0)))));
    let opened = now(Edge::open(
        MemoryEngine::new(),
        config,
        environment,
        Ports::new(),
    ));
    assert_eq!(opened.err(), Some(OpenError::NotAnEdge(SiteId(1))));
}

#[test]
fn a_port_to_a_stranger_is_refused() {
    let config = EdgeConfig {
        deployment: two_regions_and_an_edge(),
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
    };
    let (_, mut ports) = ports(&config.deployment);
    let port = ports[0].remove(&SiteId(3)).expect("there is one");
    let stranger = [(SiteId(9), port)].into();
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(0)))));
    let opened = now(Edge::open(
        MemoryEngine::new(),
        config,
        environment,
        stranger,
    ));
    assert_eq!(opened.err(), Some(OpenError::UnknownPeer(SiteId(9))));
}
