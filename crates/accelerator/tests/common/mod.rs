//! What the tests of choices share: accelerators in a few words, and flows to them.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use accelerator::model::{
    Accelerator, AcceleratorId, CheckProtocol, CheckSettings, ClientAffinity, Endpoint,
    EndpointGroup, EndpointGroupId, EndpointTarget, FlowLogs, IpAddressType, Listener, ListenerId,
    MadeBy, PortRange, Protocol, TrafficDial,
};
use accelerator::{Board, Choice, ChooseContext, Flow, HealthState, NoChoice, Snapshot, Tried};
use types::{AccountId, Region, Timestamp};

/// The port of listeners, unless said.
pub const PORT: u16 = 80;

pub fn region(name: &str) -> Region {
    name.parse().unwrap()
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn made_by() -> MadeBy {
    MadeBy {
        token: "token".to_owned(),
        digest: String::new(),
    }
}

/// An endpoint: its address and weight.
pub fn endpoint((at, weight): (&str, u8)) -> Endpoint {
    Endpoint {
        target: EndpointTarget::Address(address(at)),
        weight,
        preserves_client: false,
    }
}

/// A group of a Region: its dial in percent, and its endpoints. It is known by its Region.
pub fn group(at: &str, dial: u32, endpoints: &[(&str, u8)]) -> EndpointGroup {
    EndpointGroup {
        id: EndpointGroupId(format!("group-{at}")),
        region: region(at),
        dial: TrafficDial(dial * 1_000),
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
        endpoints: endpoints.iter().copied().map(endpoint).collect(),
    }
}

/// A TCP listener at [`PORT`].
pub fn listener(affinity: ClientAffinity, groups: Vec<EndpointGroup>) -> Listener {
    Listener {
        id: ListenerId("listener".to_owned()),
        protocol: Protocol::Tcp,
        ports: vec![PortRange {
            from: PORT,
            to: PORT,
        }],
        affinity,
        made_by: made_by(),
        tags: BTreeMap::new(),
        groups,
    }
}

/// The accelerator of that number, at 127.80.0.`number` and 127.81.0.`number`.
pub fn accelerator(number: u8, listeners: Vec<Listener>) -> Accelerator {
    Accelerator {
        id: AcceleratorId(format!("accelerator-{number}")),
        account: AccountId::LAB,
        name: format!("name-{number}"),
        ip_address_type: IpAddressType::Ipv4,
        enabled: true,
        addresses: vec![
            IpAddr::from([127, 80, 0, number]),
            IpAddr::from([127, 81, 0, number]),
        ],
        dns_label: format!("a{number:016x}"),
        created: Timestamp(0),
        modified: Timestamp(0),
        made_by: made_by(),
        tags: BTreeMap::new(),
        flow_logs: FlowLogs::default(),
        listeners,
    }
}

/// The flow of that number from one client to the first accelerator.
pub fn flow(number: u16) -> Flow {
    Flow {
        to: SocketAddr::new(address("127.80.0.1"), PORT),
        protocol: Protocol::Tcp,
        from: SocketAddr::new(address("127.64.1.1"), number),
    }
}

/// The flow of the client of that number to the first accelerator.
pub fn client(number: u16) -> Flow {
    let [high, low] = number.to_be_bytes();
    Flow {
        from: SocketAddr::new(IpAddr::from([10, 9, high, low]), 4_000),
        ..flow(0)
    }
}

/// An accelerator that chooses, and a board.
pub struct Scene {
    pub board: Board,
    pub snapshot: Snapshot,
}

impl Scene {
    /// One accelerator with one listener; every endpoint is healthy.
    pub fn new(affinity: ClientAffinity, groups: Vec<EndpointGroup>) -> Scene {
        Scene::of(accelerator(1, vec![listener(affinity, groups)]))
    }

    /// That accelerator; every endpoint is healthy.
    pub fn of(accelerator: Accelerator) -> Scene {
        let board = Board::new();
        let snapshot = Snapshot::of_accelerators([accelerator], &board);
        assert_eq!(snapshot.faults(), [] as [String; 0]);
        for check in snapshot.checks() {
            board.set(check, HealthState::Healthy);
        }
        Scene { board, snapshot }
    }

    /// The endpoint of that address is so, in every group.
    pub fn set(&self, at: &str, state: HealthState) {
        let accelerator = AcceleratorId("accelerator-1".to_owned());
        let target = EndpointTarget::Address(address(at));
        let mut found = false;
        for region in Region::all() {
            let group = EndpointGroupId(format!("group-{region}"));
            if let Some(check) = self.snapshot.check_of(&accelerator, &group, &target) {
                self.board.set(check, state);
                found = true;
            }
        }
        assert!(found, "{at} is an endpoint");
    }

    pub fn choose(&self, place: &str, flow: &Flow, tried: &Tried) -> Result<Choice<'_>, NoChoice> {
        let context = ChooseContext {
            board: &self.board,
            place: region(place),
        };
        self.snapshot.choose(flow, &context, tried)
    }

    /// Where the flow goes, as text.
    pub fn at(&self, place: &str, flow: &Flow) -> String {
        let choice = self.choose(place, flow, &Tried::NONE).unwrap();
        choice.address.ip().to_string()
    }

    /// How many of a thousand flows from that place go where.
    pub fn thousand(&self, place: &str) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for number in 0..1_000 {
            *counts.entry(self.at(place, &flow(number))).or_default() += 1;
        }
        counts
    }
}

/// Is a count about what it should be?
pub fn about(count: u32, wanted: u32) -> bool {
    count.abs_diff(wanted) <= 60
}
