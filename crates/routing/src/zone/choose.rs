//! Which records answer, as Route 53 decides it. The rules, from its developer guide ("How
//! Amazon Route 53 chooses records when health checking is configured"); where it is silent,
//! `docs/routing-decisions.md` says what is done here and why.
//!
//! - A record set with values is healthy if its health check is, or if it has none. An alias
//!   must moreover, with `EvaluateTargetHealth`, have a target of whose record sets *any* is
//!   healthy, by this same rule.
//! - A group chooses among its healthy record sets by its policy. If none is healthy, all count
//!   as healthy and the policy decides.
//! - An alias that was chosen leads to its target's group, which chooses in the same manner. An
//!   alias that evaluates its target's health is chosen only while something there is healthy:
//!   that is how a branch is backed out of. One that doesn't is never backed out of.

use super::{CompiledZone, Entry, Found, Group, NONE, Rule, Set, location_code};
use crate::board::HealthBoard;
use crate::dns::QueryName;
use crate::locate::{Client, Whereabouts};
use crate::random::SmallRandom;

/// Record sets that a multivalue group answers with, at most (as the service).
pub(crate) const MAX_MULTIVALUE: usize = 8;

/// Record sets whose health one question looks at, at most. A tree has fewer, as a zone has; but
/// branches that share their leaves could multiply. Beyond it everything counts as healthy.
pub(crate) const MAX_STEPS: u32 = 20_000;

/// Record sets of one group that are considered, at most: the service allows 100.
pub(crate) const MAX_GROUP: usize = 128;

/// The sets of records that answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// None: the name has no answer for this client.
    Nothing,
    /// One.
    One(u32),
    /// Several, which answer together.
    Several([u32; MAX_MULTIVALUE], usize),
}

/// What happens on the way to a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A group is to choose.
    Group(u32),
    /// An entry's health was looked at.
    Considered(u32, bool),
    /// None of the group's entries that come into question is healthy: all count as healthy.
    LastResort,
    /// Only entries of weight 0 are healthy.
    ZeroWeights,
    /// An entry was chosen.
    Chosen(u32),
    /// No record of the group is for this client's place.
    NoMatch,
    /// An alias leads nowhere.
    DeadEnd,
}

/// Hears what happens on the way to an answer.
pub(crate) trait Observer<'a> {
    /// A choice is under way.
    fn see(&mut self, _: Event) {}
    /// The zone that the question lies in, if any.
    fn zone(&mut self, _: Option<&'a CompiledZone>) {}
    /// What a name was found to be.
    fn found(&mut self, _: &QueryName, _: Found) {}
    /// A set of records answers for a name, with that time to live.
    fn answered(&mut self, _: &QueryName, _: Set, _: u32) {}
}

/// Hears nothing.
pub(crate) struct Silent;

impl Observer<'_> for Silent {}

/// What a choice is made with.
pub(crate) struct Choosing<'a, 'b, O: Observer<'a>> {
    pub(crate) zone: &'a CompiledZone,
    pub(crate) board: &'a HealthBoard,
    pub(crate) client: &'b mut Client<'a>,
    pub(crate) random: &'b mut SmallRandom,
    pub(crate) observer: &'b mut O,
    pub(crate) steps: u32,
}

/// Entries of one group, a bit each.
type Bits = u128;

impl<'a, O: Observer<'a>> Choosing<'a, '_, O> {
    /// Lets a group choose.
    pub(crate) fn choose(&mut self, group: u32) -> Choice {
        let mut group = group;
        // Aliases lead nowhere twice: the zone was compiled so.
        loop {
            self.observer.see(Event::Group(group));
            let (first, entries) = self.entries(group);
            let chosen = match self.zone.group(group).rule {
                Rule::Simple => 0,
                Rule::Weighted => self.by_weight(first, entries),
                Rule::Latency(order) => self.by_latency(first, entries, order),
                Rule::Failover => self.by_role(first, entries),
                Rule::Geolocation => match self.by_place(first, entries) {
                    Some(chosen) => chosen,
                    None => {
                        self.observer.see(Event::NoMatch);
                        return Choice::Nothing;
                    }
                },
                Rule::Multivalue => return self.several(first, entries),
            };
            let number = first + chosen as u32;
            self.observer.see(Event::Chosen(number));
            let entry = &entries[chosen];
            match (entry.alias, entry.target) {
                (false, set) => return Choice::One(set),
                (true, NONE) => {
                    self.observer.see(Event::DeadEnd);
                    return Choice::Nothing;
                }
                (true, target) => group = target,
            }
        }
    }

    /// The entries of a group, and the number of the first. There is at least one.
    fn entries(&self, group: u32) -> (u32, &'a [Entry]) {
        let zone: &'a CompiledZone = self.zone;
        let Group { first, count, .. } = *zone.group(group);
        let start = first as usize;
        (first, &zone.entries[start..start + usize::from(count)])
    }

