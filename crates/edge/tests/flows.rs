//! Invariant 9, the accelerator's half: an edge carries flows by what it last knew, from the first
//! after a restart, with nobody else there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod lab;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use accelerator::model::{
    Accelerator, AcceleratorId, CheckProtocol, CheckSettings, ClientAffinity, Endpoint,
    EndpointGroup, EndpointGroupId, EndpointTarget, FlowLogs, IpAddressType, Listener, ListenerId,
    MadeBy, PortRange, Protocol, TrafficDial,
};
use accelerator::{ChooseContext, Flow, HealthState, Snapshot, Tried, Why, codec, keys};
use council::{Change, Expected};
use edge::{Edge, EdgeConfig};
use lab::names::propose;
use lab::{Clock, Lab, World, lab, now, options, ports, two_regions_and_an_edge};
use steering::Carrier;
use store::MemoryEngine;
use types::{AccountId, Region, SiteId, Span, Timestamp};

const PORT: u16 = 8443;

fn made_by() -> MadeBy {
    MadeBy {
        token: "t".to_owned(),
        digest: String::new(),
    }
}

/// The group of one endpoint, which is at the Region's own address.
fn group(region: Region, address: [u8; 4]) -> EndpointGroup {
    EndpointGroup {
        id: EndpointGroupId(region.name().to_owned()),
        region,
        made_by: made_by(),
        tags: BTreeMap::new(),
        dial: TrafficDial::ALL,
        check: CheckSettings {
            protocol: CheckProtocol::Tcp,
            port: None,
            path: None,
            interval: 10,
            threshold: 1,
        },
        overrides: BTreeMap::new(),
        endpoints: vec![Endpoint {
            target: EndpointTarget::Address(IpAddr::from(address)),
            weight: 128,
            preserves_client: false,
        }],
    }
}

fn accelerator() -> Accelerator {
    let regions: Vec<Region> = two_regions_and_an_edge()
        .regions()
        .map(|(_, region)| region)
        .collect();
    Accelerator {
        id: AcceleratorId("00000000-0000-4000-8000-000000000001".to_owned()),
        account: AccountId::LAB,
        name: "orders".to_owned(),
        ip_address_type: IpAddressType::DualStack,
        enabled: true,
        addresses: [
            "127.80.0.1",
            "127.81.0.1",
            "fd00:80::1",
            "fd00:80::8000:0:0:1",
        ]
        .map(|address| address.parse().unwrap())
        .into(),
        dns_label: "a0123456789abcdef".to_owned(),
        created: Timestamp(0),
        modified: Timestamp(0),
        made_by: made_by(),
        tags: BTreeMap::new(),
        flow_logs: FlowLogs::default(),
        listeners: vec![Listener {
            id: ListenerId("1".to_owned()),
            protocol: Protocol::Tcp,
            ports: vec![PortRange {
                from: PORT,
                to: PORT,
            }],
            affinity: ClientAffinity::None,
            made_by: made_by(),
            tags: BTreeMap::new(),
            groups: vec![
                group(regions[0], [127, 1, 1, 1]),
                group(regions[1], [127, 1, 2, 1]),
            ],
        }],
    }
}

fn configuration() -> Change {
    let accelerator = accelerator();
    let key = keys::accelerator(&accelerator.id);
    Change::new().put(&key, Expected::Absent, codec::encode(&accelerator))
}

/// Where flows of both families from next door to the edge go, and by which rule: it is the same.
fn choose(edge: &Edge<MemoryEngine>) -> Option<(SocketAddr, Why)> {
    let of_ipv4 = choose_from(edge, "127.80.0.1", "127.0.0.1");
    let of_ipv6 = choose_from(edge, "fd00:80::8000:0:0:1", "::1");
    assert_eq!(of_ipv4, of_ipv6);
    of_ipv4
}

