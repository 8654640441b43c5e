//! What an accelerator is, as the configuration keeps it: Global Accelerator's API 2018-08-08,
//! field by field where a field is built. It judges nothing and is compiled elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use types::{AccountId, Region, Timestamp};

/// What the names of all accelerators end with.
pub const DOMAIN: &str = "awsglobalaccelerator.com";

/// An accelerator's id: a UUID in its text form, the last part of its ARN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AcceleratorId(pub String);

/// A listener's id: 8 hexadecimal digits, unique in its accelerator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListenerId(pub String);

/// An endpoint group's id: 12 hexadecimal digits, unique in its accelerator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointGroupId(pub String);

/// An accelerator, with everything below it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Accelerator {
    /// Its id.
    pub id: AcceleratorId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Which kinds of addresses it has.
    pub ip_address_type: IpAddressType,
    /// Does it take traffic?
    pub enabled: bool,
    /// Its static addresses: two of IPv4, then two of IPv6 if it has those.
    pub addresses: Vec<IpAddr>,
    /// What its DNS name begins with: `a` and 16 hexadecimal digits.
    pub dns_label: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it, or something below it, was changed last.
    pub modified: Timestamp,
    /// By which request it was made.
    pub made_by: MadeBy,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where its flow logs go.
    pub flow_logs: FlowLogs,
    /// Its listeners, in the order in which they were made.
    pub listeners: Vec<Listener>,
}

/// The request that made something: repeated word by word it makes nothing more, and with other
/// words under the same token it is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MadeBy {
    /// Its idempotency token, of 1 to 255 characters.
    pub token: String,
    /// A digest of all else that it asked for.
    pub digest: String,
}

/// Whether an accelerator's flows are logged, and where to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FlowLogs {
    /// Are they? Then there are a bucket and a prefix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// The bucket.
    pub bucket: Option<String>,
    /// The prefix of the objects.
    pub prefix: Option<String>,
}

/// Which kinds of addresses an accelerator has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IpAddressType {
    /// IPv4 alone.
    Ipv4,
    /// IPv4 and IPv6.
    DualStack,
}

/// What travels in a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What keeps a client with an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ClientAffinity {
    /// Nothing: each flow is placed by its five-tuple.
    None,
    /// Its address: all of its flows to one of the accelerator's addresses go to one endpoint.
    SourceIp,
}

/// Ports from one to another, both included; the first isn't greater than the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PortRange {
    /// The first port.
    pub from: u16,
    /// The last.
    pub to: u16,
}

/// A listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// What it takes.
    pub protocol: Protocol,
    /// Where it listens; they don't overlap.
    pub ports: Vec<PortRange>,
    /// What keeps a client with an endpoint.
    pub affinity: ClientAffinity,
    /// By which request it was made.
    pub made_by: MadeBy,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where its flows go: one group a Region, in the order in which they were made.
    pub groups: Vec<EndpointGroup>,
}

/// How much of the traffic that is directed to a group it takes: thousandths of a percent, 0 to
/// 100,000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrafficDial(pub u32);

impl TrafficDial {
    /// All of it: the service's default.
    pub const ALL: TrafficDial = TrafficDial(100_000);
}

/// The endpoints of one Region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointGroup {
    /// Its id.
    pub id: EndpointGroupId,
    /// Its Region.
    pub region: Region,
    /// By which request it was made.
    pub made_by: MadeBy,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// How much of what is directed to it it takes.
    pub dial: TrafficDial,
    /// How its endpoints are checked.
    pub check: CheckSettings,
    /// Ports of the listener that are others at the endpoints: from listener's to endpoint's.
    pub overrides: BTreeMap<u16, u16>,
    /// Its endpoints, 10 at most.
    pub endpoints: Vec<Endpoint>,
}

/// How the endpoints of a group are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckSettings {
    /// By what.
    pub protocol: CheckProtocol,
    /// Where; none: the listener's first port.
    pub port: Option<u16>,
    /// The path that is asked for, by HTTP and HTTPS; none: `/`.
    pub path: Option<String>,
    /// Seconds between two checks: 10 or 30.
    pub interval: u8,
    /// How many checks in a row change an endpoint's state: 1 to 10.
    pub threshold: u8,
}

/// By what endpoints are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CheckProtocol {
    /// A connection.
    Tcp,
    /// An answer by HTTP, 200 to 399.
    Http,
    /// The same over TLS, whose certificate isn't verified.
    Https,
}

/// An endpoint. A group has one of each target and preservation: AWS lets an address stand in a
/// group twice, once preserving the client's and once not, so that users move from one to the other
/// by their weights.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// What it is.
    pub target: EndpointTarget,
    /// Its share of its group's flows: 0 to 255, 128 by default.
    pub weight: u8,
    /// Is it told the client's address, by PROXY protocol version 2?
    pub preserves_client: bool,
}

/// What an endpoint is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum EndpointTarget {
    /// An address: where AWS takes an Elastic IP address's allocation id or an instance's id, a
    /// deployment without those has addresses.
    Address(IpAddr),
    /// An application or network load balancer, by its Amazon Resource Name. It is in its group's
    /// Region.
    Balancer(String),
}

/// An endpoint's health, as its checkers have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthState {
    /// No check has passed or failed for good yet: it takes no traffic.
    Initial,
    /// It takes traffic.
    Healthy,
    /// It takes none, while others are healthy.
    Unhealthy,
}

impl HealthState {
    /// Its name in the API: `INITIAL`, `HEALTHY` or `UNHEALTHY`.
    pub fn name(self) -> &'static str {
        match self {
            HealthState::Initial => "INITIAL",
            HealthState::Healthy => "HEALTHY",
            HealthState::Unhealthy => "UNHEALTHY",
        }
    }
}

impl Accelerator {
    /// The name of its IPv4 addresses: `a1234567890abcdef.awsglobalaccelerator.com`.
    pub fn dns_name(&self) -> String {
        format!("{}.{DOMAIN}", self.dns_label)
    }

    /// The name of all of its addresses, if it has those of both kinds.
    pub fn dual_stack_dns_name(&self) -> Option<String> {
        let dual = self.ip_address_type == IpAddressType::DualStack;
        dual.then(|| format!("{}.dualstack.{DOMAIN}", self.dns_label))
    }

    /// The listener of that id.
    pub fn listener(&self, id: &ListenerId) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.id == *id)
    }
}

impl Listener {
    /// The endpoint group of that id.
    pub fn group(&self, id: &EndpointGroupId) -> Option<&EndpointGroup> {
        self.groups.iter().find(|group| group.id == *id)
    }
}

impl PortRange {
    /// Is it one of these ports?
    pub fn contains(self, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
    }

    /// Have the two a port in common?
    pub fn overlaps(self, other: PortRange) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}
