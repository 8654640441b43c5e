//! One simulation of accelerators from beginning to end: rounds of turmoil, each followed by a heal
//! after which every site must choose as the guide says of what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use accelerator::model::{Accelerator, EndpointTarget};
use accelerator::{ChooseContext, Flow, NoChoice, Tried, catalogue, codec, keys};
use council::{Change, Expected};
use steering::Steering;
use types::{ConfigurationView, Monotonic, Region, RegionBalancers, SiteId, Span};

use super::draw;
use super::guide::{Guide, Shares, Truth, WrongRule};
use crate::deployment::REGIONS;
use crate::faults::{Fault, schedule};
use crate::random::Random;
use crate::slow::SlowEngine;
use crate::world::World;

/// Rounds of turmoil and heal.
const ROUNDS: u32 = 2;

/// How long changes and faults are at work in a round.
const TURMOIL: Span = Span::seconds(8);

/// How long it may take after a heal until every site chooses as it must. Liveness is asserted
/// then and not before.
const HEALING: Span = Span::seconds(90);

/// How long the sites may take to agree on the first settings.
const SETUP: Span = Span::seconds(60);

/// Between looks, and between probes of each endpoint by each site.
const LOOK: Span = Span::milliseconds(250);
const PROBES: Span = Span::milliseconds(500);

/// How long after an endpoint went down or came back every site knows: three probes, with time for
/// the word of others.
const DETECTION: Span = Span::seconds(4);

/// Flows by which shares are judged, and those that are compared from site to site.
const FLOWS: u32 = 300;
const COMPARED: u32 = 40;

/// Standard deviations that a share may be off, and what tables can't divide more exactly.
const DEVIATIONS: f64 = 5.5;
const GRAIN: f64 = 0.01;

/// What a simulation found.
#[derive(Debug)]
pub struct AcceleratorsReport {
    /// Its seed.
    pub seed: u64,
    /// What is wrong, in words; empty if all is well.
    pub wrong: Vec<String>,
    /// Why it didn't come to its end.
    pub stuck: Option<String>,
    /// Everything that happened, condensed.
    pub trace: u64,
    /// Flows that were opened while sites were cut off, killed, and told of changes.
    pub opened: usize,
    /// Of these, those that were refused at least once before.
    pub retried: usize,
    /// Shares that were compared with the guide's.
    pub judged: usize,
    /// The faults that were injected.
    pub faults: Vec<(Monotonic, Fault)>,
}

impl AcceleratorsReport {
    /// Is everything as it must be?
    pub fn is_sound(&self) -> bool {
        self.wrong.is_empty() && self.stuck.is_none()
    }
}

/// Runs the simulation of a seed; choices are judged by that wrong rule, if one is given.
pub fn simulate_accelerators(seed: u64, wrong: Option<WrongRule>) -> AcceleratorsReport {
    let mut random = Random::new(seed ^ 0xacce_1e7a);
    let mut simulation = Simulation {
        world: World::with_probes(seed, None, Some(PROBES)),
        rule: wrong,
        published: BTreeMap::new(),
        hidden: BTreeSet::new(),
        random: random.split(),
        report: AcceleratorsReport {
            seed,
            wrong: Vec::new(),
            stuck: None,
            trace: 0,
            opened: 0,
            retried: 0,
            judged: 0,
            faults: Vec::new(),
        },
    };
    simulation.report.stuck = simulation.set_up().err();
    for _ in 0..ROUNDS {
        if simulation.report.is_sound() {
            simulation.turmoil();
            simulation.heal();
        }
        if simulation.report.is_sound() {
            simulation.lose_one();
        }
    }
    simulation.report.trace = simulation.world.trace();
    simulation.report
}

struct Simulation {
    world: World,
    rule: Option<WrongRule>,
    /// What each Region's load balancers are.
    published: BTreeMap<SiteId, RegionBalancers>,
    /// What single sites' checkers can't reach.
    hidden: BTreeSet<(SiteId, IpAddr)>,
    random: Random,
    report: AcceleratorsReport,
}

