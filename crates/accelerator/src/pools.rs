//! The two networks that static IPv4 addresses are drawn from, one address of each for an
//! accelerator: the two network zones of AWS, so that what befalls one network leaves clients the
//! other address. IPv6 addresses come from [`crate::ipv6_pool`]. Which addresses are taken stands
//! in the configuration.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use types::ConfigurationView;

use crate::error::AcceleratorError;
use crate::ipv6_pool::{self, Ipv6Network};
use crate::keys;

/// The longest prefix of a pool: it leaves two addresses between the first, which names the
/// network, and the last, which is its broadcast.
const MAX_PREFIX: u8 = 30;

/// The shortest: the taken addresses of a pool are read whenever one is drawn.
const MIN_PREFIX: u8 = 8;

/// An IPv4 network: `127.80.0.0/16`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Network {
    first: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no network that addresses can be drawn from, or two networks aren't.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PoolError {
    /// It isn't an address, a slash and a number of bits.
    #[error("a pool of static addresses is written as 127.80.0.0/16 is")]
    NoNetwork,
    /// The number of bits is out of range.
    #[error("a pool of static addresses has a prefix of {MIN_PREFIX} to {MAX_PREFIX} bits")]
    Prefix,
    /// The address has bits beyond the prefix.
    #[error("a pool's address is its first: the bits after the prefix are zero")]
    HostBits,
    /// The two have addresses in common.
    #[error("the two pools of static addresses overlap")]
    Overlap,
}

impl Ipv4Network {
    /// Is it one of the network's addresses?
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.bits(address) == self.bits(self.first)
    }

    /// The bits of an address that this network's have in common.
    fn bits(self, address: Ipv4Addr) -> u32 {
        address.to_bits() >> (32 - u32::from(self.prefix))
    }

    /// How many addresses can be given away.
    fn hosts(self) -> u32 {
        (1 << (32 - u32::from(self.prefix))) - 2
    }

    /// The address with that many before it that can be given away.
    fn host(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + 1 + index)
    }
}

impl FromStr for Ipv4Network {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Ipv4Network, PoolError> {
        let (first, prefix) = text.split_once('/').ok_or(PoolError::NoNetwork)?;
        let first: Ipv4Addr = first.parse().map_err(|_| PoolError::NoNetwork)?;
        let prefix: u8 = prefix.parse().map_err(|_| PoolError::NoNetwork)?;
        if !(MIN_PREFIX..=MAX_PREFIX).contains(&prefix) {
            return Err(PoolError::Prefix);
        }
        let network = Ipv4Network { first, prefix };
        if first.to_bits() << prefix != 0 {
            return Err(PoolError::HostBits);
        }
        Ok(network)
    }
}

impl fmt::Display for Ipv4Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The pools of a deployment: two of IPv4, which have no address in common, and perhaps one of
/// IPv6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pools {
    ipv4: [Ipv4Network; 2],
    /// Or why there is none, as whoever asks for IPv6 addresses is told.
    ipv6: Result<Ipv6Network, String>,
}

impl Pools {
    /// The pools of those two networks, and of that one of IPv6; or why there is none, as whoever
    /// asks for IPv6 addresses is told.
    ///
    /// # Errors
    ///
    /// The two overlap.
    pub fn new(
        ipv4: [Ipv4Network; 2],
        ipv6: Result<Ipv6Network, String>,
    ) -> Result<Pools, PoolError> {
        let [one, other] = ipv4;
        if one.contains(other.first) || other.contains(one.first) {
            return Err(PoolError::Overlap);
        }
        Ok(Pools { ipv4, ipv6 })
    }

    /// May it be, or become, an accelerator's static address?
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.ipv4.iter().any(|network| network.contains(address)),
            IpAddr::V6(address) => self
                .ipv6
                .as_ref()
                .is_ok_and(|network| network.contains(address)),
        }
    }

    /// An address of each pool of IPv4 that no accelerator of that view has; `random` gives 64
    /// random bits.
    ///
    /// # Errors
    ///
    /// A pool has none left.
    pub(crate) fn draw(
        &self,
        view: &dyn ConfigurationView,
        mut random: impl FnMut() -> u64,
    ) -> Result<[Ipv4Addr; 2], AcceleratorError> {
        let taken = taken(view);
        let mut drawn = |network| draw(network, &taken, random());
        let [one, other] = self.ipv4.map(&mut drawn);
        Ok([
            one.map_err(AcceleratorError::exhausted)?,
            other.map_err(AcceleratorError::exhausted)?,
        ])
    }

    /// The same of IPv6, an address of each half of its pool.
    ///
    /// # Errors
    ///
    /// A half has none left, or there is no such pool.
    pub(crate) fn draw_ipv6(
        &self,
        view: &dyn ConfigurationView,
        mut random: impl FnMut() -> u64,
    ) -> Result<[Ipv6Addr; 2], AcceleratorError> {
        let network = self.ipv6.as_ref();
        let network = network.map_err(|reason| AcceleratorError::Refused(reason.clone()))?;
        let drawn = ipv6_pool::draw(*network, &taken(view), &mut random);
        drawn.ok_or_else(|| AcceleratorError::exhausted(network))
    }
}

