//! The law of conflicts, checked by brute force: three sites, one item, random writes, shipping,
//! lost, repeated and late messages, against a history that is kept apart and in full.
//!
//! The code under test knows a context: one version a site. The checker knows, for every event,
//! the *set* of writes that happened before it (Lamport's relation over this item's events), and
//! judges from that alone. `docs/conflicts.md` has the definitions and the proof.

use std::collections::{BTreeMap, BTreeSet};

use store::HybridClock;
use types::{Hlc, SiteId, Timestamp, Version};

use super::merge::merge;
use crate::{Content, PlantedBug, State};

const SITES: usize = 3;
const SCHEDULES: u64 = 20_000;

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// What happened before an event: a set of writes, by number.
type History = BTreeSet<usize>;

#[derive(Clone)]
struct Message {
    state: State,
    /// The checker's: which write this state is, and what had happened before it was sent.
    write: usize,
    before: History,
}

struct Site {
    clock: HybridClock,
    state: Option<State>,
    /// Versions announced, in order; per peer, how many it has acknowledged.
    log: Vec<Version>,
    cursor: [usize; SITES],
    /// Sent to each peer and not yet received: in order, but what was lost may be sent again.
    flying: [Vec<(usize, Message)>; SITES],
    /// Sent to each peer ever: any of it may be repeated.
    sent: [Vec<Message>; SITES],
    ledger: Vec<Version>,
    // The checker's.
    arrived: BTreeSet<(Version, usize)>,
    before: History,
}

struct Model {
    sites: Vec<Site>,
    wall: u64,
    /// The checker's: each write's version and what had happened before it.
    writes: Vec<(Version, History)>,
    beaten: BTreeSet<Version>,
    planted: Option<PlantedBug>,
}

impl Model {
    fn new(planted: Option<PlantedBug>) -> Model {
        let site = |number: usize| Site {
            clock: HybridClock::new(SiteId(number as u16), Hlc(0)),
            state: None,
            log: Vec::new(),
            cursor: [0; SITES],
            flying: Default::default(),
            sent: Default::default(),
            ledger: Vec::new(),
            arrived: BTreeSet::new(),
            before: History::new(),
        };
        Model {
            sites: (0..SITES).map(site).collect(),
            wall: 100,
            writes: Vec::new(),
            beaten: BTreeSet::new(),
            planted,
        }
    }

    fn write(&mut self, at: usize, skew: u64, delete: bool) {
        let site = &mut self.sites[at];
        let seen = site.state.as_ref().map(|state| state.dot);
        let dot = site.clock.issue(Timestamp(self.wall + skew), seen);
        let content = if delete {
            Content::Tombstone
        } else {
            Content::Item(BTreeMap::new())
        };
        site.state = Some(State::next(site.state.as_ref(), dot, content));
        site.log.push(dot);
        let number = self.writes.len();
        self.writes.push((dot, site.before.clone()));
        site.before.insert(number);
        site.arrived.insert((dot, number));
    }

    /// Follows the log for a peer: exports what is next after what flies already.
    fn ship(&mut self, from: usize, to: usize) {
        let site = &mut self.sites[from];
        let next = site.flying[to]
            .last()
            .map_or(site.cursor[to], |last| last.0);
        if next == site.log.len() {
            return;
        }
        let state = site.state.clone().expect("what is in the log was written");
        if state.dot.site.0 as usize != from {
            // The current state came from elsewhere: its origin ships it. Nothing flies, and
            // the cursor passes once nothing before it flies either.
            if site.flying[to].is_empty() {
                site.cursor[to] = next + 1;
            }
            return;
        }
        let (dot, write) = *site.arrived.last().expect("it was written here");
        assert!(
            self.planted.is_some() || dot == state.dot,
            "the state is the greatest"
        );
        let write = self
            .writes
            .iter()
            .position(|w| w.0 == state.dot)
            .unwrap_or(write);
        let message = Message {
            state,
            write,
            before: site.before.clone(),
        };
        site.sent[to].push(message.clone());
        site.flying[to].push((next + 1, message));
    }

    fn deliver(&mut self, from: usize, to: usize) {
        if self.sites[from].flying[to].is_empty() {
            return;
        }
        let (cursor, message) = self.sites[from].flying[to].remove(0);
        self.receive(to, message);
        self.sites[from].cursor[to] = cursor;
    }