impl Simulation {
    fn set_up(&mut self) -> Result<(), String> {
        for address in draw::everything() {
            let up = !self.random.one_in(4);
            self.world.endpoints().set(address, up);
        }
        for site in 1..=REGIONS.len() as u16 {
            self.publish_other(SiteId(site));
        }
        for number in 1..=draw::ACCELERATORS {
            self.propose(SiteId(1), number, true);
        }
        let end = self.world.now() + SETUP;
        while !(self.agree() && self.accelerators().len() == usize::from(draw::ACCELERATORS)) {
            if self.world.now() >= end {
                return Err("the accelerators are not there".to_owned());
            }
            self.world.run(self.world.now() + LOOK);
        }
        Ok(())
    }

    /// Has that accelerator be another, by that site's seat; again and again, if it must.
    fn propose(&mut self, site: SiteId, number: u8, must: bool) {
        let accelerator = draw::accelerator(&mut self.random, number);
        let regions = self.world.regions();
        let at = regions.iter().find(|it| self.world.site_of(it) == site);
        let Some(council) = at.map(|region| region.council().clone()) else {
            return;
        };
        let environment = self.world.environment(site);
        let (key, value) = (
            keys::accelerator(&accelerator.id),
            codec::encode(&accelerator),
        );
        self.world.spawn(site, async move {
            loop {
                let change = Change::new().put(&key, Expected::Any, value.clone());
                let made = council.propose(change).await;
                if made.is_ok() || !must {
                    return;
                }
                let again = environment.now().monotonic + LOOK;
                environment.sleep_until(again).await;
            }
        });
    }

    /// The Region at that site has other load balancers.
    fn publish_other(&mut self, site: SiteId) {
        let state = draw::balancers(&mut self.random, site.0);
        self.published.insert(site, state);
        self.publish(site);
    }

    fn publish(&self, site: SiteId) {
        if let (Some(steering), Some(state)) =
            (self.world.steering(site), self.published.get(&site))
        {
            steering.publish_balancers(state.clone());
        }
    }

    fn turmoil(&mut self) {
        let begin = self.world.now();
        let end = begin + TURMOIL;
        let sites = self.world.sites();
        let faults = schedule(&mut self.random, &sites, begin, end);
        self.report.faults.extend(faults.iter().cloned());
        let mut faults = faults.into_iter().peekable();
        while self.world.now() < end {
            let next = faults.peek().map_or(end, |(at, _)| *at);
            let look = self.world.now() + LOOK;
            self.world.run(look.min(next).min(end));
            while let Some((_, fault)) = faults.next_if(|(at, _)| *at <= self.world.now()) {
                self.world.inject(fault);
                if let Fault::Restart(site) = fault {
                    // As a Region does when it starts.
                    self.publish(site);
                }
            }
            self.act();
            self.open_flows();
        }
    }

    /// Something changes.
    fn act(&mut self) {
        let sites = self.world.sites();
        let site = sites[self.random.below(sites.len() as u64) as usize];
        let region = SiteId(self.random.between(1, REGIONS.len() as u64) as u16);
        let everything = draw::everything();
        let address = everything[self.random.below(everything.len() as u64) as usize];
        match self.random.below(8) {
            0 | 1 => {
                let up = self.world.endpoints().is_up(address);
                self.world.endpoints().set(address, !up);
            }
            2 => {
                self.hidden.insert((site, address));
                self.world.endpoints().hide(site, address, true);
            }
            3 => self.publish_other(region),
            4 => {
                let number = self.random.between(1, u64::from(draw::ACCELERATORS)) as u8;
                self.propose(region, number, false);
            }
            _ => {}
        }
    }

    /// At every site that is up a client connects, as its edge would have it: whatever the site
    /// knows, a flow finds an endpoint if any of the listener's accepts connections.
    fn open_flows(&mut self) {
        for site in self.world.sites() {
            let Some(steering) = self.world.steering(site) else {
                continue;
            };
            for number in 1..=draw::ACCELERATORS {
                let flow = draw::flow(&mut self.random, number);
                let place = draw::region(REGIONS[self.random.below(3) as usize]);
                if let Err(what) = self.open(&steering, &flow, place) {
                    let now = self.world.now();
                    self.report
                        .wrong
                        .push(format!("{now:?} site {}: {what}", site.0));
                }
            }
        }
    }

