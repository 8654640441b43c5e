//! Requests by client and by load: how many succeeded, how fast, and how long a client was
//! without service.

use std::collections::BTreeMap;

use types::{Region, Span};

use super::moments::When;
use super::{Moments, percent, quantile, seconds};
use crate::expectation::Measured;
use crate::observations::{Observations, Request};
use crate::plan::Plan;

/// The requests of one client or load.
#[derive(Clone, PartialEq, Debug)]
pub struct Stream {
    /// The client's word or the load's name; `all`.
    pub name: String,
    /// How many.
    pub requests: u64,
    /// How many succeeded.
    pub ok: u64,
    /// How many there are of each class of outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// When the first failed request was due that was open at the fault or begun after it, from
    /// the start of the load.
    pub first_failure: Option<Span>,
    /// When the last one was due.
    pub last_failure: Option<Span>,
    /// Seconds from the fault to the first sustained success.
    pub rto: Measured,
    /// How long successful requests took, from when they were due.
    pub latency: Latency,
    /// How many requests each Region served.
    pub served: BTreeMap<Region, u64>,
}

/// How long requests took, in milliseconds; `None`: none succeeded.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Latency {
    /// Half took no longer.
    pub p50: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// All requests; those of each client; those of each load.
pub(super) fn of(
    plan: &Plan,
    seen: &Observations,
    moments: &Moments,
) -> (Stream, Vec<Stream>, Vec<Stream>) {
    let loads = &plan.scenario.loads;
    let mut sorted: Vec<&Request> = seen.requests.iter().collect();
    // Of those due at one time the failed ones last, so that none counts as recovered beside one.
    sorted.sort_by_key(|request| (request.due, !request.outcome.is_ok(), request.load));
    let sustained = plan.scenario.measure.sustained;
    let stream = |name: &str, is_its: &dyn Fn(&Request) -> bool| {
        let requests: Vec<&Request> = sorted.iter().copied().filter(|one| is_its(one)).collect();
        Stream::of(name, &requests, moments, sustained)
    };
    let mut labels: Vec<&str> = loads
        .iter()
        .map(|load| load.client.label.as_str())
        .collect();
    let mut known = Vec::new();
    labels.retain(|label| {
        let is_new = !known.contains(label);
        known.push(*label);
        is_new
    });
    let label_of = |request: &Request| {
        let load = loads.get(usize::from(request.load));
        load.map(|load| load.client.label.as_str())
    };
    let clients = labels.iter();
    let clients = clients.map(|label| stream(label, &|one| label_of(one) == Some(label)));
    let by_load = loads.iter().enumerate();
    let by_load =
        by_load.map(|(index, load)| stream(&load.name, &|one| usize::from(one.load) == index));
    (
        stream("all", &|_| true),
        clients.collect(),
        by_load.collect(),
    )
}

impl Stream {
    /// Of requests sorted by when they were due.
    fn of(name: &str, requests: &[&Request], moments: &Moments, sustained: Span) -> Stream {
        let mut outcomes = BTreeMap::new();
        let mut served = BTreeMap::new();
        let mut took = Vec::new();
        for request in requests {
            *outcomes.entry(request.outcome.class()).or_insert(0) += 1;
            if let Some(region) = request.region {
                *served.entry(region).or_insert(0) += 1;
            }
            if request.outcome.is_ok() {
                took.push(request.ended.0.saturating_sub(request.due.0));
            }
        }
        took.sort_unstable();
        let after = match moments.struck {
            When::At(struck) => struck,
            _ => Span::ZERO,
        };
        let mut failures = requests
            .iter()
            .filter(|request| !request.outcome.is_ok() && request.ended >= after)
            .map(|request| request.due);
        let first_failure = failures.next();
        Stream {
            name: name.to_owned(),
            requests: requests.len() as u64,
            ok: took.len() as u64,
            outcomes,
            first_failure,
            last_failure: failures.next_back().or(first_failure),
            rto: rto(requests, moments, sustained),
            latency: Latency::of(&took),
            served,
        }
    }

    /// The share of requests that succeeded, in percent.
    pub fn availability(&self) -> Measured {
        match self.requests {
            0 => Measured::Unknown("there was no request"),
            requests => Measured::Number(percent(self.ok, requests)),
        }
    }
}

impl Latency {
    /// Of sorted microseconds.
    fn of(sorted: &[u64]) -> Latency {
        let at = |share| quantile(sorted, share).map(|micros| micros as f64 / 1000.0);
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    pub(super) fn quantile(&self, word: &str) -> Measured {
        let value = match word {
            "p50" => self.p50,
            "p99" => self.p99,
            _ => self.max,
        };
        value.map_or(Measured::Unknown("no request succeeded"), Measured::Number)
    }
}

/// Seconds from the fault to the first sustained success: the end of the first request after the
/// first failure that succeeded, as did every one due within `sustained` of it, all before the
/// fault ended. Zero if none failed while it lasted; never if there is no such success: then it
/// was the end of the fault that helped. A request that was under way for `sustained` when the
/// fault ended counts as failed, whatever became of it then.
fn rto(requests: &[&Request], moments: &Moments, sustained: Span) -> Measured {
    let (struck, ended) = match (moments.struck, moments.ended) {
        (When::At(struck), When::At(ended)) => (struck, ended),
        (When::Unknown(why), _) => return Measured::Unknown(why),
        _ => return Measured::Unknown("the fault did not end"),
    };
    let during: Vec<&&Request> = requests
        .iter()
        .filter(|request| request.ended >= struck && request.due < ended)
        .collect();
    if during.is_empty() {
        return Measured::Unknown("there was no request while the fault lasted");
    }
    let until = |request: &Request| Span(request.due.0.saturating_add(sustained.0));
    // What came after the end of the fault came because of it.
    let is_good = |request: &Request| request.outcome.is_ok() && request.ended <= ended;
    // Any fault ends while some request is under way: one that is new by then has not failed.
    let has_failed = |request: &Request| {
        !request.outcome.is_ok() || request.ended > ended && until(request) <= ended
    };
    let Some(first) = during.iter().position(|request| has_failed(request)) else {
        return Measured::Number(0.0);
    };
    // Walked from the end: when is the next request due that fails?
    let mut next_failure: Option<Span> = None;
    let mut recovered: Option<Span> = None;
    for request in during[first..].iter().rev() {
        if !is_good(request) {
            next_failure = Some(request.due);
            continue;
        }
        let until = until(request);
        if until <= ended && next_failure.is_none_or(|failure| failure > until) {
            recovered = Some(request.ended);
        }
    }
    match recovered {
        Some(at) => Measured::Number(seconds(Span(at.0.saturating_sub(struck.0)))),
        None => Measured::Never,
    }
}
