//! The network that static IPv6 addresses are drawn from. An accelerator gets one of each half of
//! it: the halves stand for AWS's two network zones, which there are two /64 networks (Developer
//! Guide, "Standard accelerators"). Which addresses are taken stands in the configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The shortest prefix: an address is drawn by 64 random bits.
const MIN_PREFIX: u8 = 64;

/// The longest: it leaves three addresses in each half.
const MAX_PREFIX: u8 = 125;

/// The networks that static addresses may be of: global addresses (RFC 4291 section 2.4) and
/// unique local ones (RFC 4193). Others are loopback, multicast, IPv4's, or of one link alone,
/// which can't be reached without the name of an interface.
const KINDS: [(Ipv6Addr, u32); 2] = [
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
];

/// An IPv6 network of 64 to 125 bits: `fd12:3456:789a::/64`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ipv6Network {
    first: Ipv6Addr,
    prefix: u8,
}

/// Why a text is no network that static IPv6 addresses can be drawn from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Ipv6PoolError {
    /// It isn't an address, a slash and a number of bits.
    #[error("a pool of static IPv6 addresses is written as fd12:3456:789a::/64 is")]
    NoNetwork,
    /// The number of bits is out of range.
    #[error("a pool of static IPv6 addresses has a prefix of {MIN_PREFIX} to {MAX_PREFIX} bits")]
    Prefix,
    /// The address has bits beyond the prefix.
    #[error("'{found}' has bits beyond its prefix: '{meant}' is meant")]
    HostBits {
        /// What was written.
        found: String,
        /// The network of that prefix.
        meant: Ipv6Network,
    },
    /// It is of another kind of addresses.
    #[error(
        "a pool of static IPv6 addresses is of global addresses (2000::/3) or unique local ones \
         (fc00::/7)"
    )]
    Kind,
}

impl Ipv6Network {
    /// Is it one of the network's addresses?
    pub fn contains(self, address: Ipv6Addr) -> bool {
        leading(address, u32::from(self.prefix)) == self.first
    }

    /// The last address of each half: like those that accelerators get, and as unlikely as any to
    /// have been given to an interface by itself.
    pub fn samples(self) -> [Ipv6Addr; 2] {
        self.halves().map(|half| half.host(half.hosts() - 1))
    }

    fn halves(self) -> [Half; 2] {
        let prefix = self.prefix + 1;
        let first = self.first.to_bits();
        let other = first | 1 << (128 - u32::from(prefix));
        [first, other].map(|first| Half { first, prefix })
    }
}

/// The address with all bits beyond the prefix, of 1 to 128 bits, zero.
fn leading(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - prefix))
}

impl FromStr for Ipv6Network {
    type Err = Ipv6PoolError;

    fn from_str(text: &str) -> Result<Ipv6Network, Ipv6PoolError> {
        let no_network = || Ipv6PoolError::NoNetwork;
        let (address, prefix) = text.split_once('/').ok_or_else(no_network)?;
        let address: Ipv6Addr = address.parse().map_err(|_| no_network())?;
        let prefix: u8 = prefix.parse().map_err(|_| no_network())?;
        if !(MIN_PREFIX..=MAX_PREFIX).contains(&prefix) {
            return Err(Ipv6PoolError::Prefix);
        }
        if !KINDS
            .iter()
            .any(|(kind, bits)| leading(address, *bits) == *kind)
        {
            return Err(Ipv6PoolError::Kind);
        }
        let first = leading(address, u32::from(prefix));
        let network = Ipv6Network { first, prefix };
        if first != address {
            return Err(Ipv6PoolError::HostBits {
                found: text.to_owned(),
                meant: network,
            });
        }
        Ok(network)
    }
}

impl fmt::Display for Ipv6Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl TryFrom<String> for Ipv6Network {
    type Error = Ipv6PoolError;

    fn try_from(text: String) -> Result<Ipv6Network, Ipv6PoolError> {
        text.parse()
    }
}

impl From<Ipv6Network> for String {
    fn from(network: Ipv6Network) -> String {
        network.to_string()
    }
}

/// Half of a network, of 65 to 126 bits.
#[derive(Clone, Copy)]
struct Half {
    first: u128,
    prefix: u8,
}

impl Half {
    /// How many addresses can be given away: all but the first. That of the lower half means any
    /// router of the network (RFC 4291 section 2.6.1); the other half does as it does.
    fn hosts(self) -> u64 {
        (1 << (128 - u32::from(self.prefix))) - 1
    }

