//! What a choice costs: nanoseconds of one thread to choose a new flow's endpoint. Run with
//! `--release`.
#![allow(clippy::unwrap_used, reason = "a program to measure with")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use accelerator::model::{
    Accelerator, AcceleratorId, CheckProtocol, CheckSettings, ClientAffinity, Endpoint,
    EndpointGroup, EndpointGroupId, EndpointTarget, FlowLogs, IpAddressType, Listener, ListenerId,
    MadeBy, PortRange, Protocol, TrafficDial,
};
use accelerator::{Board, ChooseContext, Flow, HealthState, Snapshot, Tried};
use types::{AccountId, Region, Timestamp};

/// A round is short, so that some rounds are left alone by whatever else the machine does.
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 100;

/// Choices between two looks at the clock.
const BATCH: usize = 4_096;

fn made_by() -> MadeBy {
    MadeBy {
        token: String::new(),
        digest: String::new(),
    }
}

fn group(number: u8, region: Region, dial: u32, endpoints: u8) -> EndpointGroup {
    let endpoint = |last| Endpoint {
        target: EndpointTarget::Address(IpAddr::from([10, 0, number, last])),
        weight: 100 + last,
        preserves_client: false,
    };
    EndpointGroup {
        id: EndpointGroupId(format!("{number:012x}")),
        region,
        dial: TrafficDial(dial),
        check: CheckSettings {
            protocol: CheckProtocol::Tcp,
            port: None,
            path: None,
            interval: 30,
            threshold: 3,
        },
        overrides: BTreeMap::new(),
        made_by: made_by(),
        tags: BTreeMap::new(),
        endpoints: (0..endpoints).map(endpoint).collect(),
    }
}

/// An accelerator with so many groups of so many endpoints, all with that dial.
fn accelerator(number: u8, groups: u8, endpoints: u8, dial: u32) -> Accelerator {
    let regions = Region::all().take(usize::from(groups)).zip(0..);
    let groups = regions.map(|(region, number)| group(number, region, dial, endpoints));
    let listener = Listener {
        id: ListenerId("0".to_owned()),
        protocol: Protocol::Tcp,
        ports: vec![PortRange { from: 80, to: 80 }],
        affinity: ClientAffinity::None,
        made_by: made_by(),
        tags: BTreeMap::new(),
        groups: groups.collect(),
    };
    Accelerator {
        id: AcceleratorId(number.to_string()),
        account: AccountId::LAB,
        name: String::new(),
        ip_address_type: IpAddressType::Ipv4,
        enabled: true,
        addresses: vec![IpAddr::from([127, 80, 0, number])],
        dns_label: String::new(),
        created: Timestamp(0),
        modified: Timestamp(0),
        made_by: made_by(),
        tags: BTreeMap::new(),
        flow_logs: FlowLogs::default(),
        listeners: vec![listener],
    }
}

/// Measures choices: the least and the median of the rounds, in nanoseconds.
fn measure(name: &str, scene: &Scene, tried: &Tried) {
    let context = ChooseContext {
        board: &scene.board,
        place: "us-east-1".parse().unwrap(),
    };
    let (mut number, mut rounds) = (0u32, Vec::new());
    for _ in 0..ROUNDS {
        let (start, mut choices) = (Instant::now(), 0u32);
        while start.elapsed() < ROUND {
            for _ in 0..BATCH {
                number = number.wrapping_add(1);
                let [one, two, high, low] = number.to_be_bytes();
                let flow = Flow {
                    to: SocketAddr::new(IpAddr::from([127, 80, 0, 1]), 80),
                    protocol: Protocol::Tcp,
                    from: SocketAddr::from(([10, one, two, high], u16::from(low) + 1)),
                };
                let choice = scene.snapshot.choose(black_box(&flow), &context, tried);
                let _ = black_box(choice.map(|choice| choice.address));
            }
            choices += BATCH as u32;
        }
        rounds.push(start.elapsed().as_nanos() as f64 / f64::from(choices));
    }
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.0} ns, median {:.0} ns",
        rounds[0],
        rounds[ROUNDS / 2]
    );
}

struct Scene {
    board: Board,
    snapshot: Snapshot,
}

fn scene(groups: u8, endpoints: u8, dial: u32, healthy: impl Fn(usize) -> bool) -> Scene {
    let board = Board::new();
    let accelerators = (1..=20).map(|number| accelerator(number, groups, endpoints, dial));
    let start = Instant::now();
    let snapshot = Snapshot::of_accelerators(accelerators, &board);
    println!(
        "  20 accelerators of {groups} groups of {endpoints} endpoints: compiled in {:.1} ms, \
         {} KiB of tables",
        start.elapsed().as_secs_f64() * 1000.0,
        snapshot.table_bytes() / 1024
    );
    for (number, check) in snapshot.checks().enumerate() {
        let state = match healthy(number) {
            true => HealthState::Healthy,
            false => HealthState::Unhealthy,
        };
        board.set(check, state);
    }
    Scene { board, snapshot }
}

fn main() {
    let near = scene(2, 2, 100_000, |_| true);
    measure("two groups of two, all healthy", &near, &Tried::NONE);
    let dialed = scene(2, 2, 50_000, |_| true);
    measure("two groups of two, dials at 50 %", &dialed, &Tried::NONE);
    let half = scene(2, 10, 100_000, |number| number % 2 == 0);
    measure(
        "two groups of ten, every other one unhealthy",
        &half,
        &Tried::NONE,
    );
    let tried = near.snapshot.choose(
        &Flow {
            to: SocketAddr::from(([127, 80, 0, 1], 80)),
            protocol: Protocol::Tcp,
            from: SocketAddr::from(([10, 0, 0, 1], 1)),
        },
        &ChooseContext {
            board: &near.board,
            place: "us-east-1".parse().unwrap(),
        },
        &Tried::NONE,
    );
    let tried = [tried.unwrap().address].into_iter().collect();
    measure("two groups of two, one tried", &near, &tried);
    let many = scene(38, 10, 5_000, |_| true);
    measure("38 groups of ten, dials at 5 %", &many, &Tried::NONE);
    let down = scene(38, 10, 100_000, |_| false);
    measure(
        "38 groups of ten, all unhealthy: fails open",
        &down,
        &Tried::NONE,
    );
}
