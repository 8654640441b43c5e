//! Tables of the HTML report.

use types::ByteSize;

use super::{at, escaped, prose, section};
use crate::expectation::{Measured, decimal};
use crate::figures::{LostOrder, Stream, allowed_minutes, levels, seconds};
use crate::limits;
use crate::observations::Outcome;
use crate::report::terminal::fate;
use crate::report::{Report, counted, grouped, share, spoken, timeline};
use crate::scenario::App;

/// Rows of a list that stand open; the rest is folded.
const OPEN: usize = 20;

/// A table with headings; those that begin with `#` are of numbers.
fn table(headings: &[&str], rows: &str) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    for heading in headings {
        html += &match heading.strip_prefix('#') {
            Some(number) => format!("<th class=\"n\" scope=\"col\">{number}</th>"),
            None => format!("<th scope=\"col\">{heading}</th>"),
        };
    }
    html += "</tr></thead><tbody>\n";
    html += rows;
    html + "</tbody></table></div>\n"
}

pub(super) fn timeline(report: &Report<'_>) -> String {
    let struck = report.figures.moments.struck.at().map(seconds);
    let mut rows = String::new();
    for entry in timeline::of(report) {
        let since = match struck {
            // No minus before what rounds to zero.
            Some(struck) => format!(
                "{:+.1} s",
                ((entry.at - struck) * 10.0).round() / 10.0 + 0.0
            ),
            None => String::new(),
        };
        let word = entry.kind.word();
        rows += &format!(
            "<tr class=\"{word}\"><td class=\"n\">{:.1} s</td><td class=\"n\">{since}</td>\
             <td>{word}</td><td>{}</td></tr>\n",
            entry.at,
            prose(report, &entry.text)
        );
    }
    table(&["#in the run", "#from the fault", "", "what"], &rows)
}

pub(super) fn expectations(report: &Report<'_>) -> String {
    if report.outcomes.is_empty() {
        return "<p class=\"note\">The scenario expects nothing.</p>\n".to_owned();
    }
    let mut rows = String::new();
    for outcome in &report.outcomes {
        let (class, mark) = match outcome.holds {
            true => ("good", "✓ holds"),
            false => ("bad", "✗ does not hold"),
        };
        let measured = outcome
            .measured
            .show(outcome.expectation.metric.name.unit());
        rows += &format!(
            "<tr><td class=\"{class} w\"><b>{mark}</b></td><td><code>{}</code></td>\
             <td class=\"n\">{}</td></tr>\n",
            escaped(&outcome.expectation.text),
            escaped(&measured)
        );
    }
    table(&["", "expected", "#measured"], &rows)
}

pub(super) fn clients(report: &Report<'_>) -> String {
    let figures = &report.figures;
    let headings = [
        "",
        "#requests",
        "#succeeded",
        "#first failure",
        "#last failure",
        "#RTO",
        "#p50",
        "#p99",
        "#longest",
        "failures",
    ];
    let streams = |title: &str, streams: &[Stream]| {
        let rows: String = streams.iter().map(stream).collect();
        format!("<h3>{title}</h3>\n{}", table(&headings, &rows))
    };
    let all = std::slice::from_ref(&figures.all);
    streams("By kind of client", &figures.clients)
        + &streams("By load", &figures.loads)
        + &streams("All", all)
        + &served(report)
}

fn stream(stream: &Stream) -> String {
    let rto = match (&stream.rto, stream.name.as_str()) {
        (_, "all") | (Measured::Unknown(_), _) => "–".to_owned(),
        (Measured::Never, _) => "never".to_owned(),
        (Measured::Number(after), _) => spoken(*after),
    };
    let when = |span: Option<types::Span>| span.map_or("–".to_owned(), at);
    let milliseconds = |value: Option<f64>| {
        value.map_or("–".to_owned(), |value| {
            format!("{} ms", grouped(value.round() as u64))
        })
    };
    let failures = Outcome::CLASSES.into_iter().skip(1).filter_map(|class| {
        let count = stream
            .outcomes
            .get(class)
            .copied()
            .filter(|count| *count > 0)?;
        Some(format!("{} {}", grouped(count), Outcome::words(class)))
    });
    let failures: Vec<String> = failures.collect();
    format!(
        "<tr><td class=\"w\"><b>{}</b></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{rto}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
        escaped(&stream.name),
        grouped(stream.requests),
        share(stream.ok, stream.requests),
        when(stream.first_failure),
        when(stream.last_failure),
        milliseconds(stream.latency.p50),
        milliseconds(stream.latency.p99),
        milliseconds(stream.latency.max),
        failures.join(", ")
    )
}

