//! Plausible observations, made by a little model of the world: what a Region's death does to
//! clients of four kinds, and a cut to two active Regions. Not a runner: it knows nothing of
//! packets, only how long they take.

use std::collections::BTreeMap;

use gameday::scenario::ClientKind;
use gameday::{
    Answer, Conflict, Crossing, Deed, EventKind, Look, Observations, Order, Outcome, Plan, Request,
    Scan, Scenario, Setting, Task, Verb,
};
use types::{Region, SiteName, Span, Timestamp, one_way_delay};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Microseconds of a server's and a kernel's moods: mostly a few milliseconds, rarely many.
    fn jitter(&mut self) -> u64 {
        let base = 2_000 + self.next() % 4_000;
        match self.next() % 200 {
            0 => base + self.next() % 60_000,
            _ => base,
        }
    }
}

/// The world as the model has it.
pub struct World {
    plan: Plan,
    random: Random,
    /// The Region that dies, when, and from when on it serves again.
    dead: Option<(Region, u64, u64)>,
    /// When the link is cut, and healed.
    cut: Option<(u64, u64)>,
    /// From when to when the DNS names the other Region.
    steered: Option<(u64, u64)>,
    seen: Observations,
    acknowledged: Vec<(u64, Order, u32, Region)>,
}

/// A scenario that is shipped.
pub fn shipped(name: &str, settings: &[&str]) -> Plan {
    let file = format!("{}/../../gamedays/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).expect("it is shipped");
    let settings: Vec<Setting> = settings
        .iter()
        .map(|text| text.parse().expect("="))
        .collect();
    let scenario = Scenario::parse(&file, &text, &settings);
    Plan::of(scenario.unwrap_or_else(|problems| panic!("{problems}")))
}

/// What a run of that plan might look like.
pub fn observe(plan: &Plan) -> Observations {
    let started = Timestamp(1_795_862_400_000);
    let version = "causeway 0.0.0 (sample)".to_owned();
    let seen = Observations::new(version, started, Span::milliseconds(2_140));
    let mut world = World {
        random: Random(plan.scenario.seed),
        plan: plan.clone(),
        dead: None,
        cut: None,
        steered: None,
        seen,
        acknowledged: Vec::new(),
    };
    world.carry_out();
    world.seen
}

impl World {
    fn carry_out(&mut self) {
        let plan = self.plan.clone();
        self.faults();
        self.looks();
        let mut due: Vec<(u64, usize, u32)> = Vec::new();
        for (index, load) in plan.scenario.loads.iter().enumerate() {
            due.extend((0..load.count()).map(|number| (load.due(number).0, index, number)));
        }
        due.sort();
        let mut clients: Vec<Client> = plan
            .scenario
            .loads
            .iter()
            .map(|_| Client::default())
            .collect();
        let mut versions: BTreeMap<Order, u32> = BTreeMap::new();
        for (at, load, number) in due {
            let client = &mut clients[load];
            self.request(at, load, number, client, &mut versions);
        }
        let end = plan.scenario.measure.length;
        self.seen.event(end, EventKind::LoadEnded);
        self.seen.event(Span(end.0 + 260_000), EventKind::Drained);
        self.seen.event(Span(end.0 + 840_000), EventKind::Converged);
        self.seen.ended = Span(end.0 + 2_900_000);
        self.conflicts();
        self.scans();
        self.crossings();
        self.seen.events.sort_by_key(|event| event.at);
    }

    fn faults(&mut self) {
        let steps = self.plan.scenario.steps.clone();
        for moment in self.plan.timeline.clone() {
            let at = moment.at.0 + 1_300;
            match moment.deed {
                Deed::Step(index) => self.seen.event(Span(at), EventKind::Step(index)),
                Deed::Scan => self.seen.event(Span(at), EventKind::Scanned),
                Deed::End => {}
            }
        }
        let Some(fault) = self.plan.scenario.measure.fault else {
            return;
        };
        let struck = steps[fault].at.0 + 1_300;
        let ended = self.plan.fault_end().expect("there is a fault").0 + 1_300;
        let gameday::scenario::Act::Fault { fault, .. } = &steps[fault].act else {
            return;
        };
        let Some(region) = fault.outage() else {
            self.cut = Some((struck, ended));
            return;
        };
        self.dead = Some((region, struck, ended + 900_000));
        let checks = self.plan.scenario.health_checks.clone();
        if let Some(check) = checks.iter().find(|check| check.region == region) {
            let check = check.name.clone();
            let verdict = |healthy| EventKind::Verdict {
                check: check.clone(),
                healthy,
            };
            self.seen.event(Span(struck + 712_000), verdict(false));
            self.seen.event(Span(ended + 1_620_000), verdict(true));
        }
        let steers = self
            .plan
            .scenario
            .records
            .iter()
            .any(|record| record.health_check.is_some());
        if steers {
            self.steered = Some((struck + 760_000, ended + 1_700_000));
        }
    }

    /// The Region that the DNS names at a place.
    fn answer(&self, place: Region, at: u64) -> Region {
        let regions = &self.plan.scenario.lab.regions;
        if let Some((from, to)) = self.steered {
            let lag = one_way_delay(regions[0], place).0 / 4;
            return if (from + lag..to + lag).contains(&at) {
                regions[1]
            } else {
                regions[0]
            };
        }
        if self.plan.scenario.name == "residency-geolocation" {
            let german = place.name() == "eu-central-1";
            return regions[usize::from(german)];
        }
        *regions
            .iter()
            .min_by_key(|region| one_way_delay(place, **region))
            .expect("there is one")
    }

    fn looks(&mut self) {
        let every = self.plan.scenario.measure.look_every.0;
        for Look { place, name } in self.plan.looks.clone() {
            let mut at = 40_000;
            while at < self.plan.scenario.measure.length.0 {
                let look = Look {
                    place,
                    name: name.clone(),
                };
                let regions = vec![self.answer(place, at)];
                self.seen.answer(Span(at), &look, regions);
                at += every;
            }
        }
        let answers: &mut Vec<Answer> = &mut self.seen.answers;
        answers.sort_by_key(|answer| answer.at);
    }

    fn is_dead(&self, region: Region, at: u64) -> bool {
        self.dead
            .is_some_and(|(dead, from, to)| dead == region && (from..to).contains(&at))
    }

    fn request(
        &mut self,
        at: u64,
        load: usize,
        number: u32,
        client: &mut Client,
        versions: &mut BTreeMap<Order, u32>,
    ) {
        let plan = self.plan.clone();
        let spec = &plan.scenario.loads[load];
        let ttl = 5_000_000;
        let hold = match spec.client.kind {
            ClientKind::HonoursTtl | ClientKind::Pooled => ttl,
            ClientKind::Holds(span) => span.0,
            ClientKind::NeverResolvesAgain => u64::MAX,
            // They ask nobody; the model's edge leads them as the DNS would at once.
            ClientKind::Accelerator | ClientKind::AcceleratorPooled => 0,
            // No load of the sample is one of rows.
            ClientKind::FollowsTheWriter => 0,
        };
        let pooled = spec.client.kind.is_pooled();
        let fresh = |client: &Client| client.resolved.is_some_and(|(when, _)| at - when < hold);
        let keeps = pooled && client.connected.is_some();
        if !keeps && !fresh(client) {
            client.resolved = Some((at, self.answer(spec.place, at)));
        }
        let region = match (keeps, client.connected, client.resolved) {
            (true, Some(region), _) => region,
            (_, _, Some((_, region))) => region,
            _ => unreachable!("it has just been resolved"),
        };
        let round_trip = one_way_delay(spec.place, region).0 * 2;
        let trips = if keeps { 1 } else { 2 };
        let took = round_trip * trips + self.random.jitter();
        let dies = self.is_dead(region, at + took / 2);
        let (verb, mut order, mut version) = self.task(&plan, load, number, versions);
        let mut outcome = Outcome::Ok;
        let mut ended = at + took;
        if dies && self.is_dead(region, at) {
            outcome = Outcome::Refused;
            ended = at + round_trip + 900;
            client.connected = None;
        } else if dies {
            outcome = if pooled {
                Outcome::Reset
            } else {
                Outcome::TimedOut
            };
            ended = if pooled {
                at + round_trip
            } else {
                at + spec.timeout.0
            };
            client.connected = None;
        } else if pooled {
            client.connected = Some(region);
        }
        if verb == Verb::Read && order.is_none() {
            // Nothing was acknowledged yet: it asks for one that isn't there.
            order = Some(Order::Placed { load: 0, number: 0 });
        }
        if let (Verb::Read, Some(order), true) = (verb, order, outcome.is_ok()) {
            version = self.visible(order, region, at + took / 2);
        }
        if let (Verb::Place | Verb::Update, Some(order), true) = (verb, order, outcome.is_ok()) {
            self.acknowledged.push((ended, order, version, region));
        }
        self.seen.requests.push(Request {
            load: u16::try_from(load).expect("few loads"),
            verb,
            due: Span(at),
            began: Span(at + 120),
            ended: Span(ended),
            outcome,
            region: outcome.is_ok().then_some(region),
            order,
            version,
        });
    }

    fn task(
        &mut self,
        plan: &Plan,
        load: usize,
        number: u32,
        versions: &mut BTreeMap<Order, u32>,
    ) -> (Verb, Option<Order>, u32) {
        match plan.scenario.loads[load].task(load, number) {
            Task::Place(order) => (Verb::Place, Some(order), 1),
            Task::Update(order) => {
                let version = versions.entry(order).or_insert(0);
                *version += 1;
                (Verb::Update, Some(order), *version)
            }
            Task::Read(order) => (Verb::Read, Some(order), 0),
            Task::ReadAcknowledged => {
                let count = self.acknowledged.len() as u64;
                let chosen = plan.choose(load, number, count);
                let order = chosen.map(|index| self.acknowledged[index as usize].1);
                (Verb::Read, order, 0)
            }
            Task::Get => (Verb::Get, None, 0),
        }
    }

    /// When what one Region wrote then is visible in another.
    fn arrives(&self, written: u64, from: Region, to: Region) -> u64 {
        let delay = one_way_delay(from, to).0 + 6_000;
        if from == to {
            return written;
        }
        if let Some((_, struck, back)) = self.dead
            && written + delay > struck
            && (written < back)
        {
            return back + delay;
        }
        match self.cut {
            Some((cut, healed)) if written + delay > cut && written < healed => healed + 1_100_000,
            _ => written + delay,
        }
    }

    fn visible(&self, order: Order, region: Region, at: u64) -> u32 {
        let writes = self
            .acknowledged
            .iter()
            .filter(|(_, written, _, _)| *written == order);
        let arrived = writes.filter(|(when, _, _, from)| self.arrives(*when, *from, region) <= at);
        arrived
            .map(|(_, _, version, _)| *version)
            .max()
            .unwrap_or(0)
    }

    fn conflicts(&mut self) {
        let Some((cut, healed)) = self.cut else {
            return;
        };
        let mut newest: BTreeMap<(Order, Region), (u64, u32)> = BTreeMap::new();
        for (at, order, version, region) in &self.acknowledged {
            if matches!(order, Order::Shared(_)) && (cut..healed).contains(at) {
                newest.insert((*order, *region), (*at, *version));
            }
        }
        let regions = self.plan.scenario.lab.regions.clone();
        let started = self.seen.started.0;
        for number in 0..20 {
            let order = Order::Shared(number);
            let of = |region: Region| newest.get(&(order, region)).map(|one| (region, *one));
            let (Some(one), Some(other)) = (of(regions[0]), of(regions[1])) else {
                continue;
            };
            let (winning, beaten) = if one.1.0 > other.1.0 {
                (one, other)
            } else {
                (other, one)
            };
            let side = |side: (Region, (u64, u32))| (side.0, Timestamp(started + side.1.0 / 1000));
            self.seen.conflicts.push(Conflict {
                table: "Orders".to_owned(),
                key: format!("id={}", self.plan.order_id(order)),
                order: Some(order),
                beaten_version: Some(beaten.1.1),
                winning_version: Some(winning.1.1),
                beaten: side(beaten),
                winning: side(winning),
            });
        }
    }

    fn scans(&mut self) {
        let moment = self
            .plan
            .timeline
            .iter()
            .find(|moment| moment.deed == Deed::Scan);
        self.seen.scan = moment.map(|moment| self.scan(moment.at.0 + 1_300));
        self.seen.last_scan = Some(self.scan(self.seen.ended.0));
    }

    fn scan(&self, at: u64) -> Scan {
        let alone = self.plan.scenario.tables.len() > 1;
        let mut scan = Scan {
            at: Span(at),
            ..Scan::default()
        };
        for region in &self.plan.scenario.lab.regions {
            if self.is_dead(*region, at) {
                continue;
            }
            let mut have = BTreeMap::new();
            for (when, order, version, from) in &self.acknowledged {
                let is_there = if alone { from == region } else { true };
                if is_there && *when <= at && self.arrives(*when, *from, *region) <= at {
                    let known = have.entry(*order).or_insert(*version);
                    *known = (*known).max(*version);
                }
            }
            scan.regions.insert(*region, have);
        }
        scan
    }

    fn crossings(&mut self) {
        let regions = self.plan.scenario.lab.regions.clone();
        let edges = (1..=self.plan.scenario.lab.edges).map(SiteName::Edge);
        let sites: Vec<SiteName> = regions
            .iter()
            .copied()
            .map(SiteName::Region)
            .chain(edges)
            .collect();
        for from in &sites {
            for to in &sites {
                if from == to {
                    continue;
                }
                let mut lanes = vec![("council", 40_000), ("health", 260_000)];
                if from.region().is_some() && to.region().is_some() {
                    lanes.push(("changes", 1_900_000));
                }
                for (lane, bytes) in lanes {
                    let bytes = bytes + self.random.next() % 10_000;
                    let lane = lane.to_owned();
                    self.seen.crossings.push(Crossing {
                        from: *from,
                        to: *to,
                        lane,
                        bytes,
                    });
                }
            }
        }
    }
}

/// What a client remembers.
#[derive(Clone, Default)]
struct Client {
    resolved: Option<(u64, Region)>,
    connected: Option<Region>,
}
