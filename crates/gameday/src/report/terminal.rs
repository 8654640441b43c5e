//! The report for a terminal: 80 columns, plain text, sentences first.

use types::Span;

use super::{Report, grouped, spoken, timeline};
use crate::expectation::{Measured, decimal};
use crate::figures::{Fate, LostOrder, Stream, levels, seconds};

/// Columns.
const WIDTH: usize = 79;

/// Lost orders that are listed: the rest is in the files.
const LISTED: usize = 10;

pub(super) fn write(report: &Report<'_>) -> String {
    let text = all(report);
    // What a failed step or a scenario says must not command the terminal.
    let harmless = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(harmless).collect()
}

fn all(report: &Report<'_>) -> String {
    let scenario = &report.plan.scenario;
    let mut text = String::new();
    let verdict = if report.holds() {
        "HOLDS"
    } else {
        "DOES NOT HOLD"
    };
    text += &format!("{}\n{}: {verdict}\n\n", scenario.title, scenario.name);
    for sentence in report.story() {
        text += &wrapped(&format!("- {sentence}"), "  ");
    }
    text += "\nTimeline (seconds from the start of the load)\n";
    for entry in timeline::of(report) {
        let line = format!("{:>8.1}  {:<7} {}", entry.at, entry.kind.word(), entry.text);
        text += &wrapped(&line, "                    ");
    }
    text += "\nClients\n";
    text += &clients(report);
    text += &lost(report);
    text += &traffic(report);
    text += &budget(report);
    text += "\nExpectations\n";
    for outcome in &report.outcomes {
        let mark = if outcome.holds { "ok  " } else { "FAIL" };
        let unit = outcome.expectation.metric.name.unit();
        let measured = outcome.measured.show(unit);
        text += &format!("  {mark}  {:<44} {measured}\n", outcome.expectation.text);
    }
    let digest = scenario.digest.get(..12).unwrap_or(&scenario.digest);
    text += &format!(
        "\nseed {}, scenario {digest}, {}, started {}\n",
        scenario.seed, report.seen.version, report.seen.started
    );
    text
}

/// The text in lines of at most `WIDTH` columns; those after the first begin with `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    // What stands before the first word stays.
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    line += &lead;
    for word in super::tied(text).trim_start().split(' ') {
        let is_first = line.trim().is_empty();
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += line.trim_end();
            lines.push('\n');
            line = indent.to_owned();
            line += word;
            continue;
        }
        if !is_first {
            line.push(' ');
        }
        line += word;
    }
    lines += line.trim_end();
    lines.push('\n');
    lines.replace(super::TIE, " ")
}

fn clients(report: &Report<'_>) -> String {
    let mut text = format!(
        "  {:<22}{:>9}{:>8}{:>10}{:>9}{:>9}{:>9}\n",
        "", "requests", "failed", "served %", "RTO", "p50 ms", "p99 ms"
    );
    let streams = report.figures.clients.iter().chain([&report.figures.all]);
    for stream in streams {
        let Stream {
            name,
            requests,
            ok,
            latency,
            ..
        } = stream;
        let rto = match (&stream.rto, name.as_str()) {
            (_, "all") | (Measured::Unknown(_), _) => "-".to_owned(),
            (Measured::Never, _) => "never".to_owned(),
            (Measured::Number(after), _) => format!("{} s", decimal((after * 10.0).round() / 10.0)),
        };
        let percent = *ok as f64 / (*requests).max(1) as f64 * 100.0;
        let percent = (percent * 100.0).floor() / 100.0;
        let milliseconds =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        text += &format!(
            "  {name:<22}{:>9}{:>8}{percent:>10.2}{rto:>9}{:>9}{:>9}\n",
            grouped(*requests),
            grouped(requests - ok),
            milliseconds(latency.p50),
            milliseconds(latency.p99)
        );
    }
    text
}

fn lost(report: &Report<'_>) -> String {
    let mut text = String::new();
    let orders = &report.figures.orders;
    let (_, things) = report.things();
    let lists = [
        ("that no other Region had", &orders.missing),
        ("that are missing in the end and kept aside", &orders.aside),
        ("that are LOST FOR GOOD", &orders.lost),
    ];
    for (title, list) in lists {
        let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else {
            continue;
        };
        text += &format!("\nAcknowledged {things} {title}\n");
        for order in list.iter().take(LISTED) {
            text += &format!("  {:<28} {}\n", order.id, describe(order));
        }
        if list.len() > LISTED {
            text += &format!("  and {} more\n", list.len() - LISTED);
        }
    }
    text
}

/// Where an order was acknowledged, how old it was, and what became of it.
pub(super) fn describe(order: &LostOrder) -> String {
    let region = order
        .region
        .map_or("an unknown Region".to_owned(), |region| region.to_string());
    // Its acknowledgement was on the way to the client when the fault struck.
    let when = match order.age {
        Span::ZERO => "as the fault struck".to_owned(),
        age => format!("{} before the fault", spoken(seconds(age))),
    };
    let fate = fate(order.fate);
    format!("{region}, {when}: {fate}")
}

pub(super) fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::CameBack => "came back",
        Fate::Discarded => "lost to a later write",
        Fate::KeptAside => "missing, and kept aside",
        Fate::Lost => "lost for good",
        Fate::Unknown => "not known",
    }
}

fn traffic(report: &Report<'_>) -> String {
    let traffic = &report.figures.traffic;
    if traffic.bytes == 0 {
        return String::new();
    }
    let lanes = traffic.lanes.iter();
    let lanes: Vec<String> = lanes
        .map(|(lane, bytes)| format!("{lane} {}", types::ByteSize(*bytes)))
        .collect();
    let all = types::ByteSize(traffic.bytes);
    "\n".to_owned()
        + &wrapped(
            &format!("Between sites crossed {all}: {}.", lanes.join(", ")),
            "  ",
        )
}

fn budget(report: &Report<'_>) -> String {
    let figures = &report.figures;
    if figures.bad_minutes == 0.0 {
        return String::new();
    }
    let levels = levels()
        .map(|(name, level)| format!("{} % at {name} %", decimal(figures.budget_percent(level))));
    let levels: Vec<String> = levels.collect();
    wrapped(
        &format!("Of a month's error budget it burnt {}.", levels.join(", ")),
        "  ",
    )
}
