//! The faults of a lab and their leases: what is injected, until when, and what it amounts to
//! for each site and each direction of a link. Pure: told the time, it kills nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use link::{Cut, Shape};
use serde::{Deserialize, Serialize};
use types::{AvailabilityZone, FaultTarget, Monotonic, Region, SiteName, Span, ZoneLetter};

/// Leases that a lab holds at once.
pub const MAXIMUM_LEASES: usize = 1_000;

/// The longest lease: a day. Whoever wants more injects again.
pub const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// The number of a fault; never reused while its supervisor lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// What can be done to a lab.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Fault {
    /// Its processes are killed and stay down; of a zone also what a Region's own process has
    /// there.
    Kill {
        /// Whose.
        #[serde(rename = "site")]
        target: FaultTarget,
    },
    /// Its processes stand still. (Never those of a zone: other zones share the Region's own.)
    Pause {
        /// Whose.
        #[serde(rename = "site")]
        target: FaultTarget,
    },
    /// Nothing passes from one site to the other.
    Cut {
        /// The site that is no longer heard.
        from: SiteName,
        /// The site that no longer hears it.
        to: SiteName,
        /// Only that direction; otherwise the other as well.
        one_way: bool,
        /// Connections are reset; otherwise what is sent just vanishes.
        reset: bool,
    },
    /// Passing takes longer than the geography has it.
    Delay {
        /// One end.
        from: SiteName,
        /// The other.
        to: SiteName,
        /// Only from the first to the second; otherwise both ways.
        one_way: bool,
        /// By how many milliseconds, one way.
        milliseconds: u64,
    },
    /// No more than so much passes in a second.
    Rate {
        /// One end.
        from: SiteName,
        /// The other.
        to: SiteName,
        /// Only from the first to the second; otherwise each way.
        one_way: bool,
        /// Bytes a second.
        bytes: NonZeroU64,
    },
    /// The site's wall clock is off.
    Clock {
        /// Which.
        site: SiteName,
        /// By how many milliseconds; negative: behind.
        milliseconds: i64,
    },
}

/// A fault and the time at which it ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its number.
    pub id: FaultId,
    /// What was injected.
    pub fault: Fault,
    /// When it ends.
    pub ends: Monotonic,
}

/// There are too many faults already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there are {MAXIMUM_LEASES} faults already; `causeway fault heal` ends them")]
pub struct TooManyFaults;

/// What an instance of the application is to do, as far as faults have a say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstanceWish {
    /// Run.
    Run,
    /// Stand still.
    Stand,
    /// Be down.
    Down,
}

/// The leases in force.
#[derive(Clone, Debug, Default)]
pub struct FaultTable {
    last: u64,
    leases: BTreeMap<FaultId, Lease>,
}

impl FaultTable {
    /// Injects a fault for that long.
    pub fn inject(
        &mut self,
        now: Monotonic,
        fault: Fault,
        lasting: Span,
    ) -> Result<Lease, TooManyFaults> {
        if self.leases.len() >= MAXIMUM_LEASES {
            return Err(TooManyFaults);
        }
        self.last += 1;
        let id = FaultId(self.last);
        let ends = now + lasting;
        let lease = Lease { id, fault, ends };
        self.leases.insert(id, lease);
        Ok(lease)
    }

    /// Ends those whose time has come.
    pub fn expire(&mut self, now: Monotonic) -> Vec<Lease> {
        self.end(|lease| lease.ends <= now)
    }

    /// Ends that one; `None` if there is no such fault (any more).
    pub fn heal(&mut self, id: FaultId) -> Option<Lease> {
        self.leases.remove(&id)
    }

    /// Was there ever such a fault? (It may be over.)
    pub fn has_been(&self, id: FaultId) -> bool {
        (1..=self.last).contains(&id.0)
    }

    /// Ends all.
    pub fn heal_all(&mut self) -> Vec<Lease> {
        self.end(|_| true)
    }

    /// Ends what keeps it down: kills of just that, not of what it contains or is contained in.
    pub fn end_kills(&mut self, target: FaultTarget) -> Vec<Lease> {
        self.end(|lease| lease.fault == Fault::Kill { target })
    }

    /// Ends what makes it stand still, likewise.
    pub fn end_pauses(&mut self, target: FaultTarget) -> Vec<Lease> {
        self.end(|lease| lease.fault == Fault::Pause { target })
    }

    /// Ends what makes it, or a part of it, stand still.
    pub fn end_pauses_within(&mut self, outer: FaultTarget) -> Vec<Lease> {
        self.end(|lease| matches!(lease.fault, Fault::Pause { target } if outer.contains(target)))
    }

