//! Failovers by force, where no majority is heard: asked for, seen, and settled.

use databases::Serving;

use super::{World, block_on};

impl World {
    /// Is what was forced in that Region not settled yet?
    pub fn is_forced(&self, at: usize) -> bool {
        self.cluster(at).forced.is_some()
    }

    /// Does that Region's member write by force, and not by its lease?
    pub fn writes_by_force(&self, at: usize) -> bool {
        let served = self.served(at);
        served.is_some_and(|it| it.is_forced && it.writer == Serving::Open)
    }

    /// As the Region's process does once the council has decided something that it asked for.
    pub fn settle_forced(&mut self, at: usize) {
        let now = self.clock(at).monotonic;
        let place = &self.places[at];
        // What fails is tried again at the next moment.
        let _again = block_on(place.api.service.settle_forced(place.hearing, now));
    }

    /// Cuts a Region off from the majority, and from everyone else.
    pub fn isolate(&mut self, at: usize) {
        self.places[at].seat.set_hears(false);
        let others = (0..self.places.len()).filter(|other| *other != at);
        let cuts = others.map(|other| (at.min(other), at.max(other)));
        self.cut.extend(cuts);
        self.note(at, "is cut off");
    }

    /// Asks a Region for a failover to its own member, or to take that back.
    pub fn force(&mut self, at: usize) {
        match self.is_forced(at) && self.below(60) == 0 {
            true => {
                let writer = self.writer();
                self.ask(at, writer, true);
            }
            false => self.ask(at, at, true),
        }
    }

    /// All are joined again, and hear the majority.
    pub fn join(&mut self) {
        self.cut.clear();
        self.places
            .iter()
            .for_each(|place| place.seat.set_hears(true));
    }

    pub fn hears(&self, at: usize) -> bool {
        self.places[at].seat.hears()
    }
}
