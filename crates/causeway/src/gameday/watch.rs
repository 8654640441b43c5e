//! What is looked at all the time while a game day runs: the answers of the DNS at every place,
//! the statuses of the health checks, what waits and what crosses on the links. Each look is cheap
//! and has its own pace; one that fails is no observation.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{OptionFuture, join_all};
use futures_util::stream::FuturesOrdered;
use gameday::{Crossing, EventKind, Look, Plan};
use runtime::Lookup;
use serde_json::Value;
use types::{Place, Region, SiteName, Span};

use super::accelerators;
use super::deploy::Deployed;
use super::lab::TestLab;
use super::load::WATCHER;
use super::recorder::Recorder;
use crate::control::{Command, StatusReport};

/// How often the sites are asked for their state: how healthy they find what, and the links'
/// counters. What crossed between the last reading and a kill is not counted: a site's counters
/// die with it.
const STATES: Span = Span::milliseconds(100);

/// How often backlogs are looked at.
const BACKLOGS: Span = Span::milliseconds(100);

/// How long one look at the DNS waits for its answer, and how often it asks.
const LOOK_WAIT: Duration = Duration::from_millis(800);
const LOOK_ATTEMPTS: u32 = 2;

/// Looks at one name that may be under way at once; more are left out.
const LOOKS_UNDER_WAY: usize = 32;

/// The lane under which what isn't in any is counted: greetings, heartbeats, credit.
const OVERHEAD: &str = "overhead";

/// Everything that is watched.
pub struct Watch<'a> {
    lab: &'a TestLab,
    plan: &'a Plan,
    made: &'a Deployed,
    recorder: &'a Recorder,
    places: BTreeMap<Ipv4Addr, Region>,
    traffic: Mutex<Traffic>,
}

impl<'a> Watch<'a> {
    /// A watch that has seen nothing yet.
    pub fn new(
        lab: &'a TestLab,
        plan: &'a Plan,
        made: &'a Deployed,
        recorder: &'a Recorder,
    ) -> Watch<'a> {
        Watch {
            lab,
            plan,
            made,
            recorder,
            places: places(&lab.applications()),
            traffic: Mutex::default(),
        }
    }

    /// Watches; never ends by itself.
    pub async fn run(&self) {
        let answers = join_all(self.plan.looks.iter().map(|look| self.answers(look)));
        tokio::join!(answers, self.backlogs(), self.states(), self.endpoints());
    }

    /// What has crossed since the first reading of the counters, after a last one.
    pub async fn crossings(&self) -> Vec<Crossing> {
        self.read_state().await;
        self.traffic().crossings()
    }

    /// Looks at a name from a place at a fixed pace, however long the answers are on their way.
    async fn answers(&self, look: &Look) {
        let lookup = Lookup {
            source: Place(look.place).address(WATCHER),
            server: self.lab.dns(),
            name: look.name.clone(),
            wait: LOOK_WAIT,
            attempts: LOOK_ATTEMPTS,
        };
        let mut under_way = FuturesOrdered::new();
        let mut due = Span::ZERO;
        loop {
            let next: OptionFuture<_> = match under_way.is_empty() {
                true => None.into(),
                false => Some(under_way.next()).into(),
            };
            tokio::select! {
                () = self.recorder.wait_until(due) => {
                    let every = self.plan.scenario.measure.look_every;
                    due = Span(self.recorder.elapsed().0 + every.0);
                    if under_way.len() < LOOKS_UNDER_WAY {
                        under_way.push_back(async {
                            let resolved = lookup.ask().await;
                            let at = self.recorder.elapsed();
                            let addresses = resolved.map(|resolved| resolved.addresses);
                            (at, addresses.unwrap_or_default())
                        });
                    }
                }
                Some(Some((at, addresses))) = next => {
                    let regions = addresses.iter().filter_map(|address| self.places.get(address));
                    self.recorder.answer(at, look, regions.copied().collect());
                }
            }
        }
    }

    /// Asks the sites for their state, and notes when most of them find an endpoint healthy that
    /// they didn't before, or the other way round.
    async fn states(&self) {
        let checks = &self.plan.scenario.health_checks;
        let mut known = BTreeMap::new();
        loop {
            if let Some(status) = self.read_state().await {
                let sites = status.sites.iter().map(|site| &site.detail);
                let statuses = statuses(sites);
                for (check, id) in checks.iter().zip(&self.made.checks) {
                    let Some(healthy) = statuses.get(id).copied() else {
                        continue;
                    };
                    // The first says how it was, which is no event.
                    let before = known.insert(id, healthy);
                    if before.is_some_and(|before| before != healthy) {
                        let check = check.name.clone();
                        let kind = EventKind::Verdict { check, healthy };
                        self.recorder.event(self.recorder.elapsed(), kind);
                    }
                }
            }
            self.recorder.wait(STATES).await;
        }
    }

    /// Asks for the health of accelerators' endpoints, as anybody would, and notes when it changes.
    async fn endpoints(&self) {
        let accelerators = self.plan.scenario.accelerators.iter();
        let accelerators = accelerators.zip(&self.made.accelerators);
        let groups = accelerators.flat_map(|(accelerator, made)| {
            let groups = made.groups.iter();
            groups.map(|(region, arn)| (accelerator.check_name(*region), arn))
        });
        let api = self.lab.api();
        let api = &api;
        let looks = groups.map(|(check, arn)| async move {
            let mut known = None;
            loop {
                let looked = accelerators::is_healthy(api, arn).await;
                if let Ok(healthy) = looked {
                    let before = known.replace(healthy);
                    if before.is_some_and(|before| before != healthy) {
                        let check = check.clone();
                        let kind = EventKind::Verdict { check, healthy };
                        self.recorder.event(self.recorder.elapsed(), kind);
                    }
                }
                self.recorder.wait(STATES).await;
            }
        });
        join_all(looks).await;
    }

    /// Notes when everything has arrived that waited while a fault was in force.
    async fn backlogs(&self) {
        let mut waiting: Option<(Span, Positions)> = None;
        let mut drained = None;
        loop {
            self.recorder.wait(BACKLOGS).await;
            let healed = self.recorder.last_heal().filter(|at| Some(*at) != drained);
            let Some(healed) = healed else { continue };
            let Ok(lag) = self.lab.ask_for_value(&Command::Lag).await else {
                continue;
            };
            let Some(positions) = positions(&lag) else {
                continue;
            };
            let target = match &waiting {
                Some((of, target)) if *of == healed => target.clone(),
                _ => positions.clone(),
            };
            let arrived = target.iter().all(|(pair, at_heal)| {
                let now = positions.get(pair);
                now.is_some_and(|now| now.reached >= at_heal.head)
            });
            waiting = Some((healed, target));
            if arrived {
                drained = Some(healed);
                let at = self.recorder.elapsed();
                self.recorder.event(at, EventKind::Drained);
            }
        }
    }

    /// The state of the sites; adds up the counters in it.
    async fn read_state(&self) -> Option<StatusReport> {
        let status = self.lab.ask::<StatusReport>(&Command::Status).await.ok()?;
        self.traffic().read(&status);
        Some(status)
    }

    fn traffic(&self) -> std::sync::MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does nothing wait to go from one Region to another?
