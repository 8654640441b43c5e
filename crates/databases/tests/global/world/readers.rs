//! Readers of members: instances beside a Region's head, which follow it, die with their zones, and
//! take its role over. The place of a Region has the state of its head; a reader's is exchanged for
//! it while the reader is looked after, and for good when it is the head from then on.

use std::mem::swap;

use databases::model::Cluster;
use databases::{serving_reader, slot};

use super::*;

/// A reader, wherever it differs from its Region's place.
pub struct Reader {
    place: usize,
    name: &'static str,
    id: ResourceId,
    home: Home,
    server: Option<Server>,
    tails: BTreeMap<u64, Tail>,
    moving: Option<MoveSeen>,
    handover: Option<MoveSeen>,
    failures: BTreeMap<StepKind, StepFailure>,
    seen: Option<Observed>,
    doing: Option<(Step, u64)>,
    reseeds: (u32, Option<Monotonic>),
    look_at: u64,
    /// Is its zone there?
    lives: bool,
}

impl World {
    /// A world whose first Region has two readers, and its second one.
    pub fn with_readers(seed: u64, planner: Planner) -> World {
        let mut world = World::new(seed, planner, Flaw::None);
        for (place, name) in [(0, "one"), (0, "two"), (1, "one")] {
            let api = &world.places[place].api;
            let instance = [
                ("DBInstanceIdentifier", name),
                ("DBClusterIdentifier", "shop"),
                ("DBInstanceClass", "db.t3.micro"),
                ("Engine", "aurora-postgresql"),
            ];
            api.ok("CreateDBInstance", &instance);
            let id = api.id(name);
            world.readers.push(Reader {
                place,
                name,
                id,
                home: Home::absent(),
                server: None,
                tails: BTreeMap::new(),
                moving: None,
                handover: None,
                failures: BTreeMap::new(),
                seen: None,
                doing: None,
                reseeds: (0, None),
                look_at: 0,
                lives: true,
            });
        }
        world
    }

    /// Exchanges the state of a reader for that of its Region's place.
    fn exchange(&mut self, at: usize) {
        let reader = &mut self.readers[at];
        let place = &mut self.places[reader.place];
        swap(&mut place.name, &mut reader.name);
        swap(&mut place.id, &mut reader.id);
        swap(&mut place.home, &mut reader.home);
        swap(&mut place.server, &mut reader.server);
        swap(&mut place.tails, &mut reader.tails);
        swap(&mut place.moving, &mut reader.moving);
        swap(&mut place.handover, &mut reader.handover);
        swap(&mut place.failures, &mut reader.failures);
        swap(&mut place.seen, &mut reader.seen);
        swap(&mut place.doing, &mut reader.doing);
        swap(&mut place.reseeds, &mut reader.reseeds);
        swap(&mut place.look_at, &mut reader.look_at);
    }

    /// Does something with each reader of a Region as if it were what is in its place.
    pub(super) fn each_reader(&mut self, place: usize, mut act: impl FnMut(&mut World)) {
        for at in 0..self.readers.len() {
            if self.readers[at].place == place && self.readers[at].lives {
                self.exchange(at);
                act(self);
                self.exchange(at);
            }
        }
    }

    /// A Region's cluster, by its own configuration.
    pub(super) fn cluster(&self, place: usize) -> Cluster {
        let view = self.places[place].api.memory_view();
        catalogue::clusters(&*view).unwrap().remove(0).1
    }

    /// Puts whoever is a Region's head by now into its place.
    pub(super) fn find_head(&mut self, place: usize) {
        let head = self.cluster(place).head.unwrap();
        if self.places[place].id == head {
            return;
        }
        let at = self.readers.iter().position(|reader| reader.id == head);
        let at = at.expect("its head is one of its instances");
        self.exchange(at);
        self.readers[at].lives = true;
        self.handed += 1;
        self.note(place, "has another head");
    }

    /// The instance of that resource id: its Region, its home, and its server.
    pub(super) fn instance(&self, id: &ResourceId) -> (usize, &Home, Option<&Server>) {
        if let Some(at) = self.places.iter().position(|place| place.id == *id) {
            let place = &self.places[at];
            return (at, &place.home, place.server.as_ref());
        }
        let reader = self.readers.iter().find(|reader| reader.id == *id);
        let reader = reader.expect("it is an instance");
        (reader.place, &reader.home, reader.server.as_ref())
    }