fn choose_from(edge: &Edge<MemoryEngine>, to: &str, from: &str) -> Option<(SocketAddr, Why)> {
    let accelerators = edge.steering().accelerators();
    let flow = Flow {
        to: SocketAddr::new(to.parse().unwrap(), PORT),
        protocol: Protocol::Tcp,
        from: SocketAddr::new(from.parse().unwrap(), 40_000),
    };
    let context = ChooseContext {
        board: accelerators.board(),
        place: two_regions_and_an_edge().sites[2].place,
    };
    let snapshot = accelerators.snapshot();
    let choice = snapshot.choose(&flow, &context, &Tried::NONE).ok()?;
    Some((choice.address, choice.why))
}

/// What it was told to listen on, each time.
#[derive(Default)]
struct Told(Mutex<Vec<usize>>);

impl Carrier for Told {
    fn carry(&self, snapshot: &Snapshot) -> Vec<String> {
        let listeners = snapshot.listeners().count();
        self.0.lock().unwrap().push(listeners);
        Vec::new()
    }
}

fn alone(engine: &MemoryEngine, lab: &Lab, at: u64) -> Arc<Edge<MemoryEngine>> {
    let deployment = two_regions_and_an_edge();
    let (_, mut ports) = ports(&deployment);
    let config = EdgeConfig {
        deployment,
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&lab.prober),
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(at)))));
    let ports = ports.pop().expect("the edge's");
    now(Edge::open(engine.clone(), config, environment, ports)).expect("an edge")
}

#[test]
fn invariant_9_flows_go_by_the_last_known_state_from_the_first_after_a_restart() {
    let mut lab = lab();
    let told = Arc::new(Told::default());
    lab.edge.steering().carry(told.clone());
    lab.run(Span::seconds(4));
    assert_eq!(choose(&lab.edge), None, "nobody has that address");
    propose(&mut lab, configuration());
    lab.run(Span::milliseconds(100));
    let near = SocketAddr::from(([127, 1, 1, 1], PORT));
    // Nothing is known of any endpoint: it fails open, and doesn't call any healthy.
    assert_eq!(choose(&lab.edge), Some((near, Why::FailOpen)));
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(4));
    assert_eq!(choose(&lab.edge), Some((near, Why::Nearest)));
    assert_eq!(
        *told.0.lock().unwrap().last().unwrap(),
        4,
        "at each address"
    );

    // None of its tasks has run, and nobody is to be heard: configuration and health are what its
    // own disk has, and listening begins at once.
    let restarted = alone(&lab.engine, &lab, 60_000_000);
    assert_eq!(choose(&restarted), Some((near, Why::Nearest)));
    let told = Arc::new(Told::default());
    restarted.steering().carry(told.clone());
    assert_eq!(*told.0.lock().unwrap(), [4]);
    let status = restarted.status().steering.accelerators;
    assert_eq!((status.accelerators, status.healthy), (1, 2));

    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert_eq!(choose(&lab.edge), Some((near, Why::FailOpen)));
    let restarted = alone(&lab.engine, &lab, 120_000_000);
    assert_eq!(restarted.status().steering.accelerators.unhealthy, 2);
}

#[test]
fn a_revision_is_in_sync_when_the_edge_listens_and_health_is_the_same_at_every_site() {
    let mut lab = lab();
    lab.edge.steering().carry(Arc::new(Told::default()));
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(4));
    propose(&mut lab, configuration());
    lab.run(Span::seconds(4));
    let revision = lab.regions[0].0.settings().revision();
    let accelerator = accelerator();
    for steering in &lab.steerings[..2] {
        assert!(steering.is_in_sync(revision));
        for group in &accelerator.listeners[0].groups {
            let target = &group.endpoints[0].target;
            let (state, reason) = steering.endpoint_health(&accelerator.id, &group.id, target);
            assert_eq!((state, reason), (HealthState::Healthy, None));
        }
    }
    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    let group = &accelerator.listeners[0].groups[0];
    let target = &group.endpoints[0].target;
    let (state, reason) = lab.steerings[0].endpoint_health(&accelerator.id, &group.id, target);
    assert_eq!(state, HealthState::Unhealthy);
    assert!(reason.is_some_and(|reason| reason.contains("refused")));
}