    fn open(
        &mut self,
        steering: &Steering<SlowEngine>,
        flow: &Flow,
        place: Region,
    ) -> Result<(), String> {
        let node = steering.accelerators();
        let (snapshot, board) = (node.snapshot(), node.board());
        let context = ChooseContext { board, place };
        let mut tried = Tried::NONE;
        self.report.opened += 1;
        loop {
            match snapshot.choose(flow, &context, &tried) {
                Ok(choice) if self.world.endpoints().is_up(choice.address.ip()) => {
                    self.report.retried += usize::from(!tried.is_empty());
                    return Ok(());
                }
                Ok(choice) if tried.contains(choice.address) => {
                    return Err(format!("{} is tried twice", choice.address));
                }
                Ok(choice) if tried.add(choice.address) => {}
                // More than are remembered refuse: it may be given up.
                Ok(_) => return Ok(()),
                Err(NoChoice::NoEndpoint | NoChoice::AllTried) => break,
                Err(_) => return Ok(()),
            }
        }
        let explained = snapshot.explain(flow, &context, &Tried::NONE);
        let endpoints = explained.groups.iter().flat_map(|group| &group.endpoints);
        let mut nodes = endpoints.flat_map(|endpoint| &endpoint.nodes);
        match nodes.find(|node| self.world.endpoints().is_up(node.address.ip())) {
            Some(node) => Err(format!(
                "{flow:?} wasn't sent to {}, which is up",
                node.address
            )),
            None => Ok(()),
        }
    }

    /// Ends every fault, and waits until all sites choose as they must; notes what isn't so.
    fn heal(&mut self) {
        self.world.heal();
        // Of what single sites can't reach, some stays so: it is healthy by the others' word.
        let hidden = std::mem::take(&mut self.hidden);
        self.world.endpoints().show_all();
        for (site, address) in hidden {
            let others = self.hidden.iter().any(|(_, known)| *known == address);
            if !others && self.random.one_in(2) {
                self.world.endpoints().hide(site, address, true);
                self.hidden.insert((site, address));
            }
        }
        for site in 1..=REGIONS.len() as u16 {
            self.publish(SiteId(site));
        }
        let end = self.world.now() + HEALING;
        loop {
            self.world.run(self.world.now() + DETECTION);
            let wrong = match self.agree() {
                true => self.judge(),
                false => vec!["the sites don't agree".to_owned()],
            };
            if wrong.is_empty() {
                return;
            }
            // A rule that is wrong on purpose won't come true by waiting.
            let waits = self.rule.is_none() || !self.agree();
            if self.world.now() >= end || !waits {
                self.report.wrong.extend(wrong);
                return;
            }
        }
    }

    /// Do all sites steer by the same settings and the same load balancers?
    fn agree(&self) -> bool {
        let sites = self.world.sites();
        let steerings = sites.iter().map(|site| self.world.steering(*site));
        let Some(steerings) = steerings.collect::<Option<Vec<_>>>() else {
            return false;
        };
        let known = |it: &Arc<Steering<SlowEngine>>| {
            let directory = it.balancers();
            (it.accelerators().snapshot().revision(), directory)
        };
        let first = known(&steerings[0]);
        let same = steerings.iter().all(|it| known(it) == first);
        let told = self.published.values().all(|state| {
            let of = first.1.0.get(&state.region);
            of.is_some_and(|of| of.balancers == state.balancers)
        });
        same && told
    }

    /// The accelerators as they are configured.
    fn accelerators(&self) -> Vec<Accelerator> {
        let regions = self.world.regions();
        let Some(region) = regions.first() else {
            return Vec::new();
        };
        let settings = region.council().settings();
        let view: &dyn ConfigurationView = settings.as_ref();
        let mut found = Vec::new();
        catalogue::visit(view, &mut |_, accelerator| found.extend(accelerator));
        found
    }

    /// How an endpoint is, whatever anybody knows of it.
    fn truth(&self, target: &EndpointTarget) -> Truth {
        let accepts = |address: IpAddr| {
            let hidden = self.hidden.iter().any(|(_, known)| *known == address);
            let every = self.rule == Some(WrongRule::EverySiteMustReachIt);
            self.world.endpoints().is_up(address) && !(every && hidden)
        };
        match target {
            EndpointTarget::Address(address) => Truth {
                is_well: true,
                nodes: vec![(*address, accepts(*address))],
            },
            EndpointTarget::Balancer(arn) => {
                let mut states = self.published.values();
                let entry = states.find_map(|state| state.balancers.get(arn));
                entry.map_or_else(Truth::default, |entry| Truth {
                    is_well: entry.is_healthy,
                    nodes: entry.nodes.values().map(|it| (*it, accepts(*it))).collect(),
                })
            }
        }
    }

