//! Security groups and their rules: what is kept of them. Values and what follows from them; no
//! packet is held against a rule.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::described::Tags;

/// A security group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// `sg-` and 17 hexadecimal digits.
    pub(crate) id: String,
    /// Its name; no two of a VPC have the same.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: String,
    /// Its rules, both ways.
    pub(crate) rules: Vec<Rule>,
    /// Its tags.
    pub(crate) tags: Tags,
}

/// A rule: traffic of that protocol and those ports, from or to that peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// `sgr-` and 17 hexadecimal digits.
    pub(crate) id: String,
    /// Of what leaves; otherwise of what arrives.
    pub(crate) is_egress: bool,
    /// What it lets through.
    pub(crate) what: What,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Its tags.
    pub(crate) tags: Tags,
}

/// What a rule lets through. No two rules of a group and direction have the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct What {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, the number of another, or `-1`: all.
    pub(crate) protocol: String,
    /// The first port, or the type of ICMP; without, all.
    pub(crate) from: Option<i32>,
    /// The last port, or the code of ICMP.
    pub(crate) to: Option<i32>,
    /// With whom.
    pub(crate) peer: Peer,
}

/// With whom traffic is let through.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Peer {
    /// Addresses of a block of IPv4.
    V4(String),
    /// Addresses of a block of IPv6.
    V6(String),
    /// Whoever has that security group.
    Group(String),
}

impl What {
    /// Everything, with that peer.
    pub(crate) fn all(peer: Peer) -> What {
        What {
            protocol: "-1".to_owned(),
            from: None,
            to: None,
            peer,
        }
    }

    /// As EC2's errors name a rule.
    pub(crate) fn words(&self) -> String {
        let peer = match &self.peer {
            Peer::V4(block) | Peer::V6(block) => block,
            Peer::Group(id) => id,
        };
        if self.protocol == "-1" {
            return format!("peer: {peer}, ALL, ALLOW");
        }
        let protocol = self.protocol.to_uppercase();
        let port = |port: Option<i32>| port.unwrap_or(-1);
        let (from, to) = (port(self.from), port(self.to));
        format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
    }
}

/// A protocol by the name that it is kept under; `None`: there is none such.
pub(crate) fn protocol(given: &str) -> Option<String> {
    let lower = given.to_ascii_lowercase();
    // IANA, "Assigned Internet Protocol Numbers".
    let known = match lower.as_str() {
        "tcp" | "6" => "tcp",
        "udp" | "17" => "udp",
        "icmp" | "1" => "icmp",
        "icmpv6" | "58" => "icmpv6",
        "-1" | "all" => "-1",
        other => {
            let number: u8 = other.parse().ok()?;
            return Some(number.to_string());
        }
    };
    Some(known.to_owned())
}

/// A block of IPv4 as it is kept: with the bits beyond the prefix cleared, as EC2 does.
pub(crate) fn block_v4(given: &str) -> Option<String> {
    let (address, length) = split(given, 32)?;
    let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    Some(format!("{}/{length}", Ipv4Addr::from(address & mask)))
}

/// A block of IPv6, likewise.
pub(crate) fn block_v6(given: &str) -> Option<String> {
    let (address, length) = split(given, 128)?;
    let address = u128::from(address.parse::<Ipv6Addr>().ok()?);
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Some(format!("{}/{length}", Ipv6Addr::from(address & mask)))
}

fn split(given: &str, longest: u32) -> Option<(&str, u32)> {
    let (address, length) = given.split_once('/')?;
    let length: u32 = length.parse().ok().filter(|length| *length <= longest)?;
    Some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_kept_without_the_bits_of_hosts() {
        assert_eq!(block_v4("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(block_v4("1.2.3.4/32").as_deref(), Some("1.2.3.4/32"));
        assert_eq!(block_v4("1.2.3.4/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(block_v6("2001:db8::1/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(block_v6("::/0").as_deref(), Some("::/0"));
        for wrong in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "::1/8", "a/b"] {
            assert_eq!(block_v4(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn protocols_have_one_name_each() {
        for (given, kept) in [("TCP", "tcp"), ("6", "tcp"), ("all", "-1"), ("50", "50")] {
            assert_eq!(protocol(given).as_deref(), Some(kept));
        }
        for wrong in ["", "256", "http", "-2"] {
            assert_eq!(protocol(wrong), None);
        }
    }
}
