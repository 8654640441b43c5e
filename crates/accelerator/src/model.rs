//! What an accelerator is, as the configuration keeps it: Global Accelerator's API 2018-08-08,
//! field by field where a field is built. It judges nothing and is compiled elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use types::{AccountId, Region, Timestamp};

/// An accelerator's id: a UUID in its text form, the last part of its ARN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AcceleratorId(pub String);

/// A listener's id: 8 characters, unique in its accelerator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListenerId(pub String);

/// An endpoint group's id: 12 characters, unique in its accelerator.
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
    /// The token under which it was made, and what was asked for then (a digest).
    pub idempotency: Option<(String, String)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its listeners, in the order in which they were made.
    pub listeners: Vec<Listener>,
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
    /// The path that is asked for, by HTTP and HTTPS.
    pub path: String,
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

/// An endpoint.
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
}
