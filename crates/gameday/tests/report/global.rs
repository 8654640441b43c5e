//! Figures and reports of a global cluster, of observations made by hand: which rows are missing,
//! which of them are kept aside, who took over when, and whether two wrote at once.

use std::collections::BTreeMap;

use gameday::{
    EventKind, Figures, Measured, Metric, Observations, Order, Outcome, Plan, Report, Request,
    Scan, Scenario, Verb, Vocabulary,
};
use types::{Region, Span, Timestamp};

/// us-east-1 dies at 10 s, eu-west-1 is asked for at 11 s and takes over at 14 s; us-east-1 is
/// started at 20 s and asked for at 25 s.
const SCENARIO: &str = r#"
title = "By hand"
[lab]
regions = ["us-east-1", "eu-west-1"]
[[global_cluster]]
name = "orders"
regions = ["us-east-1", "eu-west-1"]
[[load]]
name = "a"
place = "us-east-1"
client = "follows_the_writer"
rate = 1
does = "insert_rows"
global_cluster = "orders"
[[step]]
at = "10s"
do = "kill"
site = "us-east-1"
[[step]]
at = "11s"
do = "failover_global_cluster"
global_cluster = "orders"
to = "eu-west-1"
allow_data_loss = true
name = "failover"
[[step]]
at = "20s"
do = "start"
site = "us-east-1"
[[step]]
at = "25s"
do = "switchover_global_cluster"
global_cluster = "orders"
to = "us-east-1"
name = "back"
[measure]
length = "30s"
"#;

struct Day {
    plan: Plan,
    seen: Observations,
}

fn region(name: &str) -> Region {
    name.parse().expect("it is in the table of Regions")
}

fn row(number: u32) -> Order {
    Order::Placed { load: 0, number }
}

impl Day {
    /// Rows 0 to 9 by us-east-1, of which 8 and 9 never crossed; 14 to 24 by eu-west-1, 26 to 29
    /// by us-east-1 again; each a second after the other, and begun 100 ms before.
    fn new() -> Day {
        let scenario = Scenario::parse("hand.toml", SCENARIO, &[]);
        let plan = Plan::of(scenario.unwrap_or_else(|problems| panic!("{problems}")));
        let seen = Observations::new("1".to_owned(), Timestamp(0), Span::ZERO);
        let mut day = Day { plan, seen };
        for (step, at) in [(0, 10_000), (1, 11_000), (2, 20_000), (3, 25_000)] {
            day.seen
                .event(Span::milliseconds(at), EventKind::Step(step));
        }
        day.seen.event(Span::seconds(30), EventKind::LoadEnded);
        let (east, west) = (region("us-east-1"), region("eu-west-1"));
        for number in 0..30 {
            let by = match number {
                0..=9 => Some((east, 1)),
                14..=24 => Some((west, 2)),
                26.. => Some((east, 3)),
                _ => None,
            };
            day.request(number, u64::from(number) * 1000, by);
        }
        day.scans(&[8, 9]);
        day.seen.kept_aside = Some([(row(8), east), (row(9), east)].into());
        day
    }

    fn request(&mut self, number: u32, at: u64, by: Option<(Region, u32)>) {
        let ended = Span::milliseconds(at);
        self.seen.requests.push(Request {
            load: 0,
            verb: Verb::Place,
            due: Span::milliseconds(at.saturating_sub(100)),
            began: Span::milliseconds(at.saturating_sub(100)),
            ended,
            outcome: match by {
                Some(_) => Outcome::Ok,
                None => Outcome::Refused,
            },
            region: by.map(|(region, _)| region),
            order: Some(row(number)),
            version: by.map_or(0, |(_, timeline)| timeline),
        });
    }

    /// The writer has everything that was acknowledged but for those.
    fn scans(&mut self, missing: &[u32]) {
        let acknowledged = self.seen.requests.iter().filter(|it| it.outcome.is_ok());
        let rows = acknowledged.filter_map(|it| Some((it.order?, it.version, it.ended)));
        let rows: Vec<(Order, u32, Span)> = rows.collect();
        let held = |until: Span| -> BTreeMap<Order, u32> {
            let there = rows.iter().filter(|(order, _, at)| {
                *at <= until && !missing.iter().any(|number| row(*number) == *order)
            });
            there
                .map(|(order, timeline, _)| (*order, *timeline))
                .collect()
        };
        let (east, west) = (region("us-east-1"), region("eu-west-1"));
        self.seen.scan = Some(Scan {
            at: Span::seconds(19),
            regions: [(west, held(Span::seconds(19)))].into(),
            writer: Some(west),
            ..Scan::default()
        });
        let all = held(Span::seconds(60));
        self.seen.last_scan = Some(Scan {
            at: Span::seconds(31),
            regions: [(east, all.clone()), (west, all)].into(),
            twice: [(east, 0), (west, 0)].into(),
            writer: Some(east),
        });
    }

    fn value(&self, metric: &str) -> Measured {
        let known = Vocabulary {
            takeovers: vec!["failover".to_owned(), "back".to_owned()],
            ..Vocabulary::default()
        };
        let metric = Metric::parse(metric, &known).unwrap_or_else(|it| panic!("{it:?}"));
        Figures::of(&self.plan, &self.seen).value(&self.plan, &metric)
    }

