//! Target groups: what requests and flows are forwarded to, and how it is checked. Nothing of how
//! a target is.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{AvailabilityZone, Timestamp};

use super::{Attributes, Protocol, Tags, TargetGroupArn};
use crate::words::words;

/// A target group, with its targets: one row of its Region's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its name, owner and id.
    pub arn: TargetGroupArn,
    /// When it was made.
    pub created: Timestamp,
    /// What targets are spoken to by.
    pub protocol: Protocol,
    /// Which HTTP, of groups of HTTP and HTTPS; none of others.
    pub version: Option<ProtocolVersion>,
    /// The port of targets that are registered without one: 1 to 65,535.
    pub port: u16,
    /// The id of its network.
    pub vpc: String,
    /// What its targets are named by.
    pub target_type: TargetType,
    /// Which addresses its targets have.
    pub ip_type: TargetIpType,
    /// How its targets are checked.
    pub health_check: HealthCheckSettings,
    /// Its attributes that were set; read them by its methods.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its targets, those that drain among them.
    #[serde(with = "listed")]
    pub targets: BTreeMap<TargetKey, Target>,
}

words! {
    /// Which HTTP targets are spoken to by.
    pub enum ProtocolVersion {
        /// HTTP/1.1.
        Http1 = "HTTP1",
        /// HTTP/2.
        Http2 = "HTTP2",
        /// gRPC, over HTTP/2.
        Grpc = "GRPC",
    }
}

words! {
    /// What targets are named by. `lambda` and `alb` of the API are not built.
    pub enum TargetType {
        /// Instances' ids.
        Instance = "instance",
        /// Addresses.
        Ip = "ip",
    }
}

words! {
    /// Which addresses targets have.
    pub enum TargetIpType {
        /// Those of IPv4.
        Ipv4 = "ipv4",
        /// Those of IPv6.
        Ipv6 = "ipv6",
    }
}

/// What tells a group's targets from each other: a target can be there with several ports.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TargetKey {
    /// An address, or an instance's id.
    pub id: String,
    /// Where it takes traffic.
    pub port: u16,
}

/// A target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// What it is named by.
    pub key: TargetKey,
    /// Its address: its name, or what its instance had when it was registered.
    pub address: IpAddr,
    /// The zone that it is in; none: all, for it lies outside the Region's zones.
    pub zone: Option<AvailabilityZone>,
    /// When it was registered.
    pub registered: Timestamp,
    /// Since when it is deregistered and drains.
    pub draining_since: Option<Timestamp>,
}

/// How a group's targets are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthCheckSettings {
    /// Are they? Of instances and addresses always.
    pub enabled: bool,
    /// By what.
    pub protocol: HealthCheckProtocol,
    /// Where.
    pub port: HealthCheckPort,
    /// What is asked for, by HTTP and HTTPS: a path, or gRPC's `/package.service/method`.
    pub path: Option<String>,
    /// Seconds from check to check: 5 to 300.
    pub interval: u16,
    /// Seconds until no answer is a failure: 2 to 120, fewer than the interval's.
    pub timeout: u16,
    /// How many successes in a row make a target healthy: 2 to 10.
    pub healthy_threshold: u8,
    /// How many failures in a row make it unhealthy: 2 to 10.
    pub unhealthy_threshold: u8,
    /// Which statuses are successes, by HTTP and HTTPS.
    pub matcher: Option<Matcher>,
}

words! {
    /// By what targets are checked.
    pub enum HealthCheckProtocol {
        /// A request.
        Http = "HTTP",
        /// A request over TLS, whose certificate isn't verified.
        Https = "HTTPS",
        /// A connection.
        Tcp = "TCP",
    }
}

/// Where targets are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HealthCheckPort {
    /// Where they take traffic: `traffic-port`.
    Traffic,
    /// There.
    Fixed(u16),
}

/// Which statuses are successes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Matcher {
    /// Of HTTP.
    Http(Vec<CodeRange>),
    /// Of gRPC.
    Grpc(Vec<CodeRange>),
}

/// Statuses from one to another, both included; stored as `200` or `200-299`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodeRange {
    /// The first, which isn't greater than the last.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// The text is no range of statuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no range of statuses")]
pub struct InvalidCodes;

impl Matcher {
    /// Is it one of the statuses?
    pub fn matches(&self, code: u16) -> bool {
        let (Matcher::Http(ranges) | Matcher::Grpc(ranges)) = self;
        let contains = |range: &CodeRange| (range.first..=range.last).contains(&code);
        ranges.iter().any(contains)
    }

    /// The ranges of a text: `200,202-299`.
    ///
    /// # Errors
    ///
    /// [`InvalidCodes`]: it has none, or something else.
    pub fn ranges(text: &str) -> Result<Vec<CodeRange>, InvalidCodes> {
        text.split(',').map(str::parse).collect()
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Matcher::Http(ranges) | Matcher::Grpc(ranges)) = self;
        let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

impl fmt::Display for CodeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for CodeRange {
    type Err = InvalidCodes;

    fn from_str(text: &str) -> Result<CodeRange, InvalidCodes> {
        let code = |text: &str| {
            let plain = (1..=3).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
            plain
                .then(|| text.parse::<u16>().ok())
                .flatten()
                .ok_or(InvalidCodes)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (code(first)?, code(last)?);
        (first <= last)
            .then_some(CodeRange { first, last })
            .ok_or(InvalidCodes)
    }
}

impl Serialize for CodeRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CodeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for HealthCheckPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthCheckPort::Traffic => f.write_str("traffic-port"),
            HealthCheckPort::Fixed(port) => write!(f, "{port}"),
        }
    }
}

impl Target {
    /// Is it deregistered, and that many seconds of its group's delay are over? Then it is no
    /// target any more, whether or not its row has been tidied.
    pub fn has_drained(&self, now: Timestamp, delay: u32) -> bool {
        let end = self
            .draining_since
            .map(|since| since.0.saturating_add(u64::from(delay) * 1000));
        end.is_some_and(|end| now.0 >= end)
    }
}

impl HealthCheckSettings {
    /// The port that a target which takes traffic there is checked at.
    pub fn port_of(&self, traffic: u16) -> u16 {
        match self.port {
            HealthCheckPort::Traffic => traffic,
            HealthCheckPort::Fixed(port) => port,
        }
    }
}

/// Targets are stored as a list: each has its key in it.
mod listed {
    use super::{BTreeMap, Deserialize, Deserializer, Serializer, Target, TargetKey};

    pub(super) fn serialize<S: Serializer>(
        targets: &BTreeMap<TargetKey, Target>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(targets.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TargetKey, Target>, D::Error> {
        let targets = Vec::<Target>::deserialize(deserializer)?;
        let keyed = targets
            .into_iter()
            .map(|target| (target.key.clone(), target));
        Ok(keyed.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_they_are_written() {
        for text in ["200", "200,202", "200-299", "200-299,301", "0-99"] {
            let matcher = Matcher::Http(Matcher::ranges(text).unwrap());
            assert_eq!(matcher.to_string(), text);
        }
        for text in [
            "", ",", "200,", "200-", "-200", "299-200", "2000", "+20", "200 ", "2x0",
        ] {
            assert_eq!(Matcher::ranges(text), Err(InvalidCodes), "{text}");
        }
        let matcher = Matcher::Http(Matcher::ranges("200,301-302").unwrap());
        let matched: Vec<u16> = (100..600).filter(|code| matcher.matches(*code)).collect();
        assert_eq!(matched, [200, 301, 302]);
    }
}
