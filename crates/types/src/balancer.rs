//! What every site knows of a Region's load balancers: the plain values by which `balancer`, which
//! has them, `routing`, which answers their names, and `accelerator`, whose endpoints they are,
//! understand each other. Load balancers are their Region's alone; this is what it says of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{AvailabilityZone, Region};

/// A load balancer as its Region last said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BalancerEntry {
    /// Its Amazon Resource Name: what accelerators' endpoints name.
    pub arn: String,
    /// Its DNS name, in lower case and without a dot at its end:
    /// `NAME-NUMBER.REGION.elb.amazonaws.com`, of network load balancers
    /// `NAME-ID.elb.REGION.amazonaws.com`.
    pub dns_name: String,
    /// The id of the hosted zone that aliases to it name (AWS General Reference, "Elastic Load
    /// Balancing endpoints and quotas").
    pub hosted_zone: String,
    /// The addresses of its nodes that serve, by zone; one in a zone that died isn't there.
    pub nodes: BTreeMap<AvailabilityZone, IpAddr>,
    /// The ports that it listens on by TCP, and by UDP.
    pub ports: BTreeMap<u16, BalancerPort>,
    /// Every target group that has targets has enough healthy ones (what
    /// `EvaluateTargetHealth` and an accelerator ask); one without targets counts as unhealthy.
    pub is_healthy: bool,
}

/// How a port of a load balancer is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BalancerPort {
    /// By TCP, whatever is spoken in it.
    Tcp,
    /// By UDP.
    Udp,
    /// By both.
    TcpUdp,
}

/// The load balancers of one Region, as it last said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegionBalancers {
    /// The Region.
    pub region: Region,
    /// Grows whenever anything below changes, across restarts: of two the greater is the later.
    pub revision: u64,
    /// All of its load balancers, by their Amazon Resource Names.
    pub balancers: BTreeMap<String, BalancerEntry>,
    /// The certificates of IAM that listeners use, by their ARNs, and for each one of these load
    /// balancers that has such a listener.
    pub certificates: BTreeMap<String, String>,
}

/// What is known of all Regions' load balancers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BalancerDirectory(pub BTreeMap<Region, RegionBalancers>);

impl BalancerDirectory {
    /// The load balancer of that Amazon Resource Name, and its Region.
    pub fn find(&self, arn: &str) -> Option<(Region, &BalancerEntry)> {
        let mut regions = self.0.values();
        regions.find_map(|of| Some((of.region, of.balancers.get(arn)?)))
    }

    /// The ARN of a load balancer, of any Region but this one, with a listener that uses the
    /// certificate of that ARN.
    pub fn certificate_user(&self, certificate: &str, except: Region) -> Option<&String> {
        let mut regions = self.0.values().filter(|of| of.region != except);
        regions.find_map(|of| of.certificates.get(certificate))
    }
}
