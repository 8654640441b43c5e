//! Sites with their monitors under virtual time: links with delay that can be cut, endpoints
//! that fail in their ways, sites that die and come back. One seed gives one run.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use health::{Input, Monitor, MonitorConfig, Output, ProbeRequest, Settings, TargetPolicy, Ticket};
use types::{
    HealthCheck, HealthCheckId, HttpProbe, Monotonic, Now, Probe, ProbeOrder, ProbeOutcome,
    ProbeStep, SiteId, Span, Timestamp,
};

pub const MILLISECOND: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;
/// Long enough for every first verdict.
pub const SETTLED: u64 = 5 * SECOND;

/// How an endpoint behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    Serves,
    Refuses,
    Hangs,
}

/// How a cut shows at its ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The ends hear of it after the link's delay.
    Noticed,
    /// They don't.
    Silent,
}

#[derive(Debug)]
enum Event {
    Wake {
        site: usize,
        planned: u64,
    },
    Deliver {
        from: usize,
        to: usize,
        epoch: u64,
        bytes: Bytes,
    },
    Answer {
        site: usize,
        life: u64,
        ticket: Ticket,
        order: ProbeOrder,
        began: u64,
    },
    GiveUp {
        site: usize,
        life: u64,
        ticket: Ticket,
    },
    Notice {
        site: usize,
        peer: usize,
        epoch: u64,
    },
}

struct Node {
    monitor: Option<Monitor>,
    kept: Option<Bytes>,
    life: u64,
    planned: u64,
    clock_behind: u64,
    paused_until: u64,
}

#[derive(Clone, Copy)]
struct Link {
    delay: u64,
    /// Counts cuts and heals; odd while it is cut.
    epoch: u64,
}

/// A change of a status at a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flip {
    pub at: u64,
    pub site: usize,
    pub id: HealthCheckId,
    pub status: bool,
}

pub struct Lab {
    pub now: u64,
    random: u64,
    nodes: Vec<Node>,
    links: BTreeMap<(usize, usize), Link>,
    events: BTreeMap<(u64, u64), Event>,
    number: u64,
    pub checks: Vec<HealthCheck>,
    behaviours: BTreeMap<HealthCheckId, (Behaviour, u64)>,
    /// (site, check) pairs whose probes never arrive.
    pub unreachable: BTreeSet<(usize, HealthCheckId)>,
    /// Sites that lose so many of a hundred probes.
    pub lossy: BTreeMap<usize, u64>,
    /// Every message is delivered twice.
    pub duplicates: bool,
    /// When the first probe of each check began that failed since its behaviour changed.
    pub first_failed: BTreeMap<HealthCheckId, u64>,
    pub flips: Vec<Flip>,
}

pub fn id(name: &str) -> HealthCheckId {
    HealthCheckId(name.to_owned())
}

pub fn check(name: &str) -> HealthCheck {
    HealthCheck {
        id: id(name),
        probe: Probe::Http(HttpProbe {
            tls: None,
            path: "/health".to_owned(),
            search: None,
        }),
        address: Some([127, 1, 1, 1].into()),
        name: None,
        port: 8080,
        interval: Span::seconds(30),
        threshold: 3,
        inverted: false,
        disabled: false,
    }
}

impl Event {
    /// Whom it happens to.
    fn site(&self) -> usize {
        match self {
            Event::Wake { site, .. }
            | Event::Answer { site, .. }
            | Event::GiveUp { site, .. }
            | Event::Notice { site, .. } => *site,
            Event::Deliver { to, .. } => *to,
        }
    }
}