    fn end(&mut self, ends: impl Fn(&Lease) -> bool) -> Vec<Lease> {
        let ending = self.leases.values().copied().filter(ends);
        let ending: Vec<Lease> = ending.collect();
        for lease in &ending {
            self.leases.remove(&lease.id);
        }
        ending
    }

    /// When the next one ends by itself.
    pub fn next_expiry(&self) -> Option<Monotonic> {
        self.leases.values().map(|lease| lease.ends).min()
    }

    /// All in force, the oldest first.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        self.leases.values().map(|lease| lease.fault)
    }

    /// Is just that to be down?
    pub fn is_killed(&self, target: impl Into<FaultTarget>) -> bool {
        let target = target.into();
        self.faults().any(|fault| fault == Fault::Kill { target })
    }

    /// Is just that to stand still?
    pub fn is_paused(&self, target: impl Into<FaultTarget>) -> bool {
        let target = target.into();
        self.faults().any(|fault| fault == Fault::Pause { target })
    }

    /// The zones of that Region that are to be down while it runs.
    pub fn zones_down(&self, region: Region) -> BTreeSet<ZoneLetter> {
        let zones = AvailabilityZone::of(region);
        let down = zones.filter(|zone| self.is_killed(FaultTarget::Zone(*zone)));
        down.map(|zone| zone.letter).collect()
    }

    /// What the application's instance in that zone is to do while its Region runs.
    pub fn instance(&self, zone: AvailabilityZone) -> InstanceWish {
        let (app, own) = (FaultTarget::App(zone.region), FaultTarget::Instance(zone));
        let parts = [FaultTarget::Zone(zone), app, own];
        if parts.into_iter().any(|part| self.is_killed(part)) {
            InstanceWish::Down
        } else if self.is_paused(app) || self.is_paused(own) {
            InstanceWish::Stand
        } else {
            InstanceWish::Run
        }
    }

    /// How far off the site's wall clock is to be, in milliseconds. Several add up.
    pub fn clock_offset(&self, site: SiteName) -> i64 {
        let offsets = self.faults().map(|fault| match fault {
            Fault::Clock {
                site: of,
                milliseconds,
            } if of == site => milliseconds,
            _ => 0,
        });
        offsets.fold(0, i64::saturating_add)
    }

    /// The shape of that direction: `base` with everything in force laid over it. Delays add up,
    /// the lowest rate holds, and of two kinds of cut the reset.
    pub fn shape(&self, from: SiteName, to: SiteName, base: Shape) -> Shape {
        self.faults()
            .filter(|fault| fault.reaches(from, to))
            .fold(base, lay_over)
    }
}

impl Fault {
    /// The sites that it strikes, or strikes in.
    pub fn sites(&self) -> Vec<SiteName> {
        match *self {
            Fault::Kill { target } | Fault::Pause { target } => vec![target.site()],
            Fault::Clock { site, .. } => vec![site],
            Fault::Cut { from, to, .. }
            | Fault::Delay { from, to, .. }
            | Fault::Rate { from, to, .. } => vec![from, to],
        }
    }

    /// Does it shape what passes from `sender` to `receiver`?
    fn reaches(&self, sender: SiteName, receiver: SiteName) -> bool {
        match *self {
            Fault::Cut {
                from, to, one_way, ..
            }
            | Fault::Delay {
                from, to, one_way, ..
            }
            | Fault::Rate {
                from, to, one_way, ..
            } => (from, to) == (sender, receiver) || (!one_way && (to, from) == (sender, receiver)),
            Fault::Kill { .. } | Fault::Pause { .. } | Fault::Clock { .. } => false,
        }
    }
}

