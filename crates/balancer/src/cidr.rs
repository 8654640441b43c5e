//! Blocks of addresses, as rules' source conditions and the pools of nodes' addresses name them:
//! an address, a slash and a number of bits. Bits beyond those are zero.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A block of addresses: `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

/// The text is no block of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a block of addresses is written as 192.0.2.0/24 is, with zeros after its prefix")]
pub struct InvalidCidr;

impl Cidr {
    /// Its first address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits its addresses have in common.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Is it one of the block's addresses? One of IPv4 that is written in IPv6 counts as itself.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                first.to_bits() == address.to_bits() & mask4(self.prefix)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                first.to_bits() == address.to_bits() & mask6(self.prefix)
            }
            _ => false,
        }
    }
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Cidr, InvalidCidr> {
        let (first, prefix) = text.split_once('/').ok_or(InvalidCidr)?;
        let plain = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|it| it.is_ascii_digit());
        let prefix = plain.then(|| prefix.parse::<u8>().ok()).flatten();
        let prefix = prefix.ok_or(InvalidCidr)?;
        let first: IpAddr = first.parse().map_err(|_| InvalidCidr)?;
        let fits = match first {
            IpAddr::V4(first) => {
                prefix <= 32 && first == Ipv4Addr::from_bits(first.to_bits() & mask4(prefix))
            }
            IpAddr::V6(first) => {
                prefix <= 128 && first == Ipv6Addr::from_bits(first.to_bits() & mask6(prefix))
            }
        };
        fits.then_some(Cidr { first, prefix }).ok_or(InvalidCidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_they_are_written_and_in_no_other_way() {
        for text in [
            "0.0.0.0/0",
            "192.0.2.0/24",
            "192.0.2.7/32",
            "::/0",
            "2001:db8::/32",
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "/",
            "192.0.2.0",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/+4",
            "192.0.2/24",
            "2001:db8::1/32",
            "::/129",
            "::/",
            "192.0.2.0/0024",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr), "{text}");
        }
    }

    #[test]
    fn a_block_has_its_own_addresses_and_no_others() {
        for (block, address, inside) in [
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::1/128", "2001:db8::1", true),
        ] {
            let block: Cidr = block.parse().unwrap();
            assert_eq!(
                block.contains(address.parse().unwrap()),
                inside,
                "{block} {address}"
            );
        }
    }
}
