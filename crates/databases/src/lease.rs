//! The lease of a Region's writers: the fence between an old writer and a new one. Pure; clocks are
//! passed in.
//!
//! A Region that has the writer of a global cluster has a row of the council's configuration
//! renewed all the time. A renewal that was committed holds for [`LEASE`] from when it *began*, by
//! that Region's own monotonic clock, and whoever serves by it looks at a configuration at least as
//! new as the renewal. So one that serves without having seen a move serves by a renewal that was
//! committed before the move, and [`LEASE`] after that began it serves no more, whatever happened
//! to it. Whoever takes over waits [`TAKEOVER_WAIT`], from when *it* first saw the move or, if that
//! was earlier, the renewal that stands beside it ([`crate::silence`]): each is after all of those
//! renewals began. That is longer by what two clocks may differ in rate, so the two never overlap.

use bytes::Bytes;
use types::{ConfigurationEdit, ConfigurationExpected, Monotonic, Region, Span};

use crate::keys;

/// How long a renewal holds.
pub const LEASE: Span = Span::seconds(3);

/// How often a Region that needs it has its lease renewed.
pub const RENEW_EVERY: Span = Span::seconds(1);

/// How long one that takes over waits if the old writer doesn't say that it has stopped: the lease,
/// 1 % for the rates of two clocks, and 100 ms for its timers.
pub const TAKEOVER_WAIT: Span = Span::milliseconds(3130);

/// How long a switchover may take until it is called off, from when the old writer saw it first.
pub const SWITCHOVER_WAIT: Span = Span::seconds(60);

/// How long the target's Region of a switchover may renew no lease until it is called off. Who
/// takes over has that written by the council, as it has its lease: while it can't do the one it
/// can't do the other.
pub const SILENT_WAIT: Span = Span::seconds(5);

/// A renewal under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a renewal that isn't committed holds nothing"]
pub struct Renewal {
    began: Monotonic,
}

/// What a Region holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    held: Option<Held>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    until: Monotonic,
    revision: u64,
}

impl Lease {
    /// Begins a renewal: to be called before [`edit`]'s edit is proposed.
    pub fn begin(now: Monotonic) -> Renewal {
        Renewal { began: now }
    }

    /// The renewal's edit was made by that revision. One that is older than another that was made
    /// changes nothing.
    pub fn committed(&mut self, renewal: Renewal, revision: u64) {
        let until = renewal.began + LEASE;
        if self.held.is_none_or(|held| held.until < until) {
            self.held = Some(Held { until, revision });
        }
    }

    /// May its holder serve now, by a configuration of that revision?
    pub fn is_held(&self, now: Monotonic, revision: u64) -> bool {
        let serves = |held: Held| now < held.until && held.revision <= revision;
        self.held.is_some_and(serves)
    }

    /// When it runs out unless it is renewed; `None`: it never was held.
    pub fn until(&self) -> Option<Monotonic> {
        self.held.map(|held| held.until)
    }
}

/// The edit that renews a Region's lease; `number` is any that differs from the last one's, and
/// `renewals` how many there were with it, at least: one more than are known ([`LeaseRow`]).
///
/// [`LeaseRow`]: crate::silence::LeaseRow
pub fn edit(region: Region, number: u64, renewals: u64) -> ConfigurationEdit {
    let value = format!("{{\"format\":1,\"number\":{number},\"renewals\":{renewals}}}");
    ConfigurationEdit {
        key: keys::lease(region),
        expected: ConfigurationExpected::Any,
        value: Some(Bytes::from(value)),
    }
}

/// A move, and when this process first saw it: kept in memory by whoever observes. A process that
/// starts anew sees it anew, and waits the longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MoveSeen {
    /// The move's number.
    pub number: u64,
    /// When it was first seen.
    pub at: Monotonic,
}

impl MoveSeen {
    /// What is remembered once a move of that number, or none, was seen now.
    pub fn next(before: Option<MoveSeen>, number: Option<u64>, now: Monotonic) -> Option<MoveSeen> {
        let number = number?;
        let same = before.filter(|seen| seen.number == number);
        Some(same.unwrap_or(MoveSeen { number, at: now }))
    }
}
