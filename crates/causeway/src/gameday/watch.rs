//! What is looked at all the time while a game day runs: the answers of the DNS at every place,
//! the verdicts of the health checks, what waits and what crosses on the links. Each look is cheap
//! and has its own pace; one that fails is no observation.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{OptionFuture, join_all};
use futures_util::stream::FuturesOrdered;
use gameday::{Crossing, EventKind, Look, Plan};
use http::Method;
use runtime::Lookup;
use serde_json::Value;
use types::{Place, Region, SiteName, Span};

use super::api::elements;
use super::deploy::{Deployed, is_success};
use super::lab::TestLab;
use super::load::WATCHER;
use super::recorder::Recorder;
use crate::control::{Command, StatusReport};

/// How often verdicts and backlogs are looked at.
const VERDICTS: Span = Span::milliseconds(100);
const BACKLOGS: Span = Span::milliseconds(100);

/// How often the links' counters are read. What crossed between the last reading and a kill is
/// not counted: a site's counters die with it.
const COUNTERS: Span = Span::milliseconds(500);

/// How long one look at the DNS waits for its answer, and how often it asks.
const LOOK_WAIT: Duration = Duration::from_millis(800);
const LOOK_ATTEMPTS: u32 = 2;

/// Looks at one name that may be under way at once; more are left out.
const LOOKS_UNDER_WAY: usize = 32;

/// A healthy endpoint is found so by more than that share of its checkers, in percent.
const HEALTHY_ABOVE: usize = 18;

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
        let checks = self
            .plan
            .scenario
            .health_checks
            .iter()
            .zip(&self.made.checks);
        let verdicts = checks.map(|(check, id)| self.verdicts(&check.name, id));
        tokio::join!(
            answers,
            join_all(verdicts),
            self.backlogs(),
            self.counters()
        );
    }

    /// What has crossed since the first reading of the counters, after a last one.
    pub async fn crossings(&self) -> Vec<Crossing> {
        self.read_counters().await;
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

    /// Asks the service what its checkers say of an endpoint, and notes when the verdict changes.
    async fn verdicts(&self, name: &str, id: &str) {
        let api = self.lab.api();
        let path = format!("/healthcheck/{id}/status");
        let mut verdict = None;
        loop {
            let status = api.route53(Method::GET, &path, String::new()).await;
            let seen = status.ok().and_then(|xml| judge(&xml));
            // The first says how it was, which is no event.
            if let Some(healthy) = seen
                && verdict
                    .replace(healthy)
                    .is_some_and(|before| before != healthy)
            {
                let check = name.to_owned();
                let kind = EventKind::Verdict { check, healthy };
                self.recorder.event(self.recorder.elapsed(), kind);
            }
            self.recorder.wait(VERDICTS).await;
        }
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

    async fn counters(&self) {
        loop {
            self.read_counters().await;
            self.recorder.wait(COUNTERS).await;
        }
    }

    async fn read_counters(&self) {
        if let Ok(status) = self.lab.ask::<StatusReport>(&Command::Status).await {
            self.traffic().read(&status);
        }
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

/// What most checkers say, by the service's own rule; none without any.
fn judge(xml: &str) -> Option<bool> {
    let statuses: Vec<String> = elements(xml, "Status").collect();
    let healthy = statuses.iter().filter(|status| is_success(status)).count();
    (!statuses.is_empty()).then_some(healthy * 100 > HEALTHY_ABOVE * statuses.len())
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
    fn a_verdict_needs_more_than_18_percent_of_the_checkers() {
        let xml = |healthy: usize, all: usize| {
            let status = |index| match index < healthy {
                true => "<Status>Success: HTTP Status Code 200, OK</Status>",
                false => "<Status>Failure: Connection refused</Status>",
            };
            (0..all).map(status).collect::<String>()
        };
        assert_eq!(judge(""), None);
        assert_eq!(judge(&xml(0, 3)), Some(false));
        assert_eq!(judge(&xml(1, 3)), Some(true));
        assert_eq!(judge(&xml(18, 100)), Some(false));
        assert_eq!(judge(&xml(19, 100)), Some(true));
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