    /// What of the sites' choices isn't as the guide says.
    fn judge(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        let accelerators = self.accelerators();
        for accelerator in &accelerators {
            let number = accelerator.addresses[0].to_string();
            let number = number.rsplit('.').next().and_then(|it| it.parse().ok());
            let number = number.expect("the last part of an address");
            for place in ["us-east-1", "ap-southeast-1", "eu-central-1"].map(draw::region) {
                let truth = |target: &EndpointTarget| self.truth(target);
                let guide = Guide::new(&accelerator.listeners[0], place, &truth, self.rule);
                let shares = guide.shares();
                let flows = (0..FLOWS).map(|_| draw::flow(&mut self.random, number));
                let flows: Vec<Flow> = flows.collect();
                let counts = self.choices(SiteId(4), &flows, place);
                self.report.judged += shares.len();
                if let Some(what) = misfit(&counts, &shares) {
                    wrong.push(format!("{} from {place}: {what}", accelerator.name));
                }
                let some = &flows[..COMPARED as usize];
                let at_edge = self.choices(SiteId(4), some, place);
                for site in 1..=REGIONS.len() as u16 {
                    if self.choices(SiteId(site), some, place) != at_edge {
                        wrong.push(format!("site {site} chooses otherwise than the edge"));
                    }
                }
            }
        }
        wrong
    }

    /// Where these flows go by that site.
    fn choices(&self, site: SiteId, flows: &[Flow], place: Region) -> Vec<Option<IpAddr>> {
        let steering = self.world.steering(site).expect("every site is up");
        let node = steering.accelerators();
        let (snapshot, board) = (node.snapshot(), node.board());
        let context = ChooseContext { board, place };
        let choose = |flow: &Flow| {
            let choice = snapshot.choose(flow, &context, &Tried::NONE).ok()?;
            Some(choice.address.ip())
        };
        flows.iter().map(choose).collect()
    }

    /// One endpoint goes, and comes back: nobody's flows move but its own, and they come back.
    fn lose_one(&mut self) {
        let place = draw::region(REGIONS[0]);
        let numbers = 1..=draw::ACCELERATORS;
        let flows: Vec<Flow> = numbers
            .flat_map(|number| std::iter::repeat_n(number, FLOWS as usize))
            .map(|number| draw::flow(&mut self.random, number))
            .collect();
        let before = self.choices(SiteId(4), &flows, place);
        let chosen: BTreeSet<IpAddr> = before.iter().copied().flatten().collect();
        let mut living = chosen.into_iter();
        let Some(lost) = living.find(|address| self.world.endpoints().is_up(*address)) else {
            return;
        };
        self.world.endpoints().set(lost, false);
        self.world.run(self.world.now() + DETECTION);
        let without = self.choices(SiteId(4), &flows, place);
        let pairs = before.iter().zip(&without);
        let moved = pairs.filter(|(before, after)| **before != Some(lost) && before != after);
        let moved = moved.count();
        if moved > 0 {
            let what = format!("{moved} flows of others moved when {lost} went down");
            self.report.wrong.push(what);
        }
        self.world.endpoints().set(lost, true);
        self.world.run(self.world.now() + DETECTION);
        if self.choices(SiteId(4), &flows, place) != before {
            let what = format!("flows didn't come back to {lost}");
            self.report.wrong.push(what);
        }
    }
}

/// What of the counts doesn't fit the shares.
fn misfit(chosen: &[Option<IpAddr>], shares: &Shares) -> Option<String> {
    let mut counts: BTreeMap<Option<IpAddr>, u32> = BTreeMap::new();
    for at in chosen {
        *counts.entry(*at).or_default() += 1;
    }
    let all = chosen.len() as f64;
    let fits = |at: &Option<IpAddr>, share: f64| {
        let seen = f64::from(counts.get(at).copied().unwrap_or(0)) / all;
        let deviation = (share * (1.0 - share) / all).sqrt();
        (seen - share).abs() <= DEVIATIONS * deviation + GRAIN
    };
    let stray = counts.keys().any(|at| !shares.contains_key(at));
    let off = shares.iter().any(|(at, share)| !fits(at, *share));
    (stray || off).then(|| format!("{counts:?} against {shares:?}"))
}