pub async fn is_idle(lab: &TestLab) -> bool {
    let lag = lab.ask_for_value(&Command::Lag).await;
    let positions = lag.ok().and_then(|lag| positions(&lag));
    let is_idle = |position: &Position| position.reached == position.head;
    positions.is_some_and(|all| all.values().all(is_idle))
}

/// Which Region has which address.
pub fn places(applications: &[(Region, SocketAddr)]) -> BTreeMap<Ipv4Addr, Region> {
    let places = applications
        .iter()
        .filter_map(|(region, address)| match address.ip() {
            IpAddr::V4(ip) => Some((ip, *region)),
            IpAddr::V6(_) => None,
        });
    places.collect()
}

/// The status of each health check as most sites have it that say one, by its id; none where
/// there is no majority. A site's own status is the one that its answers follow: by the
/// thresholds of the checkers, by the share of those that agree, and turned round if inverted.
fn statuses<'a>(sites: impl Iterator<Item = &'a Value>) -> BTreeMap<String, bool> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for site in sites {
        let checks = site["routing"]["health"].as_array();
        for row in checks.into_iter().flatten() {
            let (Some(id), Some(healthy)) = (row["check"].as_str(), row["healthy"].as_bool())
            else {
                continue;
            };
            let (yes, no) = counts.entry(id.to_owned()).or_default();
            *(if healthy { yes } else { no }) += 1;
        }
    }
    let decided = counts.into_iter().filter(|(_, (yes, no))| yes != no);
    decided.map(|(id, (yes, no))| (id, yes > no)).collect()
}

/// From where to where.
type Pair = (String, String);

/// How far one direction's log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Position {
    /// It ends here.
    head: u64,
    /// Nothing up to here waits any more.
    reached: u64,
}

type Positions = BTreeMap<Pair, Position>;

