//! The figures that everybody asks for first, each on a card.

use super::escaped;
use crate::expectation::{Measured, decimal};
use crate::figures::seconds;
use crate::metric::{Metric, MetricName};
use crate::report::story::{apart_by_place, is_kept_alone, who};
use crate::report::{Report, counted, grouped, share, spoken};

/// All cards.
pub(super) fn all(report: &Report<'_>) -> String {
    let mut cards = String::from("<div class=\"cards\">\n");
    cards += &clients(report);
    let value = |name| report.figures.value(report.plan, &Metric::bare(name));
    if let Measured::Number(count) = value(MetricName::RpoOrders) {
        let outage = report.figures.moments.outage;
        let (_, things) = report.things();
        let oldest = match value(MetricName::RpoS) {
            _ if outage.is_some_and(|outage| is_kept_alone(report, outage)) => {
                "the table is replicated to no other Region".to_owned()
            }
            Measured::Number(age) if count > 0.0 => {
                format!("the oldest {} old at the fault", spoken(age))
            }
            _ => format!("acknowledged {things} in no other Region"),
        };
        let class = if count > 0.0 { "warn" } else { "good" };
        cards += &card(
            &decimal(count),
            class,
            &format!("{things} missing (RPO)"),
            &oldest,
        );
    }
    match value(MetricName::LostForGood) {
        Measured::Number(count) => {
            let class = if count > 0.0 { "bad" } else { "good" };
            let of = format!(
                "of {} acknowledged",
                grouped(report.figures.orders.acknowledged)
            );
            cards += &card(&decimal(count), class, "lost for good", &of);
        }
        _ => {
            cards += &card(
                "?",
                "bad",
                "lost for good",
                "not every Region could be read",
            )
        }
    }
    cards += &rows(report);
    let all = &report.figures.all;
    let of = format!("of {}", counted(all.requests, "request", "requests"));
    let class = if all.ok == all.requests {
        "good"
    } else {
        "warn"
    };
    cards += &card(&share(all.ok, all.requests), class, "succeeded", &of);
    let (stale, judged) = report.figures.staleness.all;
    if judged > 0 {
        let of = format!("of {}", counted(judged, "read", "reads"));
        let class = if stale == 0 { "good" } else { "warn" };
        cards += &card(&grouped(stale), class, "stale reads", &of);
    }
    let discards = report.figures.lww_discards;
    if discards > 0 {
        let text = "beaten by a concurrent one, in the ledger";
        cards += &card(&grouped(discards), "warn", "writes discarded", text);
    }
    cards + "</div>\n"
}

/// Rows of a global cluster that are kept aside, and how long its takeovers took.
fn rows(report: &Report<'_>) -> String {
    let mut cards = String::new();
    let kept = Metric::bare(MetricName::KeptAside);
    if let Measured::Number(count) = report.figures.value(report.plan, &kept) {
        let class = if count > 0.0 { "warn" } else { "good" };
        let of = "missing in the end; the old writer's own tail has them";
        cards += &card(&decimal(count), class, "rows kept aside", of);
    }
    for one in &report.figures.writers.takeovers {
        let after = one
            .first
            .map(|first| seconds(types::Span(first.0 - one.asked.0)));
        let (value, class) = match after {
            Some(after) => (spoken(after), "warn"),
            None => ("never".to_owned(), "bad"),
        };
        let of = format!("after the call: {}", one.moved.to);
        cards += &card(&value, class, "until the new writer served", &of);
    }
    cards
}

/// How long the clients of each kind were without service: those that fared differently by where
/// they are, each.
fn clients(report: &Report<'_>) -> String {
    let mut cards = String::new();
    if report.figures.moments.struck.at().is_none() {
        return cards;
    }
    let loads = &report.plan.scenario.loads;
    for stream in &report.figures.clients {
        let client = loads.iter().find(|load| load.client.label == stream.name);
        let who = client.map(|load| who(&load.client)).unwrap_or_default();
        let members = apart_by_place(report, stream);
        if members.is_empty() {
            let (value, class, what) = rto(&stream.rto);
            cards += &card(&value, class, what, &who);
        }
        for member in members {
            let (value, class, what) = rto(&member.rto);
            cards += &card(&value, class, what, &format!("{}: {who}", member.name));
        }
    }
    cards
}

/// A time without service, how bad it is, and what it is.
fn rto(rto: &Measured) -> (String, &'static str, &'static str) {
    match rto {
        Measured::Number(0.0) => ("0 s".to_owned(), "good", "without service"),
        Measured::Number(after) => (spoken(*after), "warn", "until served again"),
        Measured::Never => ("never".to_owned(), "bad", "served again during the fault"),
        Measured::Unknown(_) => ("–".to_owned(), "none", "not measured"),
    }
}

fn card(value: &str, class: &str, what: &str, of: &str) -> String {
    format!(
        "<div class=\"card {class}\"><p class=\"value\">{}</p><p class=\"what\">{what}</p>\
         <p class=\"of\">{}</p></div>\n",
        escaped(value),
        escaped(of)
    )
}