    fn receive(&mut self, at: usize, message: Message) {
        self.judge(at, &message);
        let site = &mut self.sites[at];
        let merged = merge(site.state.take(), message.state, self.planted);
        if let Some(conflict) = merged.conflict {
            site.ledger.push(conflict.loser.dot);
        }
        assert!(self.planted.is_some() || merged.state.is_lawful());
        site.state = Some(merged.state);
    }

    /// The checker: from the full histories, who meets whom, and is it a conflict?
    fn judge(&mut self, at: usize, message: &Message) {
        let site = &mut self.sites[at];
        let incoming = self.writes[message.write].0;
        if let Some((current, number)) = site.arrived.last().copied() {
            let seen_by_incoming = message.before.contains(&number);
            let seen_here = site.before.contains(&message.write);
            if !seen_by_incoming && !seen_here {
                self.beaten.insert(current.min(incoming));
            }
        }
        site.arrived.insert((incoming, message.write));
        site.before.extend(&message.before);
    }

    fn step(&mut self, random: &mut Random) {
        let (a, b) = (random.below(SITES), random.below(SITES - 1));
        let b = if b >= a { b + 1 } else { b };
        match random.below(10) {
            0..3 => {
                // Clocks differ by up to 2 ms and often agree: ties are common.
                let skew = random.below(3) as u64;
                self.write(a, skew, random.below(4) == 0);
            }
            3..6 => self.ship(a, b),
            6..8 => self.deliver(a, b),
            8 => match random.below(2) {
                // The connection broke: what flew is lost, and sent again from the cursor.
                0 => self.sites[a].flying[b].clear(),
                _ => {
                    let sent = self.sites[a].sent[b].len();
                    if sent > 0 {
                        let message = self.sites[a].sent[b][random.below(sent)].clone();
                        self.receive(b, message);
                    }
                }
            },
            _ => self.wall += random.below(3) as u64,
        }
    }

    fn heal(&mut self) {
        for from in 0..SITES {
            for to in (0..SITES).filter(|to| *to != from) {
                while self.sites[from].cursor[to] < self.sites[from].log.len() {
                    self.ship(from, to);
                    self.deliver(from, to);
                }
                self.sites[from].flying[to].clear();
            }
        }
    }

    fn verdict(&self) -> Result<(), String> {
        let Some(greatest) = self.writes.iter().map(|write| write.0).max() else {
            return Ok(());
        };
        for site in &self.sites {
            let state = site.state.as_ref().expect("every site received something");
            if state.dot != greatest {
                return Err(format!("a site holds {} and not {greatest}", state.dot));
            }
            let once: BTreeSet<Version> = site.ledger.iter().copied().collect();
            if once.len() != site.ledger.len() {
                return Err(format!(
                    "one Region's ledger has a row twice: {:?}",
                    site.ledger
                ));
            }
        }
        let ledger: BTreeSet<Version> = self
            .sites
            .iter()
            .flat_map(|site| site.ledger.iter().copied())
            .collect();
        if ledger != self.beaten {
            return Err(format!(
                "the ledger is {ledger:?}, beaten were {:?}",
                self.beaten
            ));
        }
        for (number, (dot, _)) in self.writes.iter().enumerate() {
            let seen = self.writes.iter().any(|write| write.1.contains(&number));
            if *dot != greatest && !seen && !ledger.contains(dot) {
                return Err(format!(
                    "{dot} is lost: no write saw it and no ledger has it"
                ));
            }
        }
        Ok(())
    }
}

fn run(seed: u64, planted: Option<PlantedBug>) -> Result<usize, String> {
    let mut random = Random(seed);
    let mut model = Model::new(planted);
    for _ in 0..10 + random.below(50) {
        model.step(&mut random);
    }
    model.heal();
    model.verdict().map(|()| model.beaten.len())
}

#[test]
fn invariant_7_replicas_converge_and_the_ledger_is_exact() {
    let mut conflicts = 0;
    for seed in 0..SCHEDULES {
        match run(seed, None) {
            Ok(beaten) => conflicts += beaten,
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    assert!(
        conflicts as u64 > SCHEDULES,
        "the schedules make conflicts: {conflicts}"
    );
}

#[test]
fn the_model_finds_planted_bugs() {
    for bug in [PlantedBug::TieBreakDropped, PlantedBug::ConflictByTimestamp] {
        let found = (0..100)
            .filter(|seed| run(*seed, Some(bug)).is_err())
            .count();
        assert!(found > 10, "{bug:?} was found in {found} of 100 schedules");
    }
}