/// Those of every direction; none while a Region is silent or a direction's backlog unknown.
fn positions(lag: &Value) -> Option<Positions> {
    if lag["silent"]
        .as_array()
        .is_some_and(|silent| !silent.is_empty())
    {
        return None;
    }
    let rows = lag["lag"].as_array()?;
    let positions = rows.iter().map(|row| {
        let end = |name: &str| row[name].as_str().map(str::to_owned);
        let head = row["head"].as_u64()?;
        let reached = head.saturating_sub(row["backlog"].as_u64()?);
        Some(((end("from")?, end("to")?), Position { head, reached }))
    });
    positions.collect()
}

/// Which counter: from, to, lane, service, resource.
type Counter = (SiteName, SiteName, String, u8, String);

/// The links' counters, added up over restarts of the sites that keep them.
#[derive(Default)]
struct Traffic {
    last: BTreeMap<Counter, u64>,
    bytes: BTreeMap<(SiteName, SiteName, String), u64>,
    begun: bool,
}

impl Traffic {
    /// Takes a reading; the first says where counting begins.
    fn read(&mut self, status: &StatusReport) {
        for report in &status.links {
            let link = &report.link;
            for crossing in &link.crossings {
                let lane = match serde_json::to_value(crossing.lane) {
                    Ok(Value::String(lane)) => lane,
                    _ => continue,
                };
                let resource = crossing.resource.clone();
                let counter = (link.from, link.to, lane, crossing.service, resource);
                self.add(counter, crossing.framed_bytes);
            }
            let counter = (link.from, link.to, OVERHEAD.to_owned(), 0, String::new());
            self.add(counter, link.overhead_bytes);
        }
        self.begun = true;
    }

    /// A counter that is lower than it was has begun anew with its site.
    fn add(&mut self, counter: Counter, value: u64) {
        let (from, to, lane, ..) = counter.clone();
        let last = self.last.insert(counter, value);
        let more = match last {
            Some(last) if last <= value => value - last,
            Some(_) => value,
            None if self.begun => value,
            None => 0,
        };
        *self.bytes.entry((from, to, lane)).or_default() += more;
    }

    fn crossings(&self) -> Vec<Crossing> {
        let bytes = self.bytes.iter().filter(|(_, bytes)| **bytes > 0);
        bytes
            .map(|((from, to, lane), bytes)| Crossing {
                from: *from,
                to: *to,
                lane: lane.clone(),
                bytes: *bytes,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_what_most_sites_have_that_say_one() {
        let site = |rows: &[(&str, bool)]| {
            let rows = rows.iter();
            let rows = rows.map(|(check, healthy)| json!({ "check": check, "healthy": healthy }));
            json!({ "routing": { "health": rows.collect::<Vec<_>>() } })
        };
        let sites = [
            site(&[("a", false), ("b", true), ("c", true)]),
            site(&[("a", false), ("b", true), ("c", false)]),
            site(&[("a", true)]),
            // One that is down says nothing, whatever it said before.
            Value::Null,
        ];
        let expected = [("a".to_owned(), false), ("b".to_owned(), true)];
        assert_eq!(statuses(sites.iter()), expected.into());
    }

    #[test]
    fn positions_are_known_only_when_every_region_speaks() {
        let row = json!({ "from": "a", "to": "b", "head": 7, "backlog": 2 });
        let lag = json!({ "lag": [row], "silent": [] });
        let pair = ("a".to_owned(), "b".to_owned());
        let position = Position {
            head: 7,
            reached: 5,
        };
        assert_eq!(positions(&lag), Some([(pair, position)].into()));
        let silent = json!({ "lag": [row], "silent": [{ "region": "b" }] });
        assert_eq!(positions(&silent), None);
        let unknown = json!({ "lag": [{ "from": "a", "to": "b", "head": 7, "backlog": null }] });
        assert_eq!(positions(&unknown), None);
    }

    #[test]
    fn counters_add_up_over_a_restart() {
        let mut traffic = Traffic::default();
        let counter = || -> Counter {
            let (from, to) = ("us-east-1".parse().unwrap(), "eu-west-1".parse().unwrap());
            (from, to, "changes".to_owned(), 1, "Orders".to_owned())
        };
        traffic.add(counter(), 1_000);
        traffic.begun = true;
        for value in [1_500, 1_500, 200, 300] {
            traffic.add(counter(), value);
        }
        let crossings = traffic.crossings();
        assert_eq!(crossings.len(), 1);
        assert_eq!(crossings[0].bytes, 800);
    }
}