/// Which Region served whom.
fn served(report: &Report<'_>) -> String {
    let regions = &report.plan.scenario.lab.regions;
    let mut headings = vec!["".to_owned()];
    headings.extend(regions.iter().map(|region| format!("#{region}")));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut rows = String::new();
    for stream in &report.figures.loads {
        rows += &format!("<tr><td class=\"w\"><b>{}</b></td>", escaped(&stream.name));
        for region in regions {
            let count = stream.served.get(region).copied().unwrap_or(0);
            rows += &format!("<td class=\"n\">{}</td>", grouped(count));
        }
        rows += "</tr>\n";
    }
    format!(
        "<h3>Requests by the Region that served them</h3>\n{}",
        table(&headings, &rows)
    )
}

/// How each takeover of a global cluster's writer went.
pub(super) fn takeovers(report: &Report<'_>) -> String {
    let takeovers = &report.figures.writers.takeovers;
    if takeovers.is_empty() {
        return String::new();
    }
    let steps = &report.plan.scenario.steps;
    let mut rows = String::new();
    for one in takeovers {
        let what = steps.get(one.step).map(|step| step.act.describe(steps));
        let when = |span: Option<types::Span>| span.map_or("–".to_owned(), at);
        let since = |from: Option<types::Span>| match (from, one.first) {
            (Some(from), Some(first)) => spoken(seconds(types::Span(first.0 - from.0))),
            _ => "never".to_owned(),
        };
        rows += &format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\"><b>{}</b></td><td class=\"n\">{}</td></tr>\n",
            prose(report, &what.unwrap_or_default()),
            at(one.asked),
            when(one.last),
            when(one.first),
            since(Some(one.asked)),
            since(one.last),
        );
    }
    let headings = [
        "",
        "#asked at",
        "#last row elsewhere",
        "#first row there",
        "#after the call",
        "#without a writer",
    ];
    section("Who wrote when", &table(&headings, &rows))
}

/// The orders that were missing and those that are lost.
pub(super) fn orders(report: &Report<'_>) -> String {
    let orders = &report.figures.orders;
    let names @ (one, many) = report.things();
    let begun = match many {
        "rows" => "Rows",
        _ => "Orders",
    };
    let mut html = String::new();
    if let Some(missing) = &orders.missing {
        let none = format!("Every acknowledged {one} was elsewhere.");
        html += &section(
            &format!("{begun} that no other Region had"),
            &lost_orders(missing, &none, names),
        );
    }
    if let Some(aside) = &orders.aside {
        html += &section(
            "Rows missing in the end and kept aside",
            &lost_orders(aside, "None.", names),
        );
    }
    if let Some(lost) = &orders.lost {
        html += &section(
            &format!("{begun} lost for good"),
            &lost_orders(lost, "None.", names),
        );
    }
    html
}

fn lost_orders(orders: &[LostOrder], none: &str, (one, many): (&str, &str)) -> String {
    if orders.is_empty() {
        return format!("<p class=\"note\">{none}</p>\n");
    }
    let row = |order: &LostOrder| {
        let region = order
            .region
            .map_or("–".to_owned(), |region| region.to_string());
        format!(
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"w\">{region}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
            escaped(&order.id),
            order.version,
            at(order.acknowledged),
            spoken(seconds(order.age)),
            fate(order.fate)
        )
    };
    let headings = [
        one,
        if one == "row" {
            "#timeline"
        } else {
            "#version"
        },
        "acknowledged by",
        "#at",
        "#age at the fault",
        "in the end",
    ];
    let rows: Vec<String> = orders.iter().take(limits::LISTED_ORDERS).map(row).collect();
    folded(&headings, &rows, orders.len(), many)
}

/// A table whose first rows stand open and whose rest is folded.
fn folded(headings: &[&str], rows: &[String], all: usize, what: &str) -> String {
    let (open, rest) = rows.split_at(rows.len().min(OPEN));
    let mut html = table(headings, &open.concat());
    if !rest.is_empty() {
        let count = grouped(rest.len() as u64);
        html += &format!("<details><summary>{count} more {what}</summary>\n");
        html += &table(headings, &rest.concat());
        html += "</details>\n";
    }
    if all > rows.len() {
        let count = grouped((all - rows.len()) as u64);
        html += &format!("<p class=\"note\">and {count} more that are not listed</p>\n");
    }
    html
}

