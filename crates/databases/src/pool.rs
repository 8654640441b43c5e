//! The network that the addresses of endpoints are drawn from. Which addresses are taken stands in
//! the configuration.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use types::ConfigurationView;

use crate::keys;

/// The shortest prefix of a pool: its taken addresses are counted when one is drawn.
const MIN_PREFIX: u8 = 8;

/// The longest: it leaves two addresses between the first and the last.
const MAX_PREFIX: u8 = 30;

/// A network of IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndpointPool {
    first: Ipv4Addr,
    prefix: u8,
}

/// The network is no pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}/{1} is no network of IPv4 with a prefix of {MIN_PREFIX} to {MAX_PREFIX} bits")]
pub struct InvalidPool(Ipv4Addr, u8);

impl EndpointPool {
    /// The pool of the network that begins with that address. Its first address names the network
    /// and its last is its broadcast; neither is drawn.
    ///
    /// # Errors
    ///
    /// [`InvalidPool`]: it is too large or too small, or doesn't begin there.
    pub fn new(first: Ipv4Addr, prefix: u8) -> Result<EndpointPool, InvalidPool> {
        let fits = (MIN_PREFIX..=MAX_PREFIX).contains(&prefix);
        let is_first = fits && first.to_bits().trailing_zeros() >= 32 - u32::from(prefix);
        match is_first {
            true => Ok(EndpointPool { first, prefix }),
            false => Err(InvalidPool(first, prefix)),
        }
    }

    /// May it be, or become, the address of an endpoint?
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let host_bits = 32 - u32::from(self.prefix);
        address.to_bits() >> host_bits == self.first.to_bits() >> host_bits
    }

    /// An address that no instance has, each as likely as another, so that one that was given back
    /// isn't at once another's, and that isn't that other one, which was drawn for the same change;
    /// `random` is 64 random bits. None: none is left.
    pub(crate) fn draw(
        &self,
        view: &dyn ConfigurationView,
        random: u64,
        other: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let hosts = (1u32 << (32 - u32::from(self.prefix))) - 2;
        let mut taken: BTreeSet<Ipv4Addr> = other.into_iter().collect();
        view.visit(keys::ADDRESSES, &mut |key, _, _| {
            let address = key.strip_prefix(keys::ADDRESSES).map(str::parse);
            if let Some(Ok(address)) = address
                && self.contains(address)
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
        let mut address = Ipv4Addr::from_bits(self.first.to_bits() + 1 + index);
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

    #[test]
    fn pools_are_networks_of_ipv4() {
        assert!(EndpointPool::new([127, 48, 1, 0].into(), 24).is_ok());
        for (first, prefix) in [
            ([127, 48, 1, 0], 7),
            ([127, 48, 1, 0], 31),
            ([127, 48, 1, 1], 24),
        ] {
            assert!(EndpointPool::new(first.into(), prefix).is_err());
        }
    }

    #[test]
    fn every_free_address_is_drawn_and_none_that_is_taken() {
        let pool = EndpointPool::new([192, 0, 2, 0].into(), 29).unwrap();
        let mut view = Taken(
            ["192.0.3.9", "192.0.1.9"]
                .map(|it| it.parse().unwrap())
                .into(),
        );
        for left in (1..=6u64).rev() {
            let draw = |random| pool.draw(&view, random, None).unwrap();
            let drawn: BTreeSet<Ipv4Addr> = (0..left).map(draw).collect();
            assert_eq!(drawn.len() as u64, left, "all that are free");
            assert!(drawn.iter().all(|address| pool.contains(*address)));
            assert!(drawn.is_disjoint(&view.0));
            let takes = drawn.iter().nth(1).or(drawn.first()).unwrap();
            view.0.insert(*takes);
        }
        assert_eq!(pool.draw(&view, 7, None), None);
    }
}
