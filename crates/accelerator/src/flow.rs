//! A new flow, as far as the choice of its endpoint goes, and the endpoints that were tried for it
//! in vain. Plain values.

use std::net::SocketAddr;

use crate::model::Protocol;

/// Endpoints that are remembered as tried for one flow, at most.
pub const MAX_TRIED: usize = 16;

/// A new flow: its five-tuple.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// The static address and the port that the client came to.
    pub to: SocketAddr,
    /// What travels in it.
    pub protocol: Protocol,
    /// The client's address and port.
    pub from: SocketAddr,
}

/// The endpoints that a flow's connection was refused by, or got no answer from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tried {
    addresses: [Option<SocketAddr>; MAX_TRIED],
    count: usize,
}

impl Tried {
    /// None was tried yet.
    pub const NONE: Tried = Tried {
        addresses: [None; MAX_TRIED],
        count: 0,
    };

    /// Remembers that endpoint. False if it can't: [`MAX_TRIED`] are remembered already, and the
    /// flow is to be given up.
    pub fn add(&mut self, endpoint: SocketAddr) -> bool {
        if self.contains(endpoint) {
            return true;
        }
        let Some(place) = self.addresses.get_mut(self.count) else {
            return false;
        };
        *place = Some(endpoint);
        self.count += 1;
        true
    }

    /// Was that endpoint tried?
    pub fn contains(&self, endpoint: SocketAddr) -> bool {
        self.iter().any(|tried| tried == endpoint)
    }

    /// How many were tried.
    pub fn len(&self) -> usize {
        self.count
    }

    /// None was tried yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Those that were tried, in order.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses[..self.count].iter().copied().flatten()
    }
}

impl FromIterator<SocketAddr> for Tried {
    /// The first [`MAX_TRIED`] of them.
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(endpoints: I) -> Tried {
        let mut tried = Tried::NONE;
        for endpoint in endpoints {
            tried.add(endpoint);
        }
        tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_remembered_once_and_within_bounds() {
        let endpoint = |port| SocketAddr::from(([127, 1, 1, 1], port));
        let mut tried = Tried::NONE;
        assert!(tried.is_empty() && !tried.contains(endpoint(0)));
        for port in 0..MAX_TRIED as u16 {
            assert!(tried.add(endpoint(port)) && tried.add(endpoint(port)));
        }
        assert!(!tried.add(endpoint(99)));
        assert_eq!(tried.len(), MAX_TRIED);
        assert!(tried.contains(endpoint(0)) && !tried.contains(endpoint(99)));
        assert_eq!((0..99).map(endpoint).collect::<Tried>(), tried);
    }
}