pub(super) fn conflicts(report: &Report<'_>) -> String {
    let conflicts = &report.seen.conflicts;
    if conflicts.is_empty() {
        return String::new();
    }
    let row = |row: &crate::Conflict| {
        let side = |side: &(types::Region, types::Timestamp), version: Option<u32>| {
            let version = version.map_or(String::new(), |version| format!(" (version {version})"));
            let millis = side.1.0 % 1000;
            let time = side.1.to_string();
            let time = time
                .split('T')
                .nth(1)
                .unwrap_or_default()
                .trim_end_matches('Z');
            format!("{}{version}, {time}.{millis:03}", side.0)
        };
        format!(
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>\n",
            escaped(&row.key),
            side(&row.beaten, row.beaten_version),
            side(&row.winning, row.winning_version)
        )
    };
    let rows: Vec<String> = conflicts
        .iter()
        .take(limits::LISTED_ORDERS)
        .map(row)
        .collect();
    let headings = [
        "item",
        "lost: written in, at (UTC)",
        "won: written in, at (UTC)",
    ];
    let title = counted(
        conflicts.len() as u64,
        "write that lost to another",
        "writes that lost to others",
    );
    section(&title, &folded(&headings, &rows, conflicts.len(), "writes"))
}

pub(super) fn budget(report: &Report<'_>) -> String {
    let figures = &report.figures;
    let all = &figures.all;
    let mut html = format!(
        "<p>{} of {} succeeded: {}. What failed weighs as much as {} without any service.</p>\n",
        grouped(all.ok),
        counted(all.requests, "request", "requests"),
        share(all.ok, all.requests),
        spoken(figures.bad_minutes * 60.0)
    );
    let mut rows = String::new();
    for (name, level) in levels() {
        rows += &format!(
            "<tr><td>{name} %</td><td class=\"n\">{} min</td><td class=\"n\">{} %</td></tr>\n",
            decimal(allowed_minutes(level)),
            decimal(figures.budget_percent(level))
        );
    }
    html += &table(
        &["promise", "#a month may fail", "#burnt by this run"],
        &rows,
    );
    html
}

pub(super) fn traffic(report: &Report<'_>) -> String {
    let traffic = &report.figures.traffic;
    if traffic.bytes == 0 {
        return String::new();
    }
    let mut rows = String::new();
    for crossing in &traffic.crossings {
        rows += &format!(
            "<tr><td class=\"w\">{}</td><td class=\"w\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>\n",
            crossing.from,
            crossing.to,
            escaped(&crossing.lane),
            ByteSize(crossing.bytes)
        );
    }
    let lanes = traffic.lanes.iter();
    let lanes: Vec<String> = lanes
        .map(|(lane, bytes)| format!("{} {}", escaped(lane), ByteSize(*bytes)))
        .collect();
    let all = ByteSize(traffic.bytes);
    let mut html = format!(
        "<p>{all} in all: {}.</p>\n<details><summary>By pair of sites</summary>\n",
        lanes.join(", ")
    );
    html += &table(&["from", "to", "lane", "#bytes"], &rows);
    html += "</details>\n";
    section("What crossed between sites", &html)
}

pub(super) fn run(report: &Report<'_>) -> String {
    let scenario = &report.plan.scenario;
    let lab = &scenario.lab;
    let regions: Vec<&str> = lab.regions.iter().map(|region| region.name()).collect();
    let delays = report
        .plan
        .delays()
        .into_iter()
        .map(|(from, to, delay)| format!("{from} to {to} {:.0} ms", delay.as_milliseconds()));
    let delays: Vec<String> = delays.collect();
    let app = match &lab.app {
        None => "none".to_owned(),
        Some(App::Orders) => "orders (the shipped example)".to_owned(),
        Some(App::Command(command)) => command.clone(),
    };
    let variables = scenario.variables.iter();
    let variables: Vec<String> = variables
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let interval = lab.health_interval;
    let interval = interval.map_or("the service's".to_owned(), crate::language::show_span);
    let workload = format!(
        "{} loads, {} in {}",
        scenario.loads.len(),
        counted(report.plan.requests, "request", "requests"),
        spoken(seconds(scenario.measure.length))
    );
    let rows = [
        ("version", report.seen.version.clone()),
        ("scenario", scenario.name.clone()),
        ("digest", scenario.digest.clone()),
        ("seed", scenario.seed.to_string()),
        ("started", report.seen.started.to_string()),
        ("ready after", spoken(seconds(report.seen.ready_after))),
        ("over after", spoken(seconds(report.seen.ended))),
        (
            "topology",
            format!(
                "{} and {}",
                regions.join(", "),
                counted(u64::from(lab.edges), "edge", "edges")
            ),
        ),
        (
            "one-way delays",
            format!("{} (scale {})", delays.join(", "), lab.delay_scale),
        ),
        ("health checks every", interval),
        ("application", app),
        ("workload", workload),
        (
            "recovered after succeeding for",
            crate::language::show_span(scenario.measure.sustained),
        ),
        ("variables", variables.join(", ")),
    ];
    let mut html = String::from("<dl class=\"run\">\n");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        html += &format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value));
    }
    html + "</dl>\n"
}