    /// Is the entry healthy? The looks are counted, so that they end.
    fn healthy(&mut self, entry: &Entry) -> bool {
        let Some(left) = self.steps.checked_sub(1) else {
            return true;
        };
        self.steps = left;
        if !self.board.is_healthy(entry.check) {
            return false;
        }
        if !entry.alias || !entry.evaluate_target_health {
            return true;
        }
        entry.target != NONE && {
            let (_, entries) = self.entries(entry.target);
            entries.iter().any(|entry| self.healthy(entry))
        }
    }

    /// Is the entry of that number healthy? Observed.
    fn considered(&mut self, number: u32, entry: &Entry) -> bool {
        let healthy = self.healthy(entry);
        self.observer.see(Event::Considered(number, healthy));
        healthy
    }

    /// The healthy entries.
    fn all_considered(&mut self, first: u32, entries: &[Entry]) -> Bits {
        let mut healthy = 0;
        for (index, entry) in entries.iter().enumerate() {
            if self.considered(first + index as u32, entry) {
                healthy |= 1 << index;
            }
        }
        healthy
    }

    /// In proportion to their weights among the healthy ones with a weight; else one of the
    /// healthy ones of weight 0; else as if all were healthy.
    fn by_weight(&mut self, first: u32, entries: &[Entry]) -> usize {
        let healthy = self.all_considered(first, entries);
        let weight = |(index, entry): (usize, &Entry)| match healthy >> index & 1 {
            1 => entry.key,
            _ => 0,
        };
        let total: u32 = entries.iter().enumerate().map(weight).sum();
        if total > 0 {
            return self.weighted(entries, healthy, total);
        }
        if healthy != 0 {
            self.observer.see(Event::ZeroWeights);
            return self.one_of(healthy);
        }
        self.observer.see(Event::LastResort);
        let every = every(entries);
        match entries.iter().map(|entry| entry.key).sum() {
            0 => self.one_of(every),
            total => self.weighted(entries, every, total),
        }
    }

    /// One of `among` by weight; their weights sum to `total`, above 0.
    fn weighted(&mut self, entries: &[Entry], among: Bits, total: u32) -> usize {
        let mut drawn = self.random.below(total);
        for (index, entry) in entries.iter().enumerate() {
            if among >> index & 1 == 0 {
                continue;
            }
            if drawn < entry.key {
                return index;
            }
            drawn -= entry.key;
        }
        0
    }

    /// One of `among`, which is not empty, each as likely.
    fn one_of(&mut self, among: Bits) -> usize {
        let mut rest = among;
        for _ in 0..self.random.below(among.count_ones()) {
            rest &= rest - 1;
        }
        rest.trailing_zeros() as usize
    }

    /// The nearest that is healthy; else the nearest.
    fn by_latency(&mut self, first: u32, entries: &[Entry], order: u32) -> usize {
        let zone = self.zone;
        let row = self.whereabouts().anchor_row();
        let order = zone.orders[order as usize].row(row);
        for index in order {
            let index = usize::from(*index);
            if self.considered(first + index as u32, &entries[index]) {
                return index;
            }
        }
        self.observer.see(Event::LastResort);
        order.first().map_or(0, |index| usize::from(*index))
    }

    /// The primary if it is healthy; else the secondary if that is; else the primary.
    fn by_role(&mut self, first: u32, entries: &[Entry]) -> usize {
        for (index, entry) in entries.iter().enumerate() {
            if self.considered(first + index as u32, entry) {
                return index;
            }
        }
        self.observer.see(Event::LastResort);
        0
    }

    /// The most exact healthy one for the client's place; else the most exact; none if none is
    /// for that place.
    fn by_place(&mut self, first: u32, entries: &[Entry]) -> Option<usize> {
        let mut most_exact = None;
        for location in self.whereabouts().locations().into_iter().flatten() {
            let code = location_code(location);
            let Ok(index) = entries.binary_search_by_key(&code, |entry| entry.key) else {
                continue;
            };
            if self.considered(first + index as u32, &entries[index]) {
                return Some(index);
            }
            most_exact = most_exact.or(Some(index));
        }
        if most_exact.is_some() {
            self.observer.see(Event::LastResort);
        }
        most_exact
    }

    /// Up to eight of the healthy ones; else up to eight of all.
    fn several(&mut self, first: u32, entries: &[Entry]) -> Choice {
        let mut rest = self.all_considered(first, entries);
        if rest == 0 {
            self.observer.see(Event::LastResort);
            rest = every(entries);
        }
        let mut sets = [0; MAX_MULTIVALUE];
        let mut count = 0;
        while rest != 0 && count < MAX_MULTIVALUE {
            let index = self.one_of(rest);
            rest &= !(1 << index);
            self.observer.see(Event::Chosen(first + index as u32));
            sets[count] = entries[index].target;
            count += 1;
        }
        Choice::Several(sets, count)
    }

    fn whereabouts(&mut self) -> &Whereabouts {
        self.client.whereabouts()
    }
}

fn every(entries: &[Entry]) -> Bits {
    Bits::MAX >> (Bits::BITS as usize - entries.len())
}
