//! The hybrid logical clock that stamps a Region's writes.

use types::{Hlc, SiteId, Timestamp, Version};

/// Issues versions: never twice the same, each greater than all before, and greater than any
/// state it is told of. Wall time is passed in.
#[derive(Debug)]
pub struct HybridClock {
    site: SiteId,
    last: Hlc,
}

impl HybridClock {
    /// A clock of that site which has issued nothing after `last`.
    pub fn new(site: SiteId, last: Hlc) -> HybridClock {
        HybridClock { site, last }
    }

    /// The version of a write made now over a state stamped `seen`: it outbids both the wall
    /// clock's past and that state, so a write always beats the version it saw.
    pub fn issue(&mut self, wall: Timestamp, seen: Option<Version>) -> Version {
        let after_seen = seen.map_or(Hlc(0), |version| version.time.next());
        self.last = Hlc::at(wall).max(self.last.next()).max(after_seen);
        Version {
            time: self.last,
            site: self.site,
        }
    }

    /// Everything issued from now on is greater than `reached`.
    pub fn observe(&mut self, reached: Hlc) {
        self.last = self.last.max(reached);
    }

    /// The greatest version issued so far.
    pub fn last(&self) -> Hlc {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbids_the_wall_its_past_and_what_it_saw() {
        let mut clock = HybridClock::new(SiteId(1), Hlc(0));
        let first = clock.issue(Timestamp(1000), None);
        assert_eq!(first.time, Hlc::at(Timestamp(1000)));
        let second = clock.issue(Timestamp(900), None);
        assert!(second > first);
        let ahead = Version {
            time: Hlc::at(Timestamp(5000)),
            site: SiteId(2),
        };
        assert!(clock.issue(Timestamp(1001), Some(ahead)) > ahead);
    }

    #[test]
    fn outbids_what_it_observed_and_never_goes_back() {
        let mut clock = HybridClock::new(SiteId(1), Hlc(0));
        let reached = Hlc::at(Timestamp(5000));
        clock.observe(reached);
        clock.observe(Hlc::at(Timestamp(4000)));
        assert_eq!(clock.issue(Timestamp(1000), None).time, reached.next());
    }
}