/// The static addresses of one family that accelerators of that view have.
fn taken<A: FromStr + Ord>(view: &dyn ConfigurationView) -> BTreeSet<A> {
    let mut taken = BTreeSet::new();
    view.visit(keys::ADDRESSES, &mut |key, _, _| {
        let address = key.strip_prefix(keys::ADDRESSES).map(str::parse);
        // One of the other family isn't read.
        if let Some(Ok(address)) = address {
            taken.insert(address);
        }
    });
    taken
}

/// One of a network's free addresses, each as likely as another.
fn draw(
    network: Ipv4Network,
    taken: &BTreeSet<Ipv4Addr>,
    random: u64,
) -> Result<Ipv4Addr, Ipv4Network> {
    let (first, last) = (network.host(0), network.host(network.hosts() - 1));
    let taken = taken.range(first..=last);
    let count = u32::try_from(taken.clone().count()).unwrap_or(u32::MAX);
    let free = network.hosts().saturating_sub(count);
    if free == 0 {
        return Err(network);
    }
    // The drawn one among the free, counted past those taken that come before it.
    let index = u32::try_from(random % u64::from(free)).expect("less than a u32");
    let mut address = network.host(index);
    for taken in taken {
        if *taken > address {
            break;
        }
        address = Ipv4Addr::from_bits(address.to_bits() + 1);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Ipv4Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_written_as_usual_and_in_no_other_way() {
        assert_eq!(network("127.80.0.0/16").to_string(), "127.80.0.0/16");
        for (text, error) in [
            ("127.80.0.0", PoolError::NoNetwork),
            ("127.80.0/16", PoolError::NoNetwork),
            ("::/16", PoolError::NoNetwork),
            ("127.80.0.0/x", PoolError::NoNetwork),
            ("127.80.0.0/7", PoolError::Prefix),
            ("127.80.0.0/31", PoolError::Prefix),
            ("127.80.0.1/16", PoolError::HostBits),
        ] {
            assert_eq!(text.parse::<Ipv4Network>(), Err(error), "{text}");
        }
    }

    #[test]
    fn pools_don_t_overlap() {
        let ipv6: Ipv6Network = "fd00:80::/64".parse().unwrap();
        let pools = |one, other| Pools::new([network(one), network(other)], Ok(ipv6));
        assert!(pools("127.80.0.0/16", "127.81.0.0/16").is_ok());
        for (one, other) in [
            ("127.80.0.0/16", "127.80.0.0/16"),
            ("127.80.0.0/15", "127.81.0.0/16"),
            ("127.80.4.0/24", "127.80.0.0/16"),
        ] {
            assert_eq!(pools(one, other), Err(PoolError::Overlap), "{one} {other}");
        }
        let pools = pools("127.80.0.0/16", "127.81.0.0/16").unwrap();
        for (address, inside) in [
            ("127.80.3.4", true),
            ("127.81.255.255", true),
            ("::ffff:127.80.3.4", true),
            ("127.82.0.1", false),
            ("::1", false),
            ("fd00:80::9", true),
            ("fd00:80:0:1::9", false),
        ] {
            assert_eq!(
                pools.contains(address.parse().unwrap()),
                inside,
                "{address}"
            );
        }
    }

    #[test]
    fn every_free_address_is_drawn_and_none_that_is_taken() {
        let small = network("192.0.2.0/29");
        let mut taken = BTreeSet::from(["192.0.3.9", "192.0.1.9"].map(|it| it.parse().unwrap()));
        for left in (1..=6u64).rev() {
            let drawn: BTreeSet<Ipv4Addr> = (0..left)
                .map(|random| draw(small, &taken, random).unwrap())
                .collect();
            assert_eq!(drawn.len() as u64, left, "all that are free");
            assert!(drawn.iter().all(|address| small.contains(*address)));
            assert!(drawn.is_disjoint(&taken));
            // Takes the second, or the last.
            taken.insert(*drawn.iter().nth(1).or(drawn.first()).unwrap());
        }
        assert_eq!(draw(small, &taken, 7), Err(small));
        assert!(
            !taken.contains(&"192.0.2.0".parse().unwrap()),
            "names the network"
        );
        assert!(
            !taken.contains(&"192.0.2.7".parse().unwrap()),
            "its broadcast"
        );
    }
}