impl Lab {
    /// That many sites, all connected, with these checks, probing every 200 ms.
    pub fn new(seed: u64, sites: usize, checks: Vec<HealthCheck>) -> Lab {
        let behaviours = checks
            .iter()
            .map(|check| (check.id.clone(), (Behaviour::Serves, 0)));
        let mut lab = Lab {
            now: SECOND,
            random: seed,
            nodes: Vec::new(),
            links: BTreeMap::new(),
            events: BTreeMap::new(),
            number: 0,
            behaviours: behaviours.collect(),
            checks,
            unreachable: BTreeSet::new(),
            lossy: BTreeMap::new(),
            duplicates: false,
            first_failed: BTreeMap::new(),
            flips: Vec::new(),
        };
        for _ in 0..sites {
            lab.nodes.push(Node {
                monitor: None,
                kept: None,
                life: 0,
                planned: 0,
                clock_behind: 0,
                paused_until: 0,
            });
        }
        for from in 0..sites {
            for to in from + 1..sites {
                let delay = lab.below(120 * MILLISECOND + 1);
                lab.links.insert((from, to), Link { delay, epoch: 0 });
            }
        }
        for site in 0..sites {
            lab.start(site);
        }
        lab
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn sites(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_alive(&self, site: usize) -> bool {
        self.nodes[site].monitor.is_some()
    }

    fn clock(&self, site: usize) -> Now {
        let behind = self.nodes[site].clock_behind;
        Now {
            wall: Timestamp(1_000_000 + (self.now / MILLISECOND).saturating_sub(behind)),
            monotonic: Monotonic(self.now),
        }
    }

    fn link(&self, one: usize, other: usize) -> Link {
        self.links[&(one.min(other), one.max(other))]
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }

    /// The site's process starts, with what it has kept, and its links come up.
    pub fn start(&mut self, site: usize) {
        let now = self.clock(site);
        let config = MonitorConfig {
            site: SiteId(site as u16 + 1),
            instance: now.wall.0,
            seed: self.below(u64::MAX),
            settings: Settings::new(Some(Span::milliseconds(200))).unwrap(),
            policy: TargetPolicy::lab(),
        };
        let kept = self.nodes[site].kept.clone();
        let monitor = Monitor::new(now, config, kept.as_deref()).unwrap();
        self.nodes[site].monitor = Some(monitor);
        self.nodes[site].life += 1;
        self.step(site, Input::Configured(self.checks.clone()));
        for peer in 0..self.sites() {
            if peer != site && self.is_alive(peer) && self.link(site, peer).epoch.is_multiple_of(2)
            {
                self.link_up(site, peer);
            }
        }
    }

    /// The site's process is gone. Its peers hear of it after the link's delay, or don't.
    pub fn kill(&mut self, site: usize, cut: Cut) {
        self.nodes[site].monitor = None;
        self.nodes[site].life += 1;
        for peer in (0..self.sites()).filter(|peer| *peer != site) {
            let key = (site.min(peer), site.max(peer));
            let link = self.links.get_mut(&key).unwrap();
            if link.epoch.is_multiple_of(2) {
                // Connections of the old life are no more.
                link.epoch += 2;
                let (delay, epoch) = (link.delay, link.epoch);
                if cut == Cut::Noticed {
                    let event = Event::Notice {
                        site: peer,
                        peer: site,
                        epoch,
                    };
                    self.plan(self.now + delay, event);
                }
            }
        }
    }

    /// The site's wall clock is set back before its next start.
    pub fn set_clock_behind(&mut self, site: usize, milliseconds: u64) {
        self.nodes[site].clock_behind = milliseconds;
    }

    /// The site's process does nothing for that long; then it finds everything that came.
    pub fn pause(&mut self, site: usize, span: u64) {
        self.nodes[site].paused_until = self.now + span;
    }

    fn link_up(&mut self, one: usize, other: usize) {
        for (site, peer) in [(one, other), (other, one)] {
            let peer = SiteId(peer as u16 + 1);
            self.step(site, Input::Disconnected(peer));
            self.step(site, Input::Connected(peer));
        }
    }

    pub fn cut(&mut self, one: usize, other: usize, cut: Cut) {
        let link = self
            .links
            .get_mut(&(one.min(other), one.max(other)))
            .unwrap();
        if link.epoch % 2 == 1 {
            return;
        }
        link.epoch += 1;
        let (delay, epoch) = (link.delay, link.epoch);
        if cut == Cut::Noticed {
            for (site, peer) in [(one, other), (other, one)] {
                self.plan(self.now + delay, Event::Notice { site, peer, epoch });
            }
        }
    }

    pub fn heal(&mut self, one: usize, other: usize) {
        let link = self
            .links
            .get_mut(&(one.min(other), one.max(other)))
            .unwrap();
        if link.epoch.is_multiple_of(2) {
            return;
        }
        link.epoch += 1;
        if self.is_alive(one) && self.is_alive(other) {
            self.link_up(one, other);
        }
    }

    pub fn behave(&mut self, name: &HealthCheckId, behaviour: Behaviour) {
        self.behaviours.insert(name.clone(), (behaviour, self.now));
        self.first_failed.remove(name);
    }

    pub fn configure(&mut self, site: usize, checks: Vec<HealthCheck>) {
        self.step(site, Input::Configured(checks));
    }

    fn step(&mut self, site: usize, input: Input) {
        let now = self.clock(site);
        let mut outputs = Vec::new();
        let Some(monitor) = self.nodes[site].monitor.as_mut() else {
            return;
        };
        monitor
            .step(now, input, &mut outputs)
            .expect("sites write what sites can read");
        let wake = monitor.wake();
        assert!(wake > now.monotonic, "a monitor is never due twice at once");
        self.nodes[site].planned = wake.0;
        self.plan(
            wake.0,
            Event::Wake {
                site,
                planned: wake.0,
            },
        );
        for output in outputs {
            match output {
                Output::Request(ProbeRequest::Probe(ticket, order)) => {
                    self.begin(site, ticket, order);
                }
                Output::Request(ProbeRequest::Resolve(..)) => panic!("the checks have addresses"),
                Output::Send(to, bytes) => self.send(site, usize::from(to.0) - 1, &bytes),
                Output::Status(id, status) => {
                    let at = self.now;
                    self.flips.push(Flip {
                        at,
                        site,
                        id,
                        status,
                    });
                }
                Output::Gone(_) => {}
                Output::Keep(bytes) => self.nodes[site].kept = Some(bytes),
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: &Bytes) {
        let Link { delay, epoch } = self.link(from, to);
        if epoch % 2 == 1 {
            return;
        }
        for _ in 0..1 + usize::from(self.duplicates) {
            let bytes = bytes.clone();
            self.plan(
                self.now + delay,
                Event::Deliver {
                    from,
                    to,
                    epoch,
                    bytes,
                },
            );
        }
    }

    fn begin(&mut self, site: usize, ticket: Ticket, order: ProbeOrder) {
        let life = self.nodes[site].life;
        let latency = MILLISECOND + self.below(20 * MILLISECOND);
        let began = self.now;
        let answer = Event::Answer {
            site,
            life,
            ticket,
            order,
            began,
        };
        self.plan(self.now + latency, answer);
    }

    /// The moment at which a living endpoint would have answered.
    fn answer(&mut self, site: usize, life: u64, ticket: Ticket, order: ProbeOrder, began: u64) {
        if self.nodes[site].life != life {
            return;
        }
        let (behaviour, since) = self.behaviours[&order.id];
        let lost = self.lossy.get(&site).copied().unwrap_or(0);
        let hangs = behaviour == Behaviour::Hangs
            || self.unreachable.contains(&(site, order.id.clone()))
            || self.below(100) < lost;
        if behaviour != Behaviour::Serves {
            let first = self
                .first_failed
                .entry(order.id.clone())
                .or_insert(u64::MAX);
            *first = (*first).min(began.max(since));
        }
        if hangs {
            let at = began + order.timeouts.response.0;
            self.plan(at.max(self.now + 1), Event::GiveUp { site, life, ticket });
        } else if behaviour == Behaviour::Refuses {
            self.step(site, Input::Probed(ticket, ProbeOutcome::Refused));
        } else {
            self.step(site, Input::Probed(ticket, ProbeOutcome::Status(200)));
        }
    }

    /// Lets everything happen up to that moment.
    pub fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            let paused_until = self.nodes[event.site()].paused_until;
            if paused_until > at {
                self.plan(paused_until, event);
                continue;
            }
            match event {
                Event::Wake { site, planned } if self.nodes[site].planned == planned => {
                    self.step(site, Input::Tick);
                }
                Event::Wake { .. } => {}
                Event::Deliver {
                    from,
                    to,
                    epoch,
                    bytes,
                } => {
                    if self.link(from, to).epoch == epoch {
                        let from = SiteId(from as u16 + 1);
                        self.step(to, Input::Received(from, bytes));
                    }
                }
                Event::Answer {
                    site,
                    life,
                    ticket,
                    order,
                    began,
                } => {
                    self.answer(site, life, ticket, order, began);
                }
                Event::GiveUp { site, life, ticket } => {
                    if self.nodes[site].life == life {
                        let outcome = ProbeOutcome::TimedOut(ProbeStep::Response);
                        self.step(site, Input::Probed(ticket, outcome));
                    }
                }
                Event::Notice { site, peer, epoch } => {
                    if self.link(site, peer).epoch == epoch {
                        self.step(site, Input::Disconnected(SiteId(peer as u16 + 1)));
                    }
                }
            }
        }
        self.now = end;
    }

    pub fn run(&mut self, span: u64) {
        self.run_until(self.now + span);
    }

    pub fn status(&self, site: usize, name: &HealthCheckId) -> Option<bool> {
        self.nodes[site].monitor.as_ref()?.status(name)
    }

    pub fn tally(&self, site: usize, name: &HealthCheckId) -> Option<health::Tally> {
        let monitor = self.nodes[site].monitor.as_ref()?;
        monitor.tally(Monotonic(self.now), name)
    }

    pub fn monitor(&self, site: usize) -> &Monitor {
        self.nodes[site].monitor.as_ref().unwrap()
    }

    /// The last change to that status at that site since that moment.
    pub fn flipped(
        &self,
        site: usize,
        name: &HealthCheckId,
        status: bool,
        since: u64,
    ) -> Option<u64> {
        let mut flips = self.flips.iter().rev();
        flips
            .find(|flip| flip.site == site && flip.id == *name && flip.at >= since)
            .filter(|flip| flip.status == status)
            .map(|flip| flip.at)
    }
}

impl Lab {
    /// Of each check whether its endpoint serves now.
    pub fn truth(&self) -> Vec<(HealthCheckId, bool)> {
        let behaviours = self.behaviours.iter();
        behaviours
            .map(|(id, (behaviour, _))| (id.clone(), *behaviour == Behaviour::Serves))
            .collect()
    }
}