    /// The tails that a reader's head keeps.
    pub(super) fn heads_tails(&self, wanted: &Wanted) -> BTreeMap<u64, Lsn> {
        let Duty::Read(reading) = &wanted.duty else {
            return BTreeMap::new();
        };
        let head = &reading.following.upstream.source_id;
        let places = self.places.iter().map(|it| (&it.id, &it.tails));
        let readers = self.readers.iter().map(|it| (&it.id, &it.tails));
        let found = places.chain(readers).find(|(id, _)| *id == head);
        found.map_or_else(BTreeMap::new, |(_, tails)| begins(tails))
    }

    /// What readers and their tails have of transactions.
    pub(super) fn of_readers(&self) -> impl Iterator<Item = u64> {
        let logs = self.readers.iter().flat_map(|reader| &reader.home.log);
        let tails = self.readers.iter().flat_map(|reader| reader.tails.values());
        let kept = tails.flat_map(Tail::holds);
        logs.map(|entry| entry.number).chain(kept)
    }

    /// The tails that readers keep.
    pub(super) fn tails_of_readers(&self) -> impl Iterator<Item = &Tail> + Clone {
        self.readers.iter().flat_map(|reader| reader.tails.values())
    }

    /// Is that reader's server connected to what is in that place, and let by PostgreSQL?
    fn reads(&self, at: usize, place: usize) -> bool {
        let (reader, head) = (&self.readers[at], &self.places[place]);
        let (Some(server), Some(source)) = (&reader.server, &head.server) else {
            return false;
        };
        let upstream = server.settings.upstream.as_ref();
        upstream.is_some_and(|it| it.source_id == head.id)
            && (server.answers && source.answers && head.lives)
            && !reader.home.is_primary
            && server.replayed == reader.home.log.len()
            && source.slots.contains(&slot(&reader.id))
            && self.is_joined(reader.place.min(place), reader.place.max(place))
            && head.home.is_followed_by(&reader.home)
    }

    /// What is in a place has stopped in order: its readers get all there is.
    pub(super) fn stopped(&mut self, home: &Home, followers: &[usize]) {
        for at in followers {
            self.readers[*at].home.receive(home, usize::MAX >> 1);
        }
    }

    /// Who reads from what is in a place.
    pub(super) fn readers_of(&self, place: usize) -> Vec<usize> {
        let all = 0..self.readers.len();
        all.filter(|at| self.reads(*at, place)).collect()
    }

    pub(super) fn stream_to_readers(&mut self) {
        for at in 0..self.readers.len() {
            let (replays, count) = (self.below(3) as usize, self.below(4) as usize);
            let reader = &mut self.readers[at];
            let end = reader.home.log.len();
            if let Some(server) = &mut reader.server {
                server.receives = false;
                if server.answers && !reader.home.is_primary {
                    server.replayed = end.min(server.replayed + replays);
                }
            }
            for place in 0..self.places.len() {
                if !self.reads(at, place) {
                    continue;
                }
                let home = self.places[place].home.clone();
                let reader = &mut self.readers[at];
                reader.home.receive(&home, count);
                let server = reader.server.as_mut().expect("it reads");
                (server.receives, server.replayed) = (true, reader.home.log.len());
            }
            if let Some(server) = &mut self.readers[at].server {
                server.answers = true;
            }
        }
    }

    /// No reader is a primary that anyone reaches.
    pub(super) fn look_at_readers(&self) -> Result<(), String> {
        for reader in &self.readers {
            let runs = reader.server.as_ref().is_some_and(|server| server.answers);
            let standing = reader.seen.clone().map(standing);
            let row = self.places[reader.place].api.row(reader.name);
            let serves = serving_reader(&row, standing.as_ref()) == Serving::Open;
            if runs && reader.home.is_primary && serves {
                return Err(format!("reader {} is a primary", reader.name));
            }
        }
        Ok(())
    }