fn lay_over(shape: Shape, fault: Fault) -> Shape {
    match fault {
        Fault::Cut { reset, .. } => {
            let already = shape.cut == Some(Cut::Reset);
            let cut = if reset || already {
                Cut::Reset
            } else {
                Cut::Blackhole
            };
            shape.with_cut(cut)
        }
        Fault::Delay { milliseconds, .. } => {
            let more = Span::milliseconds(milliseconds);
            let delay = Span(shape.delay.0.saturating_add(more.0));
            Shape { delay, ..shape }
        }
        Fault::Rate { bytes, .. } => {
            let rate = shape.rate.map_or(bytes, |rate| rate.min(bytes));
            Shape {
                rate: Some(rate),
                ..shape
            }
        }
        Fault::Kill { .. } | Fault::Pause { .. } | Fault::Clock { .. } => shape,
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arrow = |one_way| if one_way { "->" } else { "<->" };
        match *self {
            Fault::Kill { target } => write!(f, "kill {target}"),
            Fault::Pause { target } => write!(f, "pause {target}"),
            Fault::Cut {
                from,
                to,
                one_way,
                reset,
            } => {
                let how = if reset { ", reset" } else { "" };
                write!(f, "cut {from} {} {to}{how}", arrow(one_way))
            }
            Fault::Delay {
                from,
                to,
                one_way,
                milliseconds,
            } => write!(f, "delay {from} {} {to} +{milliseconds} ms", arrow(one_way)),
            Fault::Rate {
                from,
                to,
                one_way,
                bytes,
            } => {
                let size = types::ByteSize(bytes.get());
                write!(f, "rate {from} {} {to} {size}/s", arrow(one_way))
            }
            Fault::Clock { site, milliseconds } => write!(f, "clock {site} {milliseconds:+} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    fn target(text: &str) -> FaultTarget {
        text.parse().unwrap()
    }

    fn kill_of(text: &str) -> Fault {
        let target = target(text);
        Fault::Kill { target }
    }

    fn pause_of(text: &str) -> Fault {
        let target = target(text);
        Fault::Pause { target }
    }

    fn cut(one_way: bool, reset: bool) -> Fault {
        Fault::Cut {
            from: site("us-east-1"),
            to: site("eu-west-1"),
            one_way,
            reset,
        }
    }

    const MINUTE: Span = Span::seconds(60);

    #[test]
    fn invariant_10_a_fault_ends_at_its_lease_and_at_heal() {
        let us = site("us-east-1");
        let mut table = FaultTable::default();
        let begun = Monotonic(5_000_000);
        let kill = table.inject(begun, kill_of("us-east-1"), MINUTE).unwrap();
        let pause = pause_of("us-east-1");
        let pause = table.inject(begun, pause, Span::seconds(61)).unwrap();
        assert_eq!(table.next_expiry(), Some(begun + MINUTE));

        let before = Monotonic((begun + MINUTE).0 - 1);
        assert_eq!(table.expire(before), []);
        assert!(table.is_killed(us));
        assert_eq!(table.expire(begun + MINUTE), [kill]);
        assert!(!table.is_killed(us) && table.is_paused(us));

        assert_eq!(table.heal(pause.id), Some(pause));
        assert_eq!(table.heal(pause.id), None);
        assert!(!table.is_paused(us));
        assert_eq!(table.next_expiry(), None);

        table.inject(begun, cut(false, false), MINUTE).unwrap();
        assert_eq!(table.heal_all().len(), 1);
        let shape = table.shape(us, site("eu-west-1"), Shape::default());
        assert_eq!(shape, Shape::default());
    }

    #[test]
    fn numbers_are_not_reused() {
        let mut table = FaultTable::default();
        let first = table.inject(Monotonic(0), cut(true, true), MINUTE).unwrap();
        table.heal_all();
        let second = table.inject(Monotonic(0), cut(true, true), MINUTE).unwrap();
        assert!(second.id > first.id);
        table.heal_all();
        assert!(table.has_been(first.id) && table.has_been(second.id));
        assert!(!table.has_been(FaultId(0)) && !table.has_been(FaultId(second.id.0 + 1)));
    }

    #[test]
    fn a_cut_shapes_its_direction_alone_or_both() {
        let (us, eu) = (site("us-east-1"), site("eu-west-1"));
        let base = Shape::delayed(Span::milliseconds(34));
        let mut table = FaultTable::default();
        table
            .inject(Monotonic(0), cut(true, false), MINUTE)
            .unwrap();
        assert_eq!(table.shape(us, eu, base), base.with_cut(Cut::Blackhole));
        assert_eq!(table.shape(eu, us, base), base);
        table
            .inject(Monotonic(0), cut(false, true), MINUTE)
            .unwrap();
        table
            .inject(Monotonic(0), cut(false, false), MINUTE)
            .unwrap();
        assert_eq!(table.shape(us, eu, base), base.with_cut(Cut::Reset));
        assert_eq!(table.shape(eu, us, base), base.with_cut(Cut::Reset));
        assert_eq!(table.shape(eu, site("edge-1"), base), base);
    }

    #[test]
    fn delays_add_up_and_the_lowest_rate_holds() {
        let (from, to) = (site("us-east-1"), site("eu-west-1"));
        let mut table = FaultTable::default();
        for milliseconds in [100, 50] {
            let delay = Fault::Delay {
                from,
                to,
                one_way: false,
                milliseconds,
            };
            table.inject(Monotonic(0), delay, MINUTE).unwrap();
        }
        for bytes in [3_000, 2_000, 9_000] {
            let rate = Fault::Rate {
                from,
                to,
                one_way: true,
                bytes: NonZeroU64::new(bytes).unwrap(),
            };
            table.inject(Monotonic(0), rate, MINUTE).unwrap();
        }
        let base = Shape::delayed(Span::milliseconds(34));
        let shape = table.shape(from, to, base);
        assert_eq!(shape.delay, Span::milliseconds(184));
        assert_eq!(shape.rate, NonZeroU64::new(2_000));
        assert_eq!(table.shape(to, from, base).rate, None);
    }

    #[test]
    fn clock_offsets_add_up_and_starting_ends_kills_only() {
        let us = site("us-east-1");
        let mut table = FaultTable::default();
        for milliseconds in [500, -2_000] {
            let clock = Fault::Clock {
                site: us,
                milliseconds,
            };
            table.inject(Monotonic(0), clock, MINUTE).unwrap();
        }
        for fault in [kill_of("us-east-1"), pause_of("us-east-1")] {
            table.inject(Monotonic(0), fault, MINUTE).unwrap();
        }
        assert_eq!(table.clock_offset(us), -1_500);
        assert_eq!(table.clock_offset(site("eu-west-1")), 0);
        assert_eq!(table.end_kills(us.into()).len(), 1);
        assert!(table.is_paused(us));
        assert_eq!(table.end_pauses(us.into()).len(), 1);
        assert_eq!(table.leases().count(), 2);
    }

    #[test]
    fn what_is_killed_in_a_region_says_what_its_instances_do() {
        let zones: Vec<AvailabilityZone> =
            AvailabilityZone::of("us-east-1".parse().unwrap()).collect();
        let [a, b, _] = zones[..] else {
            panic!("a Region has three zones");
        };
        use InstanceWish::{Down, Run, Stand};
        for (faults, wished, down) in [
            (&[][..], [Run, Run], ""),
            (&[kill_of("us-east-1/a")], [Down, Run], "a"),
            (&[kill_of("us-east-1/app")], [Down, Down], ""),
            (&[kill_of("us-east-1/b/app")], [Run, Down], ""),
            (&[pause_of("us-east-1/app")], [Stand, Stand], ""),
            (
                &[pause_of("us-east-1/b/app"), kill_of("us-east-1/b")],
                [Run, Down],
                "b",
            ),
            // It is the Region's own affair, and another Region's.
            (
                &[kill_of("us-east-1"), kill_of("eu-west-1/a")],
                [Run, Run],
                "",
            ),
        ] {
            let mut table = FaultTable::default();
            for fault in faults {
                table.inject(Monotonic(0), *fault, MINUTE).unwrap();
            }
            let found = [a, b].map(|zone| table.instance(zone));
            assert_eq!(found, wished, "{faults:?}");
            let zones = table.zones_down(a.region);
            let zones: String = zones.iter().map(ToString::to_string).collect();
            assert_eq!(zones, down, "{faults:?}");
        }
    }

    #[test]
    fn a_kill_takes_the_pauses_within_along() {
        let mut table = FaultTable::default();
        for text in [
            "us-east-1",
            "us-east-1/app",
            "us-east-1/a/app",
            "eu-west-1/app",
        ] {
            table.inject(Monotonic(0), pause_of(text), MINUTE).unwrap();
        }
        assert_eq!(table.end_pauses_within(target("us-east-1/a")).len(), 1);
        assert_eq!(table.end_pauses_within(target("us-east-1")).len(), 2);
        assert!(table.is_paused(target("eu-west-1/app")));
    }

    #[test]
    fn a_fault_s_json_is_what_it_was() {
        let text = r#"{"kind":"kill","site":"us-east-1"}"#;
        assert_eq!(serde_json::to_string(&kill_of("us-east-1")).unwrap(), text);
        let zone = r#"{"kind":"kill","site":"us-east-1/us-east-1a"}"#;
        let read: Fault = serde_json::from_str(zone).unwrap();
        assert_eq!(read, kill_of("us-east-1/a"));
    }

    #[test]
    fn there_is_a_limit() {
        let mut table = FaultTable::default();
        for _ in 0..MAXIMUM_LEASES {
            table.inject(Monotonic(0), cut(true, true), MINUTE).unwrap();
        }
        let refused = table.inject(Monotonic(0), cut(true, true), MINUTE);
        assert_eq!(refused, Err(TooManyFaults));
    }
}
