//! The report as text, JSON, JUnit XML and HTML: all of it is there, and it is well-formed.

use gameday::{EventKind, Observations, Plan, Report};
use types::Span;

use crate::hand::Hand;
use crate::sample::{observe, shipped};

/// A short run of the outage.
fn outage() -> (Plan, Observations) {
    let settings = ["warm_up=4s", "outage=12s", "settle=6s", "hold=5s", "rate=5"];
    let plan = shipped("region-outage", &settings);
    let seen = observe(&plan);
    (plan, seen)
}

#[test]
fn the_samples_hold_what_the_scenarios_expect() {
    for name in [
        "region-outage",
        "active-active-latency",
        "residency-geolocation",
    ] {
        let plan = shipped(name, &[]);
        let seen = observe(&plan);
        let report = Report::of(&plan, &seen);
        let broken = report.outcomes.iter().filter(|outcome| !outcome.holds);
        let broken: Vec<_> = broken.collect();
        assert!(report.holds(), "{name}: {broken:?}");
    }
}

#[test]
fn a_report_says_in_sentences_what_the_outage_cost() {
    let (plan, seen) = outage();
    let report = Report::of(&plan, &seen);
    let text = report.text();
    for words in [
        "region-outage: HOLDS",
        "The Region us-east-1 was killed, as by a power cut, 4 s into the run; it was",
        "started again 12 s later.",
        "Health checks noticed after 0.7 s",
        "served again after",
        "clients that never resolve a name again were not served again",
        "In the end nothing is lost",
        "All 7 expectations hold.",
        "ok    rto_s.never_resolves_again == never          never",
        "seed 1, scenario ",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn an_expectation_that_cannot_be_met_is_told_everywhere() {
    let plan = shipped("region-outage", &["within=0"]);
    let seen = observe(&plan);
    let report = Report::of(&plan, &seen);
    assert!(!report.holds());
    let text = report.text();
    assert!(text.contains("DOES NOT HOLD"), "{text}");
    assert!(text.contains("FAIL  rto_s.honours_ttl <= 0"), "{text}");
    assert!(text.contains("2 of 7 expectations DON'T HOLD."), "{text}");
    assert_eq!(report.json()["holds"], false);
    assert!(report.junit().contains("failures=\"2\""));
    assert!(report.html().contains("Does not hold: 5 of 7 expectations"));
}

#[test]
fn a_step_that_could_not_be_carried_out_makes_the_run_worthless() {
    let mut hand = Hand::new();
    assert!(Report::of(&hand.plan, &hand.seen).holds());
    hand.seen.event(
        Span::seconds(20),
        EventKind::StepFailed(1, "no answer".to_owned()),
    );
    let report = Report::of(&hand.plan, &hand.seen);
    assert!(!report.holds());
    assert_eq!(report.failed_steps(), ["start us-east-1: no answer"]);
    assert!(report.junit().contains("start us-east-1: no answer"));
    let html = report.html();
    assert!(html.contains("could not start <span class=\"nb\">us-east-1</span>: no answer"));
}

#[test]
fn nothing_in_a_report_commands_a_terminal() {
    let mut hand = Hand::new();
    let why = "\u{1b}[2J\r\u{7}".to_owned();
    hand.seen
        .event(Span::seconds(20), EventKind::StepFailed(1, why));
    let report = Report::of(&hand.plan, &hand.seen);
    for text in [report.text(), report.html(), report.junit()] {
        assert!(!text.contains(['\u{1b}', '\r', '\u{7}']), "{text}");
    }
}

#[test]
fn json_has_every_metric_and_what_is_documented() {
    let (plan, seen) = outage();
    let json = Report::of(&plan, &seen).json();
    assert_eq!(json["report"], "causeway-gameday");
    assert_eq!(json["format"], 1);
    assert_eq!(json["holds"], true);
    assert_eq!(json["metrics"]["rto_s.never_resolves_again"], "never");
    assert_eq!(json["metrics"]["lost_for_good"], 0.0);
    assert_eq!(json["metrics"]["converged_s"], 0.84);
    assert_eq!(json["metrics"]["requests"], plan.requests as f64);
    assert_eq!(json["moments"]["outage"], "us-east-1");
    assert_eq!(json["moments"]["struck_s"], 4.0013);
    assert_eq!(json["scenario"]["variables"]["outage"], "12s");
    assert_eq!(json["expectations"].as_array().map(Vec::len), Some(7));
    assert_eq!(json["clients"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["loads"].as_array().map(Vec::len), Some(6));
    let words = include_str!("../../../../docs/gamedays.md");
    let members = json.as_object().expect("an object").keys();
    for member in members {
        assert!(
            words.contains(&format!("`{member}`")),
            "docs/gamedays.md lacks {member}"
        );
    }
    for metric in gameday::MetricName::all() {
        let word = metric.word();
        assert!(
            words.contains(&format!("`{word}")),
            "docs/gamedays.md lacks {word}"
        );
    }
}

#[test]
fn junit_is_read_by_its_own_reader() {
    let (plan, seen) = outage();
    let report = Report::of(&plan, &seen);
    let xml = quick_junit::Report::deserialize_from_str(&report.junit()).expect("JUnit XML");
    assert_eq!(xml.test_suites.len(), 1);
    let suite = &xml.test_suites[0];
    assert_eq!(suite.name.as_str(), "region-outage");
    let names: Vec<&str> = suite
        .test_cases
        .iter()
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "every step was carried out");
    assert_eq!(names[2], "rto_s.honours_ttl <= 10");
}

#[test]
fn html_needs_nothing_else_and_has_everything() {
    let (plan, mut seen) = outage();
    seen.event(
        Span::seconds(5),
        EventKind::Note("<script>alert('x')</script> & \u{7}".to_owned()),
    );
    let report = Report::of(&plan, &seen);
    let html = report.html();
    for foreign in [
        "http://", "https://", "<script", "<link", "<img", "@import", "url(", "src=",
    ] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; \u{fffd}"));
    for words in [
        "<h1>The primary Region dies</h1>",
        "What happened",
        "The cost in numbers",
        "Over time",
        "What the DNS answered, by place",
        "Timeline",
        "Expectations",
        "By kind of client",
        "Orders that no other Region had",
        "Orders lost for good",
        "What crossed between sites",
        "Availability and error budget",
        "This run",
        &plan.scenario.digest,
        "never",
        "99.95 %",
        "prefers-color-scheme:dark",
        "@media print",
        "viewport",
        "lang=\"en\"",
        "aria-label=",
    ] {
        assert!(html.contains(words), "{words}");
    }
    for outcome in &report.outcomes {
        let text = outcome
            .expectation
            .text
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        assert!(html.contains(&text), "{text}");
    }
    for load in &plan.scenario.loads {
        assert!(
            html.contains(&format!("<b>{}</b>", load.name)),
            "{}",
            load.name
        );
    }
    for order in report
        .figures
        .orders
        .missing
        .as_ref()
        .expect("there was a reading")
    {
        assert!(html.contains(&order.id), "{}", order.id);
    }
}

/// Every element is closed in its order; what HTML lets stand open is listed.
#[test]
fn html_is_well_formed() {
    for name in [
        "region-outage",
        "active-active-latency",
        "residency-geolocation",
    ] {
        let plan = shipped(name, &[]);
        let seen = observe(&plan);
        let html = Report::of(&plan, &seen).html();
        let mut open: Vec<&str> = Vec::new();
        let mut rest = html.as_str();
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[..end];
            let word = tag.split([' ', '/', '\n']).next().unwrap_or_default();
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{name}: </{closed}>");
            } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].contains(&word) {
                open.push(word);
            }
            rest = &rest[end..];
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn a_run_that_saw_nothing_still_has_a_report() {
    let plan = shipped("region-outage", &[]);
    let seen = Observations::new("none".to_owned(), types::Timestamp(0), Span::ZERO);
    let report = Report::of(&plan, &seen);
    assert!(!report.holds());
    assert!(report.text().contains("not measured"));
    assert!(report.html().contains("not measured"));
    assert_eq!(
        report.json()["metrics"]["rpo_orders"],
        serde_json::Value::Null
    );
    assert!(report.junit().contains("not measured"));
}

#[test]
fn long_lists_are_cut_and_counted() {
    let mut hand = Hand::new();
    for number in 0..1_500 {
        hand.acknowledged(crate::hand::placed(number), 1, 9_000, crate::hand::east());
    }
    hand.scan(19_000, &[(crate::hand::west(), Hand::held(&[]))]);
    let report = Report::of(&hand.plan, &hand.seen);
    let html = report.html();
    assert!(html.contains("980 more orders"));
    assert!(html.contains("and 500 more that are not listed"));
    let json = report.json();
    assert_eq!(json["missing_orders"]["count"], 1_500);
    assert_eq!(
        json["missing_orders"]["listed"].as_array().map(Vec::len),
        Some(1_000)
    );
    assert!(report.text().contains("and 1490 more"));
}

#[test]
fn a_hundred_thousand_requests_are_no_trouble() {
    let plan = shipped("region-outage", &["rate=200"]);
    assert_eq!(plan.requests, 132_000);
    let mut hand = Hand::new();
    for number in 0..120_000u64 {
        let outcome = match number % 50 {
            0 => gameday::Outcome::TimedOut,
            _ => gameday::Outcome::Ok,
        };
        hand.request((number % 4) as u16, number / 4, outcome);
    }
    let html = Report::of(&hand.plan, &hand.seen).html();
    assert!(html.len() < 400_000, "{}", html.len());
}