    /// Do all readers of members follow their heads, with nothing to be taken back?
    pub(super) fn readers_are_there(&self) -> bool {
        let mut readers = self.readers.iter();
        readers.all(|reader| {
            let server = reader.server.as_ref();
            let row = self.places[reader.place].api.row(reader.name);
            self.removed.contains(&reader.place)
                || (row.headship.unwrap().leads.is_none()
                    && !reader.home.is_primary
                    && server.is_some_and(|server| server.answers && server.receives))
        })
    }

    /// What must hold of them once all has settled.
    pub(super) fn judge_readers(&self, home: &Home) -> Result<(), String> {
        for reader in &self.readers {
            let count = reader.home.log.len().min(home.log.len());
            let is_member = !self.removed.contains(&reader.place);
            if is_member && reader.home.log[..count] != home.log[..count] {
                let (name, place) = (reader.name, reader.place);
                return Err(format!("{name} of Region {place} holds others' data"));
            }
        }
        Ok(())
    }

    /// A reader's zone dies or is there again, or a member's role is handed over.
    pub(super) fn disturb_readers(&mut self) {
        let at = self.below(self.readers.len() as u64) as usize;
        match self.below(4) {
            0 => {
                let place = self.readers[at].place;
                if self.readers[at].lives {
                    let before = self.everywhere();
                    self.exchange(at);
                    self.fall(place);
                    self.exchange(at);
                    self.readers[at].lives = false;
                    self.destroyed.extend(&before - &self.everywhere());
                    self.note(
                        place,
                        &format!("loses the zone of {}", self.readers[at].name),
                    );
                }
            }
            1 => self
                .readers
                .iter_mut()
                .for_each(|reader| reader.lives = true),
            _ => self.hand_over(self.readers[at].place),
        }
    }

    pub(super) fn revive_readers(&mut self) {
        self.readers
            .iter_mut()
            .for_each(|reader| reader.lives = true);
    }

    /// Asks a Region for another head of its cluster.
    pub fn hand_over(&mut self, place: usize) {
        if !self.is_awake(place) {
            return;
        }
        let tell = |world: &mut World| {
            let place = &world.places[place];
            place.api.observe(&place.id, observe(place));
        };
        tell(self);
        self.each_reader(place, tell);
        let named = [("DBClusterIdentifier", "shop")];
        if self.places[place]
            .api
            .call("FailoverDBCluster", &named)
            .is_ok()
        {
            self.note(place, "is to hand over");
        }
    }

    /// Does the head of a cluster that was removed take writes, and do all its readers follow it?
    pub fn stands_alone(&self, place: usize) -> bool {
        let head = &self.places[place];
        let runs = head.server.as_ref().is_some_and(|server| server.answers);
        let mut readers = self.readers.iter().filter(|reader| reader.place == place);
        let follows = |reader: &Reader| {
            let headship = head.api.row(reader.name).headship.unwrap();
            let server = reader.server.as_ref();
            headship.leads.is_none()
                && !reader.home.is_primary
                && server.is_some_and(|server| server.answers && server.receives)
        };
        runs && head.home.is_primary && readers.all(follows)
    }

    /// A Region's process dies, and all its homes are lost with their disks.
    pub fn lose_region(&mut self, place: usize) {
        let before = self.everywhere();
        self.lose_disk(place);
        let readers = self.readers.iter_mut();
        for reader in readers.filter(|reader| reader.place == place) {
            reader.home = Home::absent();
        }
        self.destroyed.extend(&before - &self.everywhere());
    }

    /// How they stand, for who reads why a seed failed.
    pub(super) fn told_of_readers(&self) -> String {
        let mut told = String::new();
        for reader in &self.readers {
            let row = self.places[reader.place].api.row(reader.name);
            told.push_str(&format!(
                "{} of Region {}: {:?} {:?} end {:?} tl {} primary {} lives {} server {:?} \
                 doing {:?} {:?}\n",
                reader.name,
                reader.place,
                row.headship.map(|it| (it.epoch, it.leads)),
                reader.home.state,
                reader.home.end(),
                reader.home.timeline,
                reader.home.is_primary,
                reader.lives,
                reader.server.as_ref().map(|server| server.receives),
                reader.doing,
                row.failure,
            ));
        }
        for place in 0..self.places.len() {
            told.push_str(&format!("{:?}\n", self.cluster(place).handover));
        }
        told
    }
}