    fn is(&self, metric: &str, expected: f64) {
        match self.value(metric) {
            Measured::Number(number) if (number - expected).abs() < 0.001 => {}
            other => panic!("{metric} is {other:?}, not {expected}"),
        }
    }
}

#[test]
fn rows_that_are_missing_are_kept_aside_or_lost() {
    let mut day = Day::new();
    day.is("missing_rows", 2.0);
    day.is("kept_aside", 2.0);
    day.is("lost_for_good", 0.0);
    day.is("rpo_orders", 2.0);
    day.is("rpo_s", 2.0);
    day.is("came_back", 0.0);
    day.is("applied_twice", 0.0);
    // One is in nobody's tail.
    day.seen.kept_aside.as_mut().unwrap().remove(&row(9));
    day.is("missing_rows", 2.0);
    day.is("kept_aside", 1.0);
    day.is("lost_for_good", 1.0);
    // What is kept aside could not be read: it isn't known what is lost.
    day.seen.kept_aside = None;
    for metric in ["missing_rows", "kept_aside", "lost_for_good"] {
        assert!(
            matches!(day.value(metric), Measured::Unknown(_)),
            "{metric}"
        );
    }
    // Nothing is missing: then nothing must be known of tails.
    day.scans(&[]);
    day.is("missing_rows", 0.0);
    day.is("lost_for_good", 0.0);
}

#[test]
fn what_only_a_reader_has_is_missing() {
    let mut day = Day::new();
    let last = day.seen.last_scan.as_mut().unwrap();
    let west = last.regions.get_mut(&region("eu-west-1")).unwrap();
    west.extend([(row(8), 1), (row(9), 1)]);
    day.is("missing_rows", 2.0);
    // Nobody said who the writer is: nothing is known.
    day.seen.last_scan.as_mut().unwrap().writer = None;
    assert!(matches!(day.value("lost_for_good"), Measured::Unknown(_)));
}

#[test]
fn a_takeover_lasts_from_the_call_to_the_first_row() {
    let mut day = Day::new();
    day.is("takeover_s.failover", 3.0);
    day.is("takeover_s.back", 1.0);
    let takeovers = Figures::of(&day.plan, &day.seen).writers.takeovers;
    assert_eq!(takeovers[0].last, Some(Span::seconds(9)));
    assert_eq!(takeovers[1].last, Some(Span::seconds(24)));
    day.seen.requests.retain(|request| request.version < 3);
    assert_eq!(day.value("takeover_s.back"), Measured::Never);
}

#[test]
fn two_writers_are_seen_by_their_timelines() {
    let mut day = Day::new();
    day.is("split_brain_rows", 0.0);
    // Begun before the new writer's first row was acknowledged: it may have come first.
    day.request(100, 14_050, Some((region("us-east-1"), 1)));
    day.is("split_brain_rows", 0.0);
    // Begun after it.
    day.request(101, 14_150, Some((region("us-east-1"), 1)));
    day.is("split_brain_rows", 1.0);
    // Another Region within an epoch.
    day.request(102, 27_000, Some((region("eu-west-1"), 3)));
    day.is("split_brain_rows", 2.0);
}

#[test]
fn the_report_says_which_rows_are_missing_and_why_in_every_form() {
    let day = Day::new();
    let report = Report::of(&day.plan, &day.seen);
    let text = report.text();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "2 of 25 acknowledged rows are missing from the database in the end",
        "had not yet sent them to the Region that took over",
        "None of them is gone: us-east-1 kept its own tail aside",
        "failed over to eu-west-1, with data loss allowed; eu-west-1 acknowledged its first row \
         3 s after the call, and 5 s after the last",
        "switched over to us-east-1 in order",
        "At no time did two Regions acknowledge rows.",
        "Acknowledged rows that are missing in the end and kept aside a-000008",
        "us-east-1, 1 s before the fault: missing, and kept aside",
    ] {
        assert!(flat.contains(words), "lacks {words:?}:\n{text}");
    }
    let json = report.json();
    assert_eq!(json["kept_aside"]["count"], 2);
    assert_eq!(json["kept_aside"]["listed"][1]["id"], "a-000009");
    assert_eq!(json["kept_aside"]["listed"][1]["region"], "us-east-1");
    assert_eq!(json["takeovers"][0]["step"], "failover");
    assert_eq!(json["takeovers"][0]["first_there_s"], 14.0);
    let html = report.html();
    for words in [
        "Rows missing in the end and kept aside",
        "a-000009",
        "Who wrote when",
    ] {
        assert!(html.contains(words), "lacks {words:?}");
    }
}

#[test]
fn the_plots_show_who_writes_from_when_on() {
    let day = Day::new();
    let html = Report::of(&day.plan, &day.seen).html();
    assert!(html.contains("▽ eu-west-1 writes</span>"), "{html}");
    assert!(html.contains(">us-east-1 writes ▽</span>"), "{html}");
    assert!(html.contains("another Region writes</span>"), "{html}");
}

#[test]
fn two_writers_and_rows_lost_for_good_are_shouted() {
    let mut day = Day::new();
    day.seen.kept_aside = Some(BTreeMap::new());
    day.request(101, 14_150, Some((region("us-east-1"), 1)));
    let text = Report::of(&day.plan, &day.seen).text();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("TWO WRITERS: 1 row was acknowledged"),
        "{text}"
    );
    assert!(
        flat.contains("LOST FOR GOOD: 3 of 26 acknowledged rows"),
        "{text}"
    );
}
