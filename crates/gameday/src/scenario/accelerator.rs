//! Accelerators of a scenario: static addresses that lead to the Regions' applications. Plain
//! values; making them is the runner's.

use serde::Serialize;
use types::{Region, Span};

/// An accelerator with one listener, TCP, on one port.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Accelerator {
    /// What the scenario calls it: 1 to 40 letters, digits, `-` and `_`.
    pub name: String,
    /// What keeps a client with an endpoint.
    pub affinity: Affinity,
    /// The port it listens on; `None`: the application's.
    pub port: Option<u16>,
    /// How its endpoints are checked.
    pub check: CheckKind,
    /// The path that is asked for (HTTP and HTTPS).
    pub path: String,
    /// How many checks in a row change the verdict, 1 to 10.
    pub threshold: u8,
    /// The service's interval: 10 or 30 s. (The lab's `health_interval` goes before it.)
    pub interval: Span,
    /// Its endpoint groups, one a Region.
    pub groups: Vec<EndpointGroup>,
}

/// An endpoint group: the application of its Region.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct EndpointGroup {
    /// The Region.
    pub region: Region,
    /// The traffic dial, in percent: 0 to 100.
    pub dial: f64,
    /// The weight of each of the group's endpoints, 0 to 255.
    pub weight: u8,
}

/// What keeps a client's flows with an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Nothing: each flow goes its own way.
    None,
    /// The client's address.
    SourceIp,
}

/// How an endpoint is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckKind {
    /// By a TCP connection.
    Tcp,
    /// By HTTP.
    Http,
    /// By HTTPS.
    Https,
}

impl Accelerator {
    /// What the health checks of that Region's endpoints are called in reports.
    pub fn check_name(&self, region: Region) -> String {
        format!("{} {region}", self.name)
    }
}