    /// The address with that many before it that can be given away.
    fn host(self, index: u64) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.first + 1 + u128::from(index))
    }

    /// One of its free addresses, each as likely as another; none if there is none.
    fn draw(self, taken: &BTreeSet<Ipv6Addr>, random: u64) -> Option<Ipv6Addr> {
        let taken = taken.range(self.host(0)..=self.host(self.hosts() - 1));
        let count = taken.clone().count() as u64;
        let free = self.hosts().checked_sub(count).filter(|free| *free > 0)?;
        // The drawn one among the free, counted past those taken that come before it.
        let mut address = self.host(random % free);
        for taken in taken {
            if *taken > address {
                break;
            }
            address = Ipv6Addr::from_bits(address.to_bits() + 1);
        }
        Some(address)
    }
}

/// A free address of each half, if there is one; `random` gives 64 random bits.
pub(crate) fn draw(
    network: Ipv6Network,
    taken: &BTreeSet<Ipv6Addr>,
    random: &mut impl FnMut() -> u64,
) -> Option<[Ipv6Addr; 2]> {
    let [one, other] = network.halves();
    Some([one.draw(taken, random())?, other.draw(taken, random())?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Ipv6Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_written_as_usual_and_in_no_other_way() {
        for text in ["fd12:3456:789a::/64", "2001:db8:0:1::/64", "fd00::8/125"] {
            let network = network(text);
            assert_eq!(network.to_string(), text);
            let json = serde_json::to_string(&network).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Ipv6Network>(&json).unwrap(), network);
        }
        let host_bits = Ipv6PoolError::HostBits {
            found: "fd00::1/64".to_owned(),
            meant: network("fd00::/64"),
        };
        for (text, error) in [
            ("fd00::", Ipv6PoolError::NoNetwork),
            ("127.80.0.0/64", Ipv6PoolError::NoNetwork),
            ("fd00::/x", Ipv6PoolError::NoNetwork),
            ("fd00::/63", Ipv6PoolError::Prefix),
            ("fd00::/126", Ipv6PoolError::Prefix),
            ("::/64", Ipv6PoolError::Kind),
            ("::ffff:0:0/96", Ipv6PoolError::Kind),
            ("fe80::/64", Ipv6PoolError::Kind),
            ("ff02::/64", Ipv6PoolError::Kind),
            ("fd00::1/64", host_bits),
        ] {
            assert_eq!(text.parse::<Ipv6Network>(), Err(error), "{text}");
        }
        let error = serde_json::from_str::<Ipv6Network>("\"fe80::/64\"").unwrap_err();
        assert!(error.to_string().contains("fc00::/7"), "{error}");
    }

    #[test]
    fn an_accelerator_has_an_address_of_each_half() {
        let network = network("fd00:0:0:1::/64");
        let mut random = [0, u64::MAX].into_iter().cycle();
        let drawn = draw(network, &BTreeSet::new(), &mut || random.next().unwrap());
        let [one, other] = drawn.unwrap();
        assert_eq!(one.to_string(), "fd00:0:0:1::1");
        assert!(other > "fd00:0:0:1:8000::".parse::<Ipv6Addr>().unwrap());
        let samples = network.samples().map(|sample| sample.to_string());
        let last = ["fd00::1:7fff:ffff:ffff:ffff", "fd00::1:ffff:ffff:ffff:ffff"];
        assert_eq!(samples, last);
        assert!(network.samples().iter().all(|it| network.contains(*it)));
        assert!(!network.contains("fd00:0:0:2::".parse().unwrap()));
    }

    #[test]
    fn every_free_address_is_drawn_and_none_that_is_taken() {
        let small = network("fd00::10/125");
        let mut taken = BTreeSet::from(["fd00::f", "fd00::18"].map(|it| it.parse().unwrap()));
        for left in (1..=3u64).rev() {
            let mut drawn = BTreeSet::new();
            for number in 0..left {
                let pair = draw(small, &taken, &mut || number).unwrap();
                assert!(pair.iter().all(|address| small.contains(*address)));
                drawn.extend(pair);
            }
            assert_eq!(drawn.len() as u64, 2 * left, "all that are free");
            assert!(drawn.is_disjoint(&taken));
            taken.extend(draw(small, &taken, &mut || left / 2).unwrap());
        }
        assert_eq!(draw(small, &taken, &mut || 7), None);
        for first in ["fd00::10", "fd00::14"] {
            assert!(!taken.contains(&first.parse().unwrap()), "a half's first");
        }
    }
}
