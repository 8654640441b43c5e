//! The networks that the addresses of load balancers' nodes are drawn from: one a zone. Which
//! addresses are taken stands in the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use types::{ConfigurationView, ZoneLetter};

use crate::cidr::Cidr;
use crate::keys;

/// The shortest prefix of a pool: the taken addresses of a pool are counted when one is drawn.
const MIN_PREFIX: u8 = 8;

/// The longest: it leaves two addresses between the first, which names the network, and the last,
/// which is its broadcast.
const MAX_PREFIX: u8 = 30;

/// The networks of a Region's zones, which have no address in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodePools(BTreeMap<ZoneLetter, Cidr>);

/// Why networks are no pools.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PoolError {
    /// A network isn't one of IPv4, or too large or too small.
    #[error(
        "the network of zone {0} isn't one of IPv4 with a prefix of {MIN_PREFIX} to {MAX_PREFIX} \
         bits"
    )]
    Network(ZoneLetter),
    /// Two networks overlap.
    #[error("the networks of zones {0} and {1} overlap")]
    Overlap(ZoneLetter, ZoneLetter),
}

impl NodePools {
    /// The pools of those networks. A zone without one can have no nodes.
    ///
    /// # Errors
    ///
    /// [`PoolError`].
    pub fn new(networks: BTreeMap<ZoneLetter, Cidr>) -> Result<NodePools, PoolError> {
        for (zone, network) in &networks {
            let fits = (MIN_PREFIX..=MAX_PREFIX).contains(&network.prefix());
            if !network.first().is_ipv4() || !fits {
                return Err(PoolError::Network(*zone));
            }
            let overlaps =
                |other: &Cidr| other.contains(network.first()) || network.contains(other.first());
            let mut others = networks.range(..zone);
            if let Some((other, _)) = others.find(|(_, other)| overlaps(other)) {
                return Err(PoolError::Overlap(*other, *zone));
            }
        }
        Ok(NodePools(networks))
    }

    /// May it be, or become, the address of a node?
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.values().any(|network| network.contains(address))
    }

    /// An address of that zone's network that no load balancer has, each as likely as another, so
    /// that one that was given back isn't at once another's; `random` is 64 random bits. None: the
    /// zone has no network, or none is left.
    pub(crate) fn draw(
        &self,
        zone: ZoneLetter,
        view: &dyn ConfigurationView,
        random: u64,
    ) -> Option<Ipv4Addr> {
        let network = self.0.get(&zone)?;
        let IpAddr::V4(first) = network.first() else {
            return None;
        };
        let hosts = (1u32 << (32 - u32::from(network.prefix()))) - 2;
        let mut taken = BTreeSet::new();
        view.visit(keys::ADDRESSES, &mut |key, _, _| {
            let address = key.strip_prefix(keys::ADDRESSES).map(str::parse);
            if let Some(Ok(address)) = address
                && network.contains(IpAddr::V4(address))
            {
                taken.insert(address);
            }
        });
        let free = hosts.checked_sub(u32::try_from(taken.len()).ok()?)?;
        if free == 0 {
            return None;
        }
        let index = u32::try_from(random % u64::from(free)).ok()?;
        // The drawn one among the free, counted past those taken that come before it.
        let mut address = Ipv4Addr::from_bits(first.to_bits() + 1 + index);
        for taken in taken {
            if taken > address {
                break;
            }
            address = Ipv4Addr::from_bits(address.to_bits() + 1);
        }
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A view in which those addresses are taken.
    struct Taken(BTreeSet<Ipv4Addr>);

    impl ConfigurationView for Taken {
        fn revision(&self) -> u64 {
            0
        }

        fn get(&self, _: &str) -> Option<(u64, Bytes)> {
            None
        }

        fn visit(&self, _: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
            for address in &self.0 {
                visitor(&keys::address(*address), 0, &Bytes::new());
            }
        }
    }

    fn pools(networks: &[(ZoneLetter, &str)]) -> Result<NodePools, PoolError> {
        let networks = networks.iter();
        NodePools::new(
            networks
                .map(|(zone, text)| (*zone, text.parse().unwrap()))
                .collect(),
        )
    }

    #[test]
    fn pools_are_networks_of_ipv4_that_don_t_overlap() {
        use ZoneLetter::{A, B};
        assert!(pools(&[(A, "127.32.1.0/24"), (B, "127.33.1.0/24")]).is_ok());
        for (network, error) in [
            ("::/16", PoolError::Network(A)),
            ("127.32.1.0/31", PoolError::Network(A)),
            ("0.0.0.0/0", PoolError::Network(A)),
        ] {
            assert_eq!(pools(&[(A, network)]), Err(error), "{network}");
        }
        let overlap = pools(&[(A, "127.32.0.0/16"), (B, "127.32.9.0/24")]);
        assert_eq!(overlap, Err(PoolError::Overlap(A, B)));
    }

    #[test]
    fn every_free_address_is_drawn_and_none_that_is_taken() {
        let small = pools(&[(ZoneLetter::B, "192.0.2.0/29")]).unwrap();
        let mut view = Taken(
            ["192.0.3.9", "192.0.1.9"]
                .map(|it| it.parse().unwrap())
                .into(),
        );
        for left in (1..=6u64).rev() {
            let draw = |random| small.draw(ZoneLetter::B, &view, random).unwrap();
            let drawn: BTreeSet<Ipv4Addr> = (0..left).map(draw).collect();
            assert_eq!(drawn.len() as u64, left, "all that are free");
            assert!(
                drawn
                    .iter()
                    .all(|address| small.contains((*address).into()))
            );
            assert!(drawn.is_disjoint(&view.0));
            // Takes the second, or the last.
            let takes = drawn.iter().nth(1).or(drawn.first()).unwrap();
            view.0.insert(*takes);
        }
        assert_eq!(small.draw(ZoneLetter::B, &view, 7), None);
        assert_eq!(
            small.draw(ZoneLetter::A, &view, 7),
            None,
            "it has no network"
        );
    }
}
