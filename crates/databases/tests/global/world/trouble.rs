//! What goes wrong beside deaths, cuts and lost disks, and what follows of itself: processes that
//! stand still, members that are removed, failovers that nobody asks for.

use std::sync::atomic::Ordering;

use databases::automatic::{Known, TAG, undecided};
use databases::model::Lsn;
use types::Configuration;

use super::{REGIONS, World, block_on, cluster_arn};

impl World {
    /// A Region's process stands still for up to 8 s, and its clock doesn't; its server goes on.
    pub fn pause(&mut self, at: usize) {
        let span = 500_000 + self.below(7_500_000);
        self.places[at].still_until = self.now + span;
        self.note(at, "stands still");
    }

    /// Cuts a Region off from the others; the council is heard.
    pub fn part(&mut self, at: usize) {
        let others = (0..self.places.len()).filter(|other| *other != at);
        let links = others.map(|other| (at.min(other), at.max(other)));
        self.cut.extend(links);
    }

    /// Is all kept that a Region's log held, since nobody knew where it left the others?
    pub fn has_kept_all(&self, at: usize) -> bool {
        let tails = self.places[at].tails.values();
        let mut tails = tails.chain(self.tails_of_readers());
        tails.any(|tail| tail.from == Lsn(0) && !tail.transactions.is_empty())
    }

    /// A Region's wall clock jumps by up to an hour, ahead or back. Its monotonic clock doesn't.
    pub fn jump(&mut self, at: usize) {
        const HOUR: u64 = 3_600_000;
        let by = i64::try_from(self.below(2 * HOUR)).unwrap() - i64::try_from(HOUR).unwrap();
        self.jumped += usize::from(self.row().moving.is_some());
        self.set_off(at, by);
        self.note(at, "is at another time");
    }

    /// Sets a Region's wall clock off, by milliseconds.
    pub fn set_off(&mut self, at: usize, by: i64) {
        let place = &mut self.places[at];
        place.set_off = by;
        // What its service dates, a move say, is by the same clock.
        place.api.environment.set_off.store(by, Ordering::Relaxed);
    }

    /// Is a Region's process there, and does it do anything?
    pub fn is_awake(&self, at: usize) -> bool {
        let place = &self.places[at];
        place.lives && self.now >= place.still_until
    }

    /// Takes a member out of the global cluster, through any Region that hears the council; nothing
    /// happens to the writer, nor while a move is under way.
    pub fn remove(&mut self, at: usize) {
        let arn = cluster_arn(REGIONS[at]);
        let parameters = [
            ("GlobalClusterIdentifier", "world"),
            ("DbClusterIdentifier", arn.as_str()),
        ];
        let awake = (0..self.places.len()).find(|other| self.is_awake(*other));
        let Some(through) = awake.filter(|_| at != self.writer()) else {
            return;
        };
        let api = &self.places[through].api;
        if api.call("RemoveFromGlobalCluster", &parameters).is_ok() {
            self.removed.insert(at);
            self.note(at, "is removed");
        }
    }

    /// Gives leave to fail over unasked after that span.
    pub fn tag(&mut self, span: &str) {
        let parameters = [
            (
                "ResourceName",
                "arn:aws:rds::111122223333:global-cluster:world",
            ),
            ("Tags.Tag.1.Key", TAG),
            ("Tags.Tag.1.Value", span),
        ];
        self.places[0].api.ok("AddTagsToResource", &parameters);
    }

    /// A Region decides what is due, as its process does.
    pub fn decide(&mut self, at: usize) {
        let now = self.clock(at).monotonic;
        let place = &self.places[at];
        let known = Known {
            leases: &place.leases,
            hearing: place.hearing,
            now,
        };
        let view = place.seat.view();
        let found = undecided(&*view, REGIONS[at].parse().unwrap(), known).unwrap();
        for one in found.into_iter().filter(|one| one.due <= now) {
            let Some(own) = self.received(at) else {
                continue;
            };
            let others = one.others.iter().filter_map(|(arn, head)| {
                let other = self.places.iter().position(|it| it.id == *head)?;
                let answers = self.is_awake(other) && self.is_joined(at, other);
                Some((arn.clone(), self.received(other).filter(|_| answers)?))
            });
            let answers: Vec<_> = others.collect();
            if one.is_for_another(own, &answers) && now < one.due_at_last() {
                continue;
            }
            let service = &self.places[at].api.service;
            if let Ok(true) = block_on(service.fail_over_unasked(&one, now - one.since)) {
                self.unasked += 1;
                self.note(at, "decides to take over");
            }
        }
    }

    fn received(&self, at: usize) -> Option<Lsn> {
        let place = &self.places[at];
        let runs = place.server.as_ref().is_some_and(|server| server.answers);
        (runs && !place.home.is_primary).then(|| place.home.end())
    }
}
