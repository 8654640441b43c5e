//! The targets that a request, or a flow, was sent to in vain. A plain value.

use std::net::SocketAddr;

/// Targets that are remembered as tried for one request, at most.
pub const MAX_TRIED: usize = 8;

/// The targets that refused a connection, or didn't take it in time.
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

    /// Remembers that target. False if it can't: [`MAX_TRIED`] are remembered already, and the
    /// request is to be given up.
    pub fn add(&mut self, target: SocketAddr) -> bool {
        if self.contains(target) {
            return true;
        }
        let Some(place) = self.addresses.get_mut(self.count) else {
            return false;
        };
        *place = Some(target);
        self.count += 1;
        true
    }

    /// Was that target tried?
    pub fn contains(&self, target: SocketAddr) -> bool {
        let mut known = self.addresses[..self.count].iter();
        known.any(|tried| *tried == Some(target))
    }

    /// How many were tried.
    pub fn len(&self) -> usize {
        self.count
    }

    /// None was tried yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<SocketAddr> for Tried {
    /// The first [`MAX_TRIED`] of them.
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(targets: I) -> Tried {
        let mut tried = Tried::NONE;
        for target in targets {
            tried.add(target);
        }
        tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_remembered_once_and_within_bounds() {
        let target = |port| SocketAddr::from(([127, 1, 1, 1], port));
        let mut tried = Tried::NONE;
        assert!(tried.is_empty() && !tried.contains(target(0)));
        for port in 0..MAX_TRIED as u16 {
            assert!(tried.add(target(port)) && tried.add(target(port)));
        }
        assert!(!tried.add(target(99)));
        assert_eq!(tried.len(), MAX_TRIED);
        assert!(tried.contains(target(0)) && !tried.contains(target(99)));
        assert_eq!((0..99).map(target).collect::<Tried>(), tried);
    }
}
