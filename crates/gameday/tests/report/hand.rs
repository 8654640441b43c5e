//! Observations made by hand, a request at a time, on a small scenario.

use std::collections::BTreeMap;

use gameday::{
    EventKind, Figures, Look, Measured, Metric, Observations, Order, Outcome, Plan, Request, Scan,
    Scenario, Verb, Vocabulary,
};
use types::{Region, Span, Timestamp};

/// Two Regions, an outage of us-east-1 from 10 s to 20 s of 30 s, four loads.
const SCENARIO: &str = r#"
title = "By hand"
[lab]
regions = ["us-east-1", "eu-west-1"]
app = "orders"
[[table]]
name = "Orders"
regions = ["us-east-1", "eu-west-1"]
[[zone]]
name = "example.com"
[[health_check]]
name = "primary"
region = "us-east-1"
[[record]]
name = "shop.example.com"
failover = "primary"
region = "us-east-1"
health_check = "primary"
[[record]]
name = "shop.example.com"
failover = "secondary"
region = "eu-west-1"
[[load]]
name = "a"
place = "us-east-1"
client = "honours_ttl"
rate = 1
does = "place_orders"
target = "shop.example.com"
[[load]]
name = "b"
place = "eu-west-1"
client = "pooled"
rate = 1
does = "place_orders"
target = "shop.example.com"
[[load]]
name = "c"
place = "eu-west-1"
client = "never_resolves_again"
rate = 1
does = "read_orders"
target = "shop.example.com"
[[load]]
name = "d"
place = "eu-west-1"
client = "pooled"
rate = 1
does = "update_and_read"
orders = 2
target = "shop.example.com"
[[step]]
at = "10s"
do = "kill"
site = "us-east-1"
[[step]]
at = "20s"
do = "start"
site = "us-east-1"
[measure]
length = "30s"
sustained = "2s"
"#;

/// A plan and what is seen of it, to be filled.
pub struct Hand {
    pub plan: Plan,
    pub seen: Observations,
}

/// us-east-1, which dies.
pub fn east() -> Region {
    "us-east-1".parse().expect("a Region")
}

/// eu-west-1, which survives.
pub fn west() -> Region {
    "eu-west-1".parse().expect("a Region")
}

/// Milliseconds.
pub fn ms(count: u64) -> Span {
    Span::milliseconds(count)
}

impl Hand {
    /// Nothing but the fault at 10 s, its end at 20 s and the load's at 30 s.
    pub fn new() -> Hand {
        let scenario = Scenario::parse("hand.toml", SCENARIO, &[]);
        let plan = Plan::of(scenario.unwrap_or_else(|problems| panic!("{problems}")));
        let mut seen = Observations::new("test".to_owned(), Timestamp(0), Span::ZERO);
        seen.event(ms(10_000), EventKind::Step(0));
        seen.event(ms(20_000), EventKind::Step(1));
        seen.event(ms(30_000), EventKind::LoadEnded);
        seen.ended = ms(31_000);
        Hand { plan, seen }
    }

    /// Without the fault: nothing was broken.
    pub fn without_fault() -> Hand {
        let mut hand = Hand::new();
        hand.plan.scenario.measure.fault = None;
        hand
    }

    /// A request of that load, due then, that took 50 ms.
    pub fn request(&mut self, load: u16, due: u64, outcome: Outcome) -> &mut Request {
        let is_ok = outcome == Outcome::Ok;
        self.seen.requests.push(Request {
            load,
            verb: Verb::Get,
            due: ms(due),
            began: ms(due),
            ended: ms(due + 50),
            outcome,
            region: is_ok.then(east),
            order: None,
            version: 0,
        });
        self.seen.requests.last_mut().expect("it was just added")
    }

    /// One request a second of that load: `.` succeeds, `x` is refused, `t` times out.
    pub fn requests(&mut self, load: u16, outcomes: &str) {
        for (second, outcome) in outcomes.chars().enumerate() {
            let due = second as u64 * 1_000;
            match outcome {
                '.' => self.request(load, due, Outcome::Ok),
                'x' => self.request(load, due, Outcome::Refused),
                't' => self.request(load, due, Outcome::TimedOut),
                ' ' => continue,
                other => panic!("{other}"),
            };
        }
    }

    /// A write that was acknowledged then.
    pub fn acknowledged(&mut self, order: Order, version: u32, at: u64, region: Region) {
        let verb = match order {
            Order::Placed { .. } => Verb::Place,
            Order::Shared(_) => Verb::Update,
        };
        let request = self.request(3, at.saturating_sub(50), Outcome::Ok);
        request.verb = verb;
        request.order = Some(order);
        request.version = version;
        request.region = Some(region);
        request.ended = ms(at);
    }

    /// A read that began then and saw that version.
    pub fn read(&mut self, order: Order, version: u32, at: u64) {
        let request = self.request(2, at, Outcome::Ok);
        request.verb = Verb::Read;
        request.order = Some(order);
        request.version = version;
    }

    /// What a Region holds.
    pub fn held(orders: &[(Order, u32)]) -> BTreeMap<Order, u32> {
        orders.iter().copied().collect()
    }

    /// What the Regions hold while the fault lasts.
    pub fn scan(&mut self, at: u64, regions: &[(Region, BTreeMap<Order, u32>)]) {
        let regions = regions.iter().cloned().collect();
        self.seen.scan = Some(Scan {
            at: ms(at),
            regions,
            ..Scan::default()
        });
    }

    /// What they hold in the end.
    pub fn last_scan(&mut self, regions: &[(Region, BTreeMap<Order, u32>)]) {
        let regions = regions.iter().cloned().collect();
        self.seen.last_scan = Some(Scan {
            at: ms(31_000),
            regions,
            ..Scan::default()
        });
    }

    /// The DNS answers that at the place from then on.
    pub fn answer(&mut self, place: Region, at: u64, regions: &[Region]) {
        let look = Look {
            place,
            name: "shop.example.com".to_owned(),
        };
        self.seen.answer(ms(at), &look, regions.to_vec());
    }

    /// The value of a metric.
    pub fn value(&self, metric: &str) -> Measured {
        let loads = &self.plan.scenario.loads;
        let known = Vocabulary {
            clients: loads.iter().map(|load| load.client.label.clone()).collect(),
            loads: loads.iter().map(|load| load.name.clone()).collect(),
            regions: self.plan.scenario.lab.regions.clone(),
            ..Vocabulary::default()
        };
        let metric = Metric::parse(metric, &known);
        let metric = metric.unwrap_or_else(|(message, help)| panic!("{message}: {help}"));
        Figures::of(&self.plan, &self.seen).value(&self.plan, &metric)
    }

    /// Checks that a metric has that number, to a thousandth.
    pub fn is(&self, metric: &str, expected: f64) {
        match self.value(metric) {
            Measured::Number(number) if (number - expected).abs() < 0.001 => {}
            other => panic!("{metric} is {other:?}, not {expected}"),
        }
    }

    /// Checks that it never happened.
    pub fn is_never(&self, metric: &str) {
        assert_eq!(self.value(metric), Measured::Never, "{metric}");
    }

    /// Checks that it could not be measured.
    pub fn is_unknown(&self, metric: &str) {
        let value = self.value(metric);
        assert!(
            matches!(value, Measured::Unknown(_)),
            "{metric} is {value:?}"
        );
    }
}

/// The order that load `a` placed with that number.
pub fn placed(number: u32) -> Order {
    Order::Placed { load: 0, number }
}
